"""The comparison: device events, settlements, ledger, statements, and the supply.

The supply check is an identity that only independent reads can break: the supply is what the token
contract says (without a node: what was minted less what was redeemed), the balance is what the
statements say. Every line, mint and redemption
without its counterpart adds a named item; what then remains has no name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from orchestrator.core.reconcile.coverage import coverage, late, repeated
from orchestrator.core.reconcile.debts import name_debts, name_risks
from orchestrator.core.reconcile.devices import Devices, name_orphans, name_records
from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.fundings import match_fundings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.ledgers import (
    compare_bank_account,
    compare_ledger,
    compare_totals,
    unswept,
)
from orchestrator.core.reconcile.lines import distinct
from orchestrator.core.reconcile.payouts import match_payouts, name_charges
from orchestrator.core.reconcile.reserves import items, reserves
from orchestrator.core.reconcile.results import Break, Flow, Reconciliation
from orchestrator.core.reconcile.types import (
    MICRO_PER_CENT,
    BankFacts,
    Booked,
    ChainFacts,
    Ledger,
    Redemption,
    StatementBalances,
)

NO_DEVICES = Devices()


def reconcile(
    chain: ChainFacts, ledger: Ledger, bank: BankFacts, devices: Devices = NO_DEVICES
) -> Reconciliation:
    """Return every match and every break of all sides; the result depends on the facts only.

    Args:
        chain: What the chain says at one final block.
        ledger: What the books say.
        bank: What the bank says since the account was opened.
        devices: What devices recorded, and the settled claims.
    """
    own = {item for item in bank.balances if item.account == bank.account}
    twice = repeated(own, bank.lines)
    findings = BreakFindings(coverage(own - set(twice), bank.opening_cents))
    again = {item.source for item in twice} - {item.source for item in findings.coverage.statements}
    booked = distinct(
        line for line in bank.lines if line.account == bank.account and line.source not in again
    )
    _name_statements(findings, own, twice)
    _name_lines(findings, booked)
    name_records(findings, devices)
    name_orphans(findings, devices.orphans)
    compare_ledger(findings, chain, ledger)
    compare_totals(findings, chain, ledger)
    compare_bank_account(findings, ledger, booked)
    name_debts(findings, ledger.open_debts, ledger.pending)
    name_risks(findings, ledger.at_risk)
    _match(findings, chain, ledger, bank, booked)
    return _conclude(findings, chain, bank, booked)


def _name_statements(
    findings: BreakFindings, own: Iterable[StatementBalances], twice: Iterable[StatementBalances]
) -> None:
    for item in twice:
        findings.broken(
            Leg.BANK,
            BreakKind.DUPLICATE,
            [item.statement],
            [],
            item.closing_minor,
            item.closing_minor,
            closed="sent before, with the same lines: not taken again",
        )
    for item in late(tuple(own)):
        findings.broken(
            Leg.BANK,
            BreakKind.TIMING,
            [item.statement],
            [],
            item.closing_minor,
            item.closing_minor,
            closed=f"of {item.day}, came after that of a later day",
        )
    for index, (closing, opening) in findings.coverage.gaps.items():
        statement = findings.coverage.statements[index]
        findings.broken(
            Leg.BANK, BreakKind.STATEMENT_GAP, [statement.statement], [], closing, opening
        )


def _name_lines(findings: BreakFindings, booked: Iterable[Booked]) -> None:
    """Report notifications that their day's statement leaves out, and what a gap hides together
    with those that were notified."""
    hidden = {
        index: opening - closing for index, (closing, opening) in findings.coverage.gaps.items()
    }
    last = len(findings.coverage.statements)
    for item in booked:
        cents, day = item.line.amount_minor, item.line.booking_date
        index = findings.coverage.place(item)
        if item.confirmed or item.line.currency != "EUR" or index == last:
            continue
        if findings.coverage.answers_for(day):
            findings.broken(Leg.BANK, BreakKind.NOT_CONFIRMED, item.ids[:1], [item], cents, 0)
            findings.flow(
                BreakKind.NOT_CONFIRMED, BreakKind.NOT_CONFIRMED, item.ids[:1], [(item, -cents)]
            )
        else:
            hidden[index] -= cents
    for index, cents in hidden.items():
        name = findings.coverage.statements[index].statement
        findings.flows.append(Flow(BreakKind.STATEMENT_GAP, "", name, ((index, cents),), ()))


def _match(
    findings: BreakFindings,
    chain: ChainFacts,
    ledger: Ledger,
    bank: BankFacts,
    booked: Iterable[Booked],
) -> None:
    out, undoing, credits = _split(findings, booked, ledger)
    out += match_fundings(findings, credits, undoing, chain.mints, ledger)
    burned: dict[bytes, list[Redemption]] = defaultdict(list)
    for item in chain.redemptions:
        burned[item.payout_id].append(item)
    refused = {
        item.end_to_end_id: item.reason
        for item in sorted(
            bank.rejections, key=lambda item: (item.end_to_end_id, item.reason), reverse=True
        )
    }
    match_payouts(findings, ledger.payouts, sorted(out, key=lambda item: item.ids), burned, refused)
    for payout_id in burned.keys() - {payout.payout_id for payout in ledger.payouts}:
        findings.flow(
            BreakKind.LEDGER_DIFFERS_FROM_CHAIN,
            "payout_in_flight",
            [payout_id],
            [],
            [(item.at, -item.amount_micro) for item in burned[payout_id]],
        )


def _split(
    findings: BreakFindings, booked: Iterable[Booked], ledger: Ledger
) -> tuple[list[Booked], list[Booked], list[Booked]]:
    """Split lines into those of payouts, debits that undo something else, and fundings.

    The bank's own charges are reported at once.
    """
    orders = {name for payout in ledger.payouts for name in (payout.end_to_end_id, *payout.earlier)}
    out: list[Booked] = []
    undoing: list[Booked] = []
    credits: list[Booked] = []
    for item in booked:
        line = item.line
        if line.currency != "EUR":
            findings.broken(
                Leg.BANK, BreakKind.CURRENCY, item.ids[:1], [item], 0, line.amount_minor
            )
        elif line.is_charge:
            name_charges(findings, item, -line.amount_minor, item.ids[:1])
        elif line.amount_minor < 0 and line.is_return and line.end_to_end_id not in orders:
            undoing.append(item)
        elif line.amount_minor < 0 or line.is_return:
            out.append(item)
        else:
            credits.append(item)
    return out, undoing, credits


def _conclude(
    findings: BreakFindings, chain: ChainFacts, bank: BankFacts, booked: Iterable[Booked]
) -> Reconciliation:
    findings.flows.append(Flow("", "opening_balance", "", ((-1, bank.opening_cents),), ()))
    statements = findings.coverage.statements
    balance = statements[-1].closing_minor if statements else bank.opening_cents
    balance += sum(
        item.line.amount_minor
        for item in booked
        if findings.coverage.place(item) == len(statements) and item.line.currency == "EUR"
    )
    named = items(findings.flows)
    expected = balance * MICRO_PER_CENT + sum(item.amount_micro for item in named)
    if expected != chain.supply_micro:
        findings.broken(
            Leg.SUPPLY, BreakKind.SUPPLY_MISMATCH, [], [], expected, chain.supply_micro, "tEUR/6"
        )
    breaks = sorted(findings.breaks, key=_order)
    return Reconciliation(
        tuple(sorted(findings.matches, key=lambda item: (item.ids, item.lines))),
        tuple(item for item in breaks if not item.closed),
        named,
        chain.supply_micro,
        balance,
        chain.supply_micro - expected,
        tuple(item for item in breaks if item.closed),
        reserves(chain, findings.flows, findings.coverage),
        tuple(sorted(findings.waiting, key=lambda item: item.reason)),
        max(0, unswept(chain.totals)) if chain.totals else 0,
    )


def _order(item: Break) -> tuple:
    return (
        item.kind,
        item.ids,
        item.lines,
        item.leg,
        item.expected_minor,
        item.found_minor,
        item.asset,
        item.detail,
        item.closed,
    )
