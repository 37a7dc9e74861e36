"""Builds the audit bundle of one payment from the store and the deployment alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from device_adapters.types import Rejected, device_id
from orchestrator.core.audit import Parts, assemble
from orchestrator.core.committee import BARRED
from orchestrator.core.ledger import Entry
from orchestrator.core.outcome import Window
from orchestrator.core.payout import Stage as PayoutStage
from orchestrator.edges.store import (
    Session,
    agreements,
    bank_files,
    blocks,
    citations,
    debts,
    effects,
    evidence,
    ledger,
    payments,
    payouts,
)
from orchestrator.errors import Halt

if TYPE_CHECKING:  # its module loads web3, and only its plain values are needed here
    from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.rails import COMMITTEE, REGISTRY, emitter, rail_of, serving

_DEVICE_LOGS = (
    "DeviceEnrolled",
    "KeyRotated",
    "DeviceSuspended",
    "DeviceResumed",
    "DeviceRevoked",
    "CompromiseDeclared",
    "CompromiseRuled",
    "GatewayAssigned",
    "DeviceAdopted",
)
_SEATING_LOGS = ("MemberSeated", "MemberUnseated", *BARRED)
_PAYOUT_ENTRIES = ("redeemed", "payout_booked")


class ExportReason(StrEnum):
    """Why there is no bundle. The codes are stable."""

    PAYMENT_UNKNOWN = "payment_unknown"
    NOT_SETTLED = "not_settled"  # no final settlement contains the claim, so nothing can be proven
    PROOF_MISSING = "proof_missing"  # the proof of a transaction was not archived


@dataclass(frozen=True, slots=True)
class Export:
    """A sealed bundle (JSON-ready) and the parts that it does not contain yet, as text."""

    bundle: dict[str, Any]
    missing: tuple[str, ...]


def export(session: Session, payment: str, deployment: Deployment) -> Export:
    """Return the bundle of a payment at its current stage.

    Args:
        payment: Payment id, 0x-hex.

    Raises:
        Rejected: with an ExportReason.
        Halt: the store contradicts the proofs of the chain.
    """
    row = next(iter(payments.by_ids(session, [payment])), None)
    if row is None:
        raise Rejected(ExportReason.PAYMENT_UNKNOWN, f"no payment {payment} is in this store")
    parts = gather(session, row, deployment)
    try:
        bundle = assemble(parts)
    except Rejected as error:
        raise Halt(
            f"payment {payment}: the store and the chain's proofs differ ({error}). No bundle was "
            "made. Run `proofrail trace` for it and compare the result with the chain."
        ) from error
    return Export(bundle, _missing(session, row, bundle))


def gather(session: Session, row: payments.PaymentRow, deployment: Deployment) -> Parts:
    """Return all parts of a payment's bundle; raises Rejected with an ExportReason."""
    agreement = agreements.get(session, row.agreement_id)
    settlement = _settlement_proof(session, row)
    supporting = citations.supporting_of(session, row.payment_id)
    rail = rail_of(deployment, agreement.product_address)
    registry, committee = (serving(deployment, rail, name) for name in (REGISTRY, COMMITTEE))
    addresses = deployment.addresses
    devices = _device_ids(session, row, agreement.device_id, supporting)
    return Parts(
        chain_id=deployment.chain_id,
        rail=addresses[rail],
        registry=addresses[registry],
        committee=addresses[committee],
        devices=_devices(session, devices, deployment, registry),
        committee_proofs=_proofs(session, _seating(session, row.settlement_tx, deployment, rail)),
        evidence=_records(session, row),
        supporting=[(protocol, body) for _, body, protocol in supporting],
        anchor=_anchor(session, row),
        product=agreement.product,
        mandate_version=agreement.mandate_version,
        mandate=agreements.mandate_of(agreement).values(),
        mandate_signature=_raw(agreement.signature),
        opened=_opened(session, agreement),
        settlement=settlement,
        agreement=_raw(row.agreement_id),
        sequence=row.sequence,
        parties=_parties(session, row),
        effects=[(e.effect_id, e.message) for e in effects.of_payment(session, row.payment_id)],
        ledger=_ledger(session, row),
        **_payout(session, row, addresses["EuroToken"]),
    )


# --- chain


