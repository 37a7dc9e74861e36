"""Compares chain, ledger and bank from their own records; run on demand, it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.reconcile import (
    AtRisk,
    Balances,
    Bank,
    Chain,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    OpenCredit,
    Reconciliation,
    Redemption,
    Rejection,
    Settlement,
    reconcile,
)
from orchestrator.core.risk import at_risk
from orchestrator.edges.store import (
    Session,
    agreements,
    blocks,
    books,
    credits,
    exposure,
    payments,
)
from orchestrator.edges.store import transfers as store
from orchestrator.steps.outcomes import settled_amounts


def reconcile_store(session: Session, account: str, now: int | None = None) -> Reconciliation:
    """The three sides of one rail at its newest final block. account: the safeguarding IBAN.

    now: Unix seconds, which tells whose challenge window is open; left out: the newest block's.
    """
    newest = blocks.newest(session)
    at = now if now is not None else newest.timestamp if newest else 0
    return reconcile(_chain(session), _ledger(session, at), _bank(session, account))


def _chain(session: Session) -> Chain:
    final = blocks.newest_final(session)
    logs = [
        (log.name, json.loads(log.args))
        for log in blocks.logs_named(session, ("Minted", "Redeemed"))
        if log.block_number <= final
    ]
    mints = [
        Mint(_raw(args["credit"]), args["amount"]) for name, args in logs if name == "Minted"
    ]
    redemptions = [
        Redemption(_raw(args["order"]), args["cents"] * ledger.MICRO_PER_CENT)
        for name, args in logs if name == "Redeemed"
    ]  # fmt: skip
    supply = sum(m.amount_micro for m in mints) - sum(r.amount_micro for r in redemptions)
    amounts = [
        (_raw(log.tx_hash), settled_amounts(json.loads(log.args)["outcomes"]))
        for log in blocks.logs_named(session, ("Settled",)) if log.block_number <= final
    ]  # fmt: skip
    charges = [Settlement(tx, sum(a for a in found if a > 0)) for tx, found in amounts]
    credited = [Settlement(tx, -sum(a for a in found if a < 0)) for tx, found in amounts]
    owed = sum(credit.amount_micro for credit in credited) - _paid_back(session, final)
    return Chain(supply, redemptions, mints, charges, credited, owed)


def _paid_back(session: Session, final: int) -> int:
    logs = blocks.logs_named(session, ("CreditPaid",))
    return sum(json.loads(log.args)["amount"] for log in logs if log.block_number <= final)


def _ledger(session: Session, now: int) -> Ledger:
    ibans = {party.address: party.iban or "" for party in agreements.parties(session)}
    payouts = [
        LedgerPayout(
            _raw(entry.ref), row.end_to_end_id, -_sum(entry, ledger.IN_TRANSIT),
            ibans.get(row.payee, ""),
        )
        for _, entry in books.entries_of_kind(session, "redeemed")
        if (row := store.payout(session, entry.ref)) is not None
    ]  # fmt: skip
    minted = [
        LedgerFunding(_raw(entry.ref), _sum(entry, ledger.FUNDING))
        for _, entry in books.entries_of_kind(session, "minted")
    ]
    references = {
        row.reference: _raw(row.agreement_id) for row in agreements.all_agreements(session)
    }
    balances = {account: total for (account, _), total in books.balances(session).items()}
    return Ledger(
        payouts, minted, references, _settlements(session, "settled"),
        _settlements(session, "credited"), _sum_of(balances, ledger.receivable("")),
        _open_credits(session), _pending(balances), _at_risk(session, now),
    )  # fmt: skip


def _sum_of(balances: Mapping[str, int], start: str) -> int:
    return sum(total for account, total in balances.items() if account.startswith(start))


def _pending(balances: Mapping[str, int]) -> dict[str, int]:
    start = ledger.pending("")
    return {
        account.removeprefix(start): -total
        for account, total in balances.items() if account.startswith(start)
    }  # fmt: skip


def _open_credits(session: Session) -> list[OpenCredit]:
    return [
        OpenCredit(
            _raw(row.payment_id), row.payee.lower(), row.amount_micro - row.paid_micro,
            row.noted_at,
        )
        for row in credits.all_open(session)
    ]  # fmt: skip


def _at_risk(session: Session, now: int) -> list[AtRisk]:
    """A payment that rests on two stolen keys is at risk once."""
    found = {
        risk.payment_id: AtRisk(
            _raw(risk.payment_id), risk.amount_micro, risk.remedy, risk.first_observed_at
        )
        for device, since in exposure.compromised(session).items()
        for risk in at_risk(exposure.exposed(session, device), since, now) if risk.is_open
    }  # fmt: skip
    return list(found.values())


def _settlements(session: Session, kind: str) -> list[Settlement]:
    settled = {
        entry.ref: sum(p.amount_minor for p in entry.postings if p.amount_minor > 0)
        for _, entry in books.entries_of_kind(session, kind)
    }
    return [
        Settlement(_raw(row.settlement_tx or ""), settled[row.payment_id])
        for row in payments.by_ids(session, settled)
    ]


def _bank(session: Session, account: str) -> Bank:
    balances = [
        Balances(row.account, row.statement, date.fromisoformat(row.day), row.opening_minor,
                 row.closing_minor)
        for row in store.statements(session) if row.day is not None
    ]  # fmt: skip
    rejections = [
        Rejection(row.end_to_end_id, row.reason or "")
        for row in store.all_payouts(session) if row.stage == "rejected"
    ]  # fmt: skip
    return Bank(account, store.lines(session), balances, rejections)


def _sum(entry: ledger.Entry, account: str) -> int:
    return sum(p.amount_minor for p in entry.postings if p.account == account)


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
