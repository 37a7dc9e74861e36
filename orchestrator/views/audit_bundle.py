"""Gathers one payment's audit bundle from the store and the deployment, and asks nobody else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from device_adapters.types import Rejected
from orchestrator.core.audit import Parts, assemble
from orchestrator.core.ledger import Entry
from orchestrator.core.payout import Stage as PayoutStage
from orchestrator.edges.store import (
    Session,
    agreements,
    bank_files,
    blocks,
    citations,
    debts,
    evidence,
    ledger,
    payments,
    payouts,
)
from orchestrator.errors import Halt

if TYPE_CHECKING:  # its module loads web3, and only its plain values are needed here
    from orchestrator.edges.chain.deployment import Deployment

_DEVICE_LOGS = (
    "DeviceEnrolled",
    "KeyRotated",
    "DeviceSuspended",
    "DeviceResumed",
    "DeviceRevoked",
    "CompromiseDeclared",
)
_SEATING_LOGS = ("MemberSeated", "MemberUnseated", "MemberBarred")
_PAYOUT_ENTRIES = ("redeemed", "payout_booked")


class ExportReason(StrEnum):
    """Why there is no bundle. Stable codes."""

    PAYMENT_UNKNOWN = "payment_unknown"
    NOT_SETTLED = "not_settled"  # no final settlement holds the claim, so nothing can be proven
    PROOF_MISSING = "proof_missing"  # the store never archived the proof of a transaction


@dataclass(frozen=True, slots=True)
class Export:
    """A sealed bundle (JSON-ready) and, in words, what it does not hold yet, in order."""

    bundle: dict[str, Any]
    missing: tuple[str, ...]


def export(session: Session, payment: str, deployment: Deployment) -> Export:
    """The bundle of a payment (id, 0x-hex) as far as the payment has come.

    Raises Rejected with an ExportFault; Halt where the store contradicts the chain's proofs.
    """
    row = next(iter(payments.by_ids(session, [payment])), None)
    if row is None:
        raise Rejected(ExportReason.PAYMENT_UNKNOWN, f"no payment {payment} is in this store")
    parts = gather(session, row, deployment)
    try:
        bundle = assemble(parts)
    except Rejected as error:
        raise Halt(
            f"payment {payment}: what the store holds and what the chain proves differ ({error}). "
            "No bundle was made; run `proofrail trace` on it and compare it with the chain."
        ) from error
    return Export(bundle, _missing(session, row, bundle))


def gather(session: Session, row: payments.PaymentRow, deployment: Deployment) -> Parts:
    """Everything that the bundle of a payment is made of. Raises Rejected with an ExportFault."""
    agreement = agreements.get(session, row.agreement_id)
    settlement = _settlement_proof(session, row)
    supporting = citations.supporting_of(session, row.payment_id)
    at = deployment.addresses
    return Parts(
        chain_id=deployment.chain_id,
        rail=at["PaymentRail"],
        registry=at["DeviceRegistry"],
        committee=at["OracleCommittee"],
        devices=_devices(session, [agreement.device_id, *(e.device_id for e, _, _ in supporting)]),
        committee_proofs=_proofs(session, _seating(session, row.settlement_tx)),
        evidence=_records(session, row),
        supporting=[(protocol, body) for _, body, protocol in supporting],
        anchor=_anchor(session, row),
        product=agreement.product,
        mandate=_mandate(agreement),
        mandate_signature=_raw(agreement.signature),
        opened=_opened(session, agreement),
        settlement=settlement,
        agreement=_raw(row.agreement_id),
        sequence=row.sequence,
        parties=_parties(session, row),
        ledger=_ledger(session, row),
        **_payout(session, row, at["EuroToken"]),
    )


# --- chain


def _settlement_proof(session: Session, row: payments.PaymentRow) -> dict[str, Any]:
    body = blocks.proof(session, row.settlement_tx) if row.settlement_tx else None
    if body is None:
        raise Rejected(
            ExportReason.NOT_SETTLED,
            f"payment {row.payment_id} stands at '{row.stage}' and no final block holds its "
            "settlement, so nothing can be proven yet",
        )
    return json.loads(body)


def _proofs(session: Session, logs: Sequence[blocks.ChainLogRow]) -> list[dict[str, Any]]:
    final = blocks.newest_final(session)
    hashes = dict.fromkeys(log.tx_hash for log in logs if log.block_number <= final)
    return [_proof(session, tx_hash) for tx_hash in hashes]


def _proof(session: Session, tx_hash: str) -> dict[str, Any]:
    body = blocks.proof(session, tx_hash)
    if body is None:
        raise Rejected(
            ExportReason.PROOF_MISSING, f"no proof of transaction {tx_hash} was archived"
        )
    return json.loads(body)


def _seating(session: Session, settlement_tx: str) -> list[blocks.ChainLogRow]:
    """The committee as it was when it attested: later changes say nothing of this payment."""
    settled = blocks.log_of(session, settlement_tx, "Settled")
    before = (settled.block_number, settled.log_index)
    logs = blocks.logs_named(session, _SEATING_LOGS)
    return [log for log in logs if (log.block_number, log.log_index) < before]


def _opened(session: Session, agreement: agreements.AgreementRow) -> dict[str, Any]:
    logs = blocks.logs_about(session, ("AgreementOpened",), agreement.agreement_id)
    if not logs:
        detail = f"the opening of agreement {agreement.agreement_id} is not in this store"
        raise Rejected(ExportReason.PROOF_MISSING, detail)
    return _proof(session, logs[0].tx_hash)


# --- device and payer


def _devices(session: Session, ids: Sequence[str]) -> list[tuple[bytes, list[dict[str, Any]]]]:
    """Each device once, with the proofs of all that the registry has said of it."""
    return [
        (_raw(device), _proofs(session, blocks.logs_about(session, _DEVICE_LOGS, device)))
        for device in dict.fromkeys(ids)
    ]


def _records(session: Session, row: payments.PaymentRow) -> list[tuple[str, bytes]]:
    found = evidence.of_payments(session, [row.payment_id])[row.payment_id]
    return [(protocol, body) for _, body, protocol in found]


def _anchor(session: Session, row: payments.PaymentRow) -> tuple[str, bytes] | None:
    """The last record claimed before this payment, from which its facts may start; a run that
    came late, behind what claims had passed, starts from none."""
    last = payments.claimed_before(session, row.agreement_id, row.sequence)
    if last is None or row.first_counter <= last:
        return None
    found = evidence.at_counter(session, row.agreement_id, last)
    return (found[1], found[0]) if found else None


def _mandate(row: agreements.AgreementRow) -> dict[str, Any]:
    return {
        "payer": row.payer,
        "payee": row.payee,
        "device": row.device_id,
        "product": row.product_address,
        "cap": row.cap_micro,
        "periodDays": row.period_days,
        "window": row.window_s,
        "expiry": row.expiry,
        "firstCounter": row.first_counter,
        "requiredDomain": row.required_domain,
        "salt": row.salt,
        "terms": row.terms,
    }


def _parties(session: Session, row: payments.PaymentRow) -> dict[bytes, tuple[str, int]]:
    batch = payments.of_settlement(session, row.settlement_tx)
    rows = agreements.by_ids(session, {each.agreement_id for each in batch})
    return {
        _raw(each.agreement_id): (
            payments.payee_of(each, rows[each.agreement_id]),
            rows[each.agreement_id].window_s,
        )
        for each in batch
    }


# --- books and bank


def _ledger(session: Session, row: payments.PaymentRow) -> list[tuple[Entry, str, str]]:
    """The payment's own entry and those of its payout, in the journal's order."""
    # an empty entry says nothing: a bundle holds one only where money moved
    wanted = [(row.payment_id, ("settled", "debt_recorded"))] if row.amount_micro else []
    payout, release = _payout_of(session, row), _release(session, row)
    if payout is not None:
        wanted += [(payout.payout_id, _PAYOUT_ENTRIES), (release, ())]
    kinds = dict(wanted)
    found = [
        (stored.number, entry, ledger.hash_before(session, stored.number), stored.hash)
        for stored, entry in ledger.entries_of(session, list(kinds))
        if entry.kind in (kinds[entry.ref] or ("released",))
    ]
    return [item[1:] for item in found]


def _release(session: Session, row: payments.PaymentRow) -> str:
    """The reference of the entry that this payment's release was booked under, "" if none was:
    money that was disputed and upheld is withdrawable without one."""
    payee = payments.payee_of(row, agreements.get(session, row.agreement_id)).lower()
    for log in blocks.logs_in_transaction(session, row.release_tx or ""):
        args = json.loads(log.args)
        if log.name != "Released" or args["payee"].lower() != payee:
            continue
        if row.release_at in args["releaseTimes"]:
            return f"{log.tx_hash}:{log.log_index}"
    return ""


def _payout_of(session: Session, row: payments.PaymentRow) -> payouts.PayoutRow | None:
    """The payout of a payment whose release can be shown."""
    shown = row.payout_id and _release(session, row)
    return payouts.get(session, row.payout_id) if shown else None


def _payout(session: Session, row: payments.PaymentRow, token: str) -> dict[str, Any]:
    payout = _payout_of(session, row)
    if payout is None:
        return {}
    apart = row.release_tx != payout.tx_hash  # below a cent: redeemed with a later release
    found: dict[str, Any] = {
        "token": token,
        "order": _raw(payout.payout_id),
        "payout": _proof(session, row.release_tx),
        "redemption": _proof(session, payout.tx_hash) if apart else None,
    }
    order = bank_files.get(session, payout.file_hash) if payout.file_hash else None
    if order is not None:
        found["bank_file"] = order.body
        found["bank_line"] = _bank_line(session, payout)
    return found


def _bank_line(session: Session, payout: payouts.PayoutRow) -> tuple[bytes, str] | None:
    """The line that paid it: on the statement (camt.053) if there is one, else as notified."""
    if payout.stage != PayoutStage.BOOKED:
        return None
    lines = [
        line
        for line in bank_files.lines_of(session, payout.end_to_end_id)
        if line.amount_minor == -payout.cents and not line.is_return
    ]
    if not lines:
        return None
    line = min(lines, key=lambda each: (each.kind, each.source, each.path))
    file = bank_files.get(session, line.source.hex())
    return file.body, line.path


# --- what is not there


def _missing(session: Session, row: payments.PaymentRow, bundle: dict[str, Any]) -> tuple[str, ...]:
    if bundle["settlement"]["refusal"]:
        return (
            f"the contract refused this claim ({row.reason}): no money moved, so there is "
            "no ledger entry, payout or bank line",
        )
    if row.amount_micro < 0:
        return (_credit(session, row),)
    found = []
    if bundle["payout"] is None:
        upheld = ", and no release names its money: it was disputed" if row.payout_id else ""
        found.append(f"payout: the payment stands at '{row.stage}'{upheld}")
    if bundle["bank_file"] is None:
        payout = payouts.get(session, row.payout_id) if row.payout_id else None
        because = f" ({payout.reason})" if payout and payout.reason else ""
        found.append(f"bank order: no file to the bank holds it{because}")
    if bundle["bank_line"] is None:
        found.append("statement line: the bank has not reported the debit")
    return tuple(found)


def _credit(session: Session, row: payments.PaymentRow) -> str:
    credit = debts.of_payment(session, row.payment_id)
    paid = f"{credit.paid_micro} of {credit.amount_micro} micro-euro" if credit else "nothing"
    return f"payout: a credit is owed by its payee, who has paid {paid} of it back so far"


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
