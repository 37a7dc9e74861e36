"""Builds a bundle from plain data and proofs; `verify` finds what is wrong in it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from oracles.merkle import path
from oracles.types import Claim
from orchestrator.core.ledger import Entry
from orchestrator.core.outcome import Window, leaves_of, release_time, unpack

from .blocks import Header, proven, receipt_logs, unproven
from .bundle import MANDATES, VERSION, sealed
from .logs import events
from .reading import unhex
from .settlement import settle_call

Proof = Mapping[str, Any]  # as edges/chain/proof.py makes them
_RECEIPT = ("block", "header", "index", "receipt")


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that a bundle is made of: addresses in 0x-hex, ids and signatures in bytes.

    Attributes:
        devices: (device id, proofs of the transactions with its registry logs): the agreement's
            device, then those of the supporting records, in their order.
        committee_proofs: Proofs of the committee's seating logs.
        evidence: (protocol, record) in counter order.
        supporting: The records that those cite, in order of first citation, then those that the
            claim hears.
        anchor: The record before the run, where the facts start from one.
        mandate: The struct's fields by their names in the contract (bytes as bytes or 0x-hex).
        opened: The proof of the transaction that opened the agreement.
        settlement: The proof of the settlement's transaction.
        parties: Agreement -> (payee, window), for each claim of the settlement's batch.
        effects: (id, message) of the payment's effects, in their order.
        ledger: (entry, hash before it, its hash), in journal order: the payment's `settled` or
            `debt_recorded` and its payout's `released`, `redeemed`, `payout_booked`.
        payout: The proof of the release.
        redemption: The proof of the redemption, where it is a later transaction.
        order: The payout id.
        bank_file: The pain.001.
        bank_line: The statement, and the line's path in it.
    """

    chain_id: int
    rail: str
    registry: str
    committee: str
    devices: Sequence[tuple[bytes, Sequence[Proof]]]
    committee_proofs: Sequence[Proof]
    evidence: Sequence[tuple[str, bytes]]
    supporting: Sequence[tuple[str, bytes]]
    anchor: tuple[str, bytes] | None
    product: str
    mandate_version: int
    mandate: Mapping[str, Any]
    mandate_signature: bytes
    opened: Proof
    settlement: Proof
    agreement: bytes
    sequence: int
    parties: Mapping[bytes, tuple[str, Window]]
    effects: Sequence[tuple[str, str]] = ()
    ledger: Sequence[tuple[Entry, str, str]] | None = None
    token: str = ""
    order: bytes = b""
    payout: Proof | None = None
    redemption: Proof | None = None
    bank_file: bytes | None = None
    bank_line: tuple[bytes, str] | None = None


def assemble(parts: Parts) -> dict[str, Any]:
    """Return a sealed bundle, JSON-ready.

    Raises:
        Rejected: The settlement's proof is not of a `settle` call with this claim.
    """
    _, claims, signatures = settle_call(
        _value(parts.settlement, "transaction"), unhex(parts.rail.lower(), "rail", 20)
    )
    position = _position(claims, parts)
    return sealed(
        {
            "version": VERSION,
            "chain": {
                "id": parts.chain_id,
                "rail": parts.rail.lower(),
                "registry": parts.registry.lower(),
                "committee": parts.committee.lower(),
            },
            "devices": [
                {"id": _hex(device), "history": _receipts(proofs)}
                for device, proofs in parts.devices
            ],
            "evidence": [_record(*record) for record in parts.evidence],
            "supporting": [_record(*record) for record in parts.supporting],
            "anchor": _record(*parts.anchor) if parts.anchor else None,
            "product": parts.product,
            "batch": {
                "claims": [_claim_fields(claim) for claim in claims],
                "position": position,
                "signatures": [_hex(signature) for signature in signatures],
            },
            "mandate": {
                "version": parts.mandate_version,
                "fields": {
                    name: _plain(parts.mandate[name]) for name in MANDATES[parts.mandate_version]
                },
                "signature": _hex(parts.mandate_signature),
                "opened": _receipt(parts.opened),
            },
            "committee": _receipts(parts.committee_proofs),
            "settlement": _settlement(parts, claims, position),
            "effects": [{"id": name, "message": message} for name, message in parts.effects],
            "ledger": _ledger(parts),
            "payout": _payout(parts),
            "bank_file": _file(parts.bank_file) if parts.bank_file else None,
            "bank_line": _line(parts),
        }
    )


