"""Compares chain, ledger and bank from their own records; run on demand, it changes nothing."""

from __future__ import annotations

import json
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.reconcile import (
    Balances,
    Bank,
    Chain,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    Reconciliation,
    Redemption,
    Rejection,
    Settlement,
    reconcile,
)
from orchestrator.edges.store import Session, agreements, blocks, books, payments
from orchestrator.edges.store import transfers as store
from orchestrator.steps.outcomes import settled_amounts


def reconcile_store(session: Session, account: str) -> Reconciliation:
    """The three sides of one rail at its newest final block. account: the safeguarding IBAN."""
    return reconcile(_chain(session), _ledger(session), _bank(session, account))


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
    settlements = [
        Settlement(_raw(log.tx_hash), sum(settled_amounts(json.loads(log.args)["outcomes"])))
        for log in blocks.logs_named(session, ("Settled",)) if log.block_number <= final
    ]  # fmt: skip
    return Chain(supply, redemptions, mints, settlements)


def _ledger(session: Session) -> Ledger:
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
    return Ledger(payouts, minted, references, _settlements(session))


def _settlements(session: Session) -> list[Settlement]:
    settled = {
        entry.ref: sum(p.amount_minor for p in entry.postings if p.amount_minor > 0)
        for _, entry in books.entries_of_kind(session, "settled")
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