def _settlement_proof(session: Session, row: payments.PaymentRow) -> dict[str, Any]:
    body = blocks.proof(session, row.settlement_tx) if row.settlement_tx else None
    if body is None:
        raise Rejected(
            ExportReason.NOT_SETTLED,
            f"payment {row.payment_id} is '{row.stage}' and no final block contains its "
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


def _seating(
    session: Session, settlement_tx: str, deployment: Deployment, rail: str
) -> list[blocks.ChainLogRow]:
    """Return the logs of the rail's committee before the settlement; later ones do not matter."""
    committee = serving(deployment, rail, COMMITTEE)
    settled = blocks.log_of(session, settlement_tx, "Settled")
    before = (settled.block_number, settled.log_index)
    logs = blocks.logs_named(session, _SEATING_LOGS)
    return [
        log
        for log in logs
        if (log.block_number, log.log_index) < before
        and emitter(deployment, COMMITTEE, log.address) == committee
    ]


def _opened(session: Session, agreement: agreements.AgreementRow) -> dict[str, Any]:
    logs = blocks.logs_about(session, ("AgreementOpened",), agreement.agreement_id)
    if not logs:
        detail = f"the opening of agreement {agreement.agreement_id} is not in this store"
        raise Rejected(ExportReason.PROOF_MISSING, detail)
    return _proof(session, logs[0].tx_hash)


# --- device and payer


def _device_ids(
    session: Session, row: payments.PaymentRow, own: str, supporting: Sequence[tuple[Any, ...]]
) -> list[str]:
    """Return the devices of a payment's records, its own first, then the gateways that signed."""
    events = [
        event for event, _, _ in evidence.of_payments(session, [row.payment_id])[row.payment_id]
    ]
    gateways = [event.gateway for event in events]
    gateways += [anchor.gateway] if (anchor := _anchor_record(session, row)) else []
    gateways += [event.gateway for event, _, _ in supporting]
    devices = [own, *(event.device_id for event, _, _ in supporting)]
    return devices + ["0x" + device_id(name).hex() for name in gateways if name]


def _devices(
    session: Session, ids: Sequence[str], deployment: Deployment, registry: str
) -> list[tuple[bytes, list[dict[str, Any]]]]:
    """Return each device once, with the proofs of all its logs of one registry.

    Where that took the device over from the one before, those of the one before as well.
    """
    lives = blocks.logs_of_devices(session, _DEVICE_LOGS, list(dict.fromkeys(ids)))
    return [
        (_raw(device), _proofs(session, _life_of(logs, deployment, registry)))
        for device, logs in lives.items()
    ]


def _life_of(
    logs: Sequence[blocks.ChainLogRow], deployment: Deployment, registry: str
) -> list[blocks.ChainLogRow]:
    own = [(log, json.loads(log.args), emitter(deployment, REGISTRY, log.address)) for log in logs]
    predecessors = {
        emitter(deployment, REGISTRY, args["predecessor"])
        for log, args, made_by in own
        if log.name == "DeviceAdopted" and made_by == registry
    }
    return [log for log, _, made_by in own if made_by in {registry, *predecessors}]


def _records(session: Session, row: payments.PaymentRow) -> list[tuple[str, bytes]]:
    records = evidence.of_payments(session, [row.payment_id])[row.payment_id]
    return [(protocol, body) for _, body, protocol in records]


def _anchor(session: Session, row: payments.PaymentRow) -> tuple[str, bytes] | None:
    """Return the last record claimed before this payment, where its facts may start.

    None for late records, whose counters earlier claims have passed, and behind records that payer
    and payee passed over.
    """
    record = _anchor_record(session, row)
    return (record.protocol, record.body) if record else None


def _anchor_record(session: Session, row: payments.PaymentRow) -> evidence.Record | None:
    last = payments.claimed_before(session, row.agreement_id, row.sequence)
    if last is None or row.first_counter <= last:
        return None
    agreement = agreements.get(session, row.agreement_id)
    if agreement and agreements.is_passed_over(session, agreement, row.sequence, last):
        return None
    return evidence.at_counter(session, row.agreement_id, last)


def _parties(session: Session, row: payments.PaymentRow) -> dict[bytes, tuple[str, Window]]:
    batch = payments.of_settlement(session, row.settlement_tx)
    rows = agreements.by_ids(session, {payment.agreement_id for payment in batch})
    return {
        _raw(payment.agreement_id): (
            payments.payee_of(payment, rows[payment.agreement_id]),
            Window(rows[payment.agreement_id].window_s, rows[payment.agreement_id].mandate_version),
        )
        for payment in batch
    }


# --- ledger and bank


def _ledger(session: Session, row: payments.PaymentRow) -> list[tuple[Entry, str, str]]:
    """Return the entries of the payment and of its payout, in journal order."""
    # the bundle contains the payment's entry only if money moved
    wanted = [(row.payment_id, ("settled", "debt_recorded"))] if row.amount_micro else []
    payout, release = _payout_of(session, row), _release(session, row)
    if payout is not None:
        wanted += [(payout.payout_id, _PAYOUT_ENTRIES), (release, ())]
    kinds = dict(wanted)
    entries = [
        (stored.number, entry, ledger.hash_before(session, stored.number), stored.hash)
        for stored, entry in ledger.entries_of(session, list(kinds))
        if entry.kind in (kinds[entry.ref] or ("released",))
    ]
    return [item[1:] for item in entries]


def _release(session: Session, row: payments.PaymentRow) -> str:
    """Return the reference of the ledger entry of this payment's release.

    "" if there is none: disputed and upheld money is withdrawable without a release.
    """
    payee = payments.payee_of(row, agreements.get(session, row.agreement_id)).lower()
    for log in blocks.logs_in_transaction(session, row.release_tx or ""):
        args = json.loads(log.args)
        if log.name != "Released" or args["payee"].lower() != payee:
            continue
        if row.release_at in args["releaseTimes"]:
            return f"{log.tx_hash}:{log.log_index}"
    return ""


def _payout_of(session: Session, row: payments.PaymentRow) -> payouts.PayoutRow | None:
    """Return the payout of a payment if its release can be proven."""
    shown = row.payout_id and _release(session, row)
    return payouts.get(session, row.payout_id) if shown else None


def _payout(session: Session, row: payments.PaymentRow, token: str) -> dict[str, Any]:
    payout = _payout_of(session, row)
    if payout is None:
        return {}
    apart = row.release_tx != payout.tx_hash  # an amount below one cent is redeemed later
    parts: dict[str, Any] = {
        "token": token,
        "order": _raw(payout.payout_id),
        "payout": _proof(session, row.release_tx),
        "redemption": _proof(session, payout.tx_hash) if apart else None,
    }
    order = bank_files.get(session, payout.file_hash) if payout.file_hash else None
    if order is not None:
        parts["bank_file"] = order.body
        parts["bank_line"] = _bank_line(session, payout)
    return parts


def _bank_line(session: Session, payout: payouts.PayoutRow) -> tuple[bytes, str] | None:
    """Return the bank line that paid it, from a statement (camt.053) if there is one."""
    if payout.stage != PayoutStage.BOOKED:
        return None
    lines = [
        line
        for line in bank_files.lines_of(session, payout.end_to_end_id)
        if line.amount_minor == -payout.cents and not line.is_return
    ]
    if not lines:
        return None
    line = min(lines, key=lambda candidate: (candidate.kind, candidate.source, candidate.path))
    file = bank_files.get(session, line.source.hex())
    return file.body, line.path


# --- missing parts


def _missing(session: Session, row: payments.PaymentRow, bundle: dict[str, Any]) -> tuple[str, ...]:
    if bundle["settlement"]["refusal"]:
        return (
            f"the contract refused this claim ({row.reason}): no money moved, so there is "
            "no ledger entry, payout or bank line",
        )
    if row.amount_micro < 0:
        return (_debt_text(session, row),)
    missing = []
    if bundle["payout"] is None:
        upheld = ", without a release because it was disputed" if row.payout_id else ""
        missing.append(f"payout: the payment is '{row.stage}'{upheld}")
    if bundle["bank_file"] is None:
        payout = payouts.get(session, row.payout_id) if row.payout_id else None
        because = f" ({payout.reason})" if payout and payout.reason else ""
        missing.append(f"bank order: no file to the bank contains it{because}")
    if bundle["bank_line"] is None:
        missing.append("statement line: the bank has not reported the debit")
    return tuple(missing)


def _debt_text(session: Session, row: payments.PaymentRow) -> str:
    debt = debts.of_payment(session, row.payment_id)
    if debt is None:
        return "payout: the payee owes this amount to the agreement and has paid nothing of it"
    owed, paid = (f"{Decimal(m).scaleb(-6):,.6f}" for m in (debt.amount_micro, debt.paid_micro))
    return f"payout: the payee owes {owed} EUR to the agreement and has paid {paid} EUR of it"


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