def _position(claims: Sequence[Claim], parts: Parts) -> int:
    for place, claim in enumerate(claims):
        if (claim.agreement, claim.sequence) == (parts.agreement, parts.sequence):
            return place
    raise unproven("the settlement holds no claim of that agreement and sequence")


def _settlement(parts: Parts, claims: Sequence[Claim], position: int) -> dict[str, Any]:
    logs = events(
        receipt_logs(_value(parts.settlement, "receipt")), unhex(parts.rail.lower(), "rail", 20)
    )
    settled = [arguments for name, arguments in logs if name == "Settled"]
    if len(settled) != 1:
        raise unproven(f"the settlement's receipt holds {len(settled)} Settled logs")
    at, packed = settled[0][3:5]
    outcomes = unpack(packed)
    leaves = leaves_of(claims, outcomes, parts.parties, at)
    own = outcomes[position]
    window = Window(0) if own.refusal else parts.parties[parts.agreement][1]
    return {
        **_receipt(parts.settlement),
        "transaction": list(parts.settlement["transaction"]),
        "amount_micro": own.amount_micro,
        "refusal": own.refusal,
        "release_at": release_time(own, at, window),
        "path": [_hex(node) for node in path(leaves, position)],
    }


def _ledger(parts: Parts) -> list[dict[str, Any]] | None:
    if parts.ledger is None:
        return None
    return [
        {
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "ref": entry.ref,
            "at": entry.at,
            "source": entry.source,
            "postings": [
                {
                    "account": posting.account,
                    "asset": posting.asset,
                    "amount_minor": posting.amount_minor,
                }
                for posting in entry.postings
            ],
            "previous": previous,
            "hash": entry_hash,
        }
        for entry, previous, entry_hash in parts.ledger
    ]


def _payout(parts: Parts) -> dict[str, Any] | None:
    if parts.payout is None:
        return None
    return {
        **_receipt(parts.payout),
        "redeemed": _receipt(parts.redemption) if parts.redemption else None,
        "token": parts.token.lower(),
        "order": _hex(parts.order),
    }


def _line(parts: Parts) -> dict[str, str] | None:
    if parts.bank_line is None:
        return None
    content, path_ = parts.bank_line
    return {**_file(content), "path": path_}


def _value(proof: Proof, part: str) -> bytes:
    """Return the transaction or the receipt that a proof leads to."""
    header = Header(unhex(proof["header"], "header"))
    root = header.transactions_root if part == "transaction" else header.receipts_root
    return proven(root, proof["index"], [unhex(node, part) for node in proof[part]])


def _receipts(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    """Return each receipt once, in the order of the chain."""
    distinct = {(proof["block"], proof["index"]): proof for proof in proofs}

    def place(proof: Proof) -> tuple[int, int]:
        return Header(unhex(proof["header"], "header")).number, proof["index"]

    return [_receipt(proof) for proof in sorted(distinct.values(), key=place)]


def _receipt(proof: Proof) -> dict[str, Any]:
    return {part: proof[part] for part in _RECEIPT}


def _record(protocol: str, record: bytes) -> dict[str, str]:
    return {
        "protocol": protocol,
        "sha256": _hex(sha256(record).digest()),
        "record": b64encode(record).decode(),
    }


def _file(content: bytes) -> dict[str, str]:
    return {"sha256": _hex(sha256(content).digest()), "content": b64encode(content).decode()}


def _claim_fields(claim: Claim) -> dict[str, Any]:
    return {
        "agreement": _hex(claim.agreement),
        "sequence": claim.sequence,
        "first_counter": claim.first_counter,
        "last_counter": claim.last_counter,
        "evidence": _hex(claim.evidence),
        "facts": _hex(claim.facts),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return _hex(value)
    return value.lower() if isinstance(value, str) else value


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
