"""Loads the facts of devices, chain, ledger and bank, and compares them; it changes nothing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.payout import Stage as PayoutStage
from orchestrator.core.reconcile import (
    AtRisk,
    BankFacts,
    ChainFacts,
    ContractTotals,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    OpenDebt,
    PayoutRejection,
    Reconciliation,
    Redemption,
    SettlementMoves,
    StatementBalances,
    StatementLine,
    reconcile,
)
from orchestrator.core.references import account_number, attempted, end_to_end_id
from orchestrator.core.risk import at_risk
from orchestrator.core.waterfall import WaterfallTerms, terms_of_log
from orchestrator.edges.store import (
    Session,
    agreements,
    bank_files,
    blocks,
    breaks,
    debts,
    exposure,
    payments,
    payouts,
)
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.steps.device_facts import device_facts
from orchestrator.steps.outcomes import settled_amounts

# (number, hash of a block, the waterfalls that were created up to it by address)
TotalsReader = Callable[[int, str, Mapping[str, WaterfallTerms]], ContractTotals]
_TOKENS = {"token": "issued"}  # kinds of token accounts in the ledger under other names


def reconcile_store(
    session: Session,
    account: str,
    now: int | None = None,
    read_totals: TotalsReader | None = None,
) -> Reconciliation:
    """Compare all sides of one rail at its newest final block.

    Args:
        session: A session of the store.
        account: The IBAN of the safeguarding account.
        now: Unix seconds, which decide whose dispute window is open; None: the newest block's time.
        read_totals: Asks a node what the contracts hold at the newest final block; None: the stored
            logs alone stand for the chain.

    Raises:
        Retry: The node does not answer.
    """
    newest = blocks.newest(session)
    at = now if now is not None else newest.timestamp if newest else 0
    lines = bank_files.all_lines(session)
    return reconcile(
        _chain(session, read_totals),
        _ledger(session, at),
        _bank(session, account_number(account), lines),
        device_facts(session, at),
    )


def _chain(session: Session, read_totals: TotalsReader | None) -> ChainFacts:
    final = blocks.newest_final(session)
    block = blocks.at(session, final) if final and read_totals else None
    totals = None
    if read_totals and block:
        totals = read_totals(block.number, block.hash, waterfalls(session, final))
    times = blocks.times(session)
    logs = [
        (log.name, json.loads(log.args), times.get(log.block_number, 0))
        for log in blocks.logs_named(session, ("Minted", "Redeemed"))
        if log.block_number <= final
    ]
    mints = [
        Mint(_raw(args["credit"]), args["amount"], at)
        for name, args, at in logs
        if name == "Minted"
    ]
    redemptions = [
        Redemption(_raw(args["order"]), args["cents"] * ledger.MICRO_PER_CENT, at)
        for name, args, at in logs
        if name == "Redeemed"
    ]
    supply = sum(mint.amount_micro for mint in mints) - sum(
        redemption.amount_micro for redemption in redemptions
    )
    amounts = [
        (_raw(log.tx_hash), settled_amounts(json.loads(log.args)["outcomes"]))
        for log in blocks.logs_named(session, ("Settled",))
        if log.block_number <= final
    ]
    charges = [
        SettlementMoves(tx, sum(amount for amount in moved if amount > 0)) for tx, moved in amounts
    ]
    debt_recorded = [
        SettlementMoves(tx, -sum(amount for amount in moved if amount < 0)) for tx, moved in amounts
    ]
    owed = sum(credit.amount_micro for credit in debt_recorded) - _no_longer_owed(session, final)
    if totals is not None:
        supply = totals.supply_micro
    return ChainFacts(supply, redemptions, mints, charges, debt_recorded, owed, totals)


def waterfalls(session: Session, final: int) -> dict[str, WaterfallTerms]:
    """Return {address: terms} of the waterfalls that were created up to a block."""
    return {
        args["waterfall"]: terms_of_log(args["terms"])
        for log in blocks.logs_named(session, ("WaterfallCreated",))
        if log.block_number <= final and (args := json.loads(log.args))
    }


def _no_longer_owed(session: Session, final: int) -> int:
    """Return what payees no longer owe: it is paid, or the payment was refunded as well."""
    logs = blocks.logs_named(session, ("DebtPaid", "DebtCancelled"))
    return sum(json.loads(log.args)["amount"] for log in logs if log.block_number <= final)


def _ledger(session: Session, now: int) -> Ledger:
    minted = [
        LedgerFunding(_raw(entry.ref), _sum(entry, ledger.FUNDING))
        for _, entry in store_ledger.entries_of_kind(session, "minted")
    ]
    references = {
        row.reference: _raw(row.agreement_id) for row in agreements.all_agreements(session)
    }
    balances = {account: total for (account, _), total in store_ledger.balances(session).items()}
    return Ledger(
        _payouts(session),
        minted,
        references,
        _settlements(session, "settled"),
        _settlements(session, "debt_recorded"),
        _sum_of(balances, ledger.receivable("")),
        _open_debts(session),
        _pending(balances),
        _at_risk(session, now),
        balances.get(ledger.SAFEGUARDING, 0),
        _refs(session, "allocated"),
        _refs(session, "unallocated"),
        _tokens(session),
        {
            account: -total
            for account, total in balances.items()
            if account.startswith((ledger.share("", "")[:-1], ledger.holder("")))
        },
    )


def _tokens(session: Session) -> dict[str, int]:
    """Return the sum of each kind of token account: what the contracts hold in one number."""
    sums: Counter[str] = Counter()
    for (account, asset), total in store_ledger.balances(session).items():
        if asset == ledger.TEUR:
            sums[account.partition(":")[0]] += total if account == ledger.ISSUED else -total
    return {_TOKENS.get(kind, kind): total for kind, total in sums.items()}


def _refs(session: Session, kind: str) -> frozenset[bytes]:
    return frozenset(_raw(entry.ref) for _, entry in store_ledger.entries_of_kind(session, kind))


def _payouts(session: Session) -> list[LedgerPayout]:
    """Return the payouts: redemptions on chain, and credits that two officers had sent back."""
    ibans = {party.address: party.iban or "" for party in agreements.parties(session)}
    rows = {row.payout_id: row for row in payouts.all_payouts(session)}
    entries = [
        entry
        for kind in ("redeemed", "sent_back")
        for _, entry in store_ledger.entries_of_kind(session, kind)
    ]
    return [
        LedgerPayout(
            _raw(row.payout_id),
            row.end_to_end_id,
            -_sum(entry, ledger.IN_TRANSIT),
            ibans.get(row.payee, ""),
            row.batch,
            date.fromisoformat(row.due_on) if row.due_on else None,
            _earlier(row),
            _raw(entry.ref) if entry.kind == "sent_back" else b"",
        )
        for entry in entries
        if (row := rows.get(entry.ref)) is not None
    ]


def _earlier(row: payouts.PayoutRow) -> tuple[str, ...]:
    """Return the EndToEndIds of the orders before this one, oldest first."""
    payout = _raw(row.payout_id)
    return tuple(end_to_end_id(attempted(payout, attempt)) for attempt in range(row.attempt))


def _sum_of(balances: Mapping[str, int], start: str) -> int:
    return sum(total for account, total in balances.items() if account.startswith(start))


def _pending(balances: Mapping[str, int]) -> dict[str, int]:
    start = ledger.pending("")
    return {
        account.removeprefix(start): -total
        for account, total in balances.items()
        if account.startswith(start)
    }


def _open_debts(session: Session) -> list[OpenDebt]:
    return [
        OpenDebt(
            _raw(row.payment_id),
            row.payee.lower(),
            debts.open_micro(row),
            row.noted_at,
        )
        for row in debts.all_open(session)
    ]


def _at_risk(session: Session, now: int) -> list[AtRisk]:
    """Return payments at risk, each once, also where it rests on two stolen keys."""
    risks = {
        risk.payment_id: AtRisk(
            _raw(risk.payment_id), risk.amount_micro, risk.remedy, risk.first_observed_at
        )
        for device, since in agreements.compromised(session).items()
        for risk in at_risk(exposure.exposed(session, device), since, now)
        if risk.is_open
    }
    return list(risks.values())


def _settlements(session: Session, kind: str) -> list[SettlementMoves]:
    settled = {
        entry.ref: sum(p.amount_minor for p in entry.postings if p.amount_minor > 0)
        for _, entry in store_ledger.entries_of_kind(session, kind)
    }
    return [
        SettlementMoves(_raw(row.settlement_tx or ""), settled[row.payment_id])
        for row in payments.by_ids(session, settled)
    ]


def _bank(session: Session, account: str, lines: Sequence[StatementLine]) -> BankFacts:
    received = breaks.received(session)
    balances = [
        StatementBalances(
            row.account,
            row.statement,
            date.fromisoformat(row.day),
            row.opening_minor,
            row.closing_minor,
            source=_raw(row.file_hash),
            received_at=received.get(row.file_hash, 0),
        )
        for row in bank_files.statements(session)
        if row.day is not None
    ]
    return BankFacts(account, lines, balances, _rejections(session, lines))


def _rejections(session: Session, lines: Sequence[StatementLine]) -> list[PayoutRejection]:
    """Return what the bank refused, and earlier orders of payouts that no line mentions."""
    booked = {line.end_to_end_id for line in lines}
    rows = payouts.all_payouts(session)
    return [
        PayoutRejection(row.end_to_end_id, row.reason or "")
        for row in rows
        if row.stage == PayoutStage.REJECTED
    ] + [PayoutRejection(name, "") for row in rows for name in _earlier(row) if name not in booked]


def _sum(entry: ledger.Entry, account: str) -> int:
    return sum(p.amount_minor for p in entry.postings if p.account == account)


def _raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
