"""The comparison itself: payouts, fundings, ledger against chain, statements, and the supply.

The supply check is an identity that only independent reads can break: the supply is what was
minted less what was redeemed, the balance is what the statements say; every line, mint and
redemption without its counterpart adds a named item, and whatever is left has no name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import date

from orchestrator.core.reconcile.debts import name_debts, name_risks
from orchestrator.core.reconcile.findings import Findings
from orchestrator.core.reconcile.lines import distinct
from orchestrator.core.reconcile.payouts import match_payouts
from orchestrator.core.reconcile.types import (
    MICRO_PER_CENT,
    Bank,
    Booked,
    BreakKind,
    Chain,
    Ledger,
    Mint,
    Reconciliation,
    Settlement,
    StatementLine,
)
from orchestrator.core.references import find_reference


def reconcile(chain: Chain, ledger: Ledger, bank: Bank) -> Reconciliation:
    """Every match and every break of the three sides; the answer depends on the facts only."""
    found = Findings()
    booked = distinct(line for line in bank.lines if line.account == bank.account)
    balance_cents, covered = _balance(found, bank, booked)
    _ledger_against_chain(found, chain, ledger)
    name_debts(found, ledger.open_credits, ledger.pending)
    name_risks(found, ledger.at_risk)
    out, credits = _split(found, booked)
    burned = _totals((item.payout_id, item.amount_micro) for item in chain.redemptions)
    refused = {item.end_to_end_id: item.reason for item in sorted(
        bank.rejections, key=lambda item: (item.end_to_end_id, item.reason), reverse=True)}
    match_payouts(found, ledger.payouts, out, burned, refused, covered)
    ordered = {payout.payout_id for payout in ledger.payouts}
    for payout_id in burned.keys() - ordered:
        found.item(BreakKind.LEDGER_DIFFERS_FROM_CHAIN, [payout_id], -burned[payout_id])
    _match_fundings(found, credits, chain.mints, ledger.references)
    return _conclude(found, chain.supply_micro, balance_cents, bank.opening_cents)


def _balance(found: Findings, bank: Bank, booked: Iterable[Booked]) -> tuple[int, date]:
    """The booked balance now (the last closing and what was notified since), and the last day
    covered by a statement."""
    closing, covered = bank.opening_cents, date.min
    own = {item for item in bank.balances if item.account == bank.account}
    for item in sorted(own, key=lambda item: (item.day, item.statement)):
        if item.opening_minor != closing:
            found.broken(BreakKind.STATEMENT_GAP, [item.statement], [], closing,
                         item.opening_minor)
        closing, covered = item.closing_minor, item.day
    for item in booked:
        if item.confirmed or item.line.currency != "EUR":
            continue
        if item.line.booking_date > covered:
            closing += item.line.amount_minor
        else:
            found.broken(BreakKind.NOT_CONFIRMED, item.ids[:1], [item],
                         item.line.amount_minor, 0)
            found.item(BreakKind.NOT_CONFIRMED, item.ids[:1],
                       item.line.amount_minor * MICRO_PER_CENT)
    if not own:  # statements without balances: only the lines speak
        closing += sum(item.line.amount_minor for item in booked
                       if item.confirmed and item.line.currency == "EUR")
    return closing, covered


def _ledger_against_chain(found: Findings, chain: Chain, ledger: Ledger) -> None:
    """Per payout, per bank credit and per settlement, and in what payees owe, the ledger holds
    what the final blocks say."""
    sides = [
        (_totals((item.payout_id, item.amount_micro) for item in chain.redemptions),
         _totals((item.payout_id, item.amount_cents * MICRO_PER_CENT)
                 for item in ledger.payouts)),
        (_totals((item.credit_id, item.amount_micro) for item in chain.mints),
         _totals((item.credit_id, item.amount_cents * MICRO_PER_CENT)
                 for item in ledger.minted)),
        (_settled(chain.settlements), _settled(ledger.settlements)),
        (_settled(chain.credits), _settled(ledger.credits)),
    ]
    for on_chain, in_ledger in sides:
        for each in on_chain.keys() | in_ledger.keys():
            if on_chain.get(each) != in_ledger.get(each):
                found.broken(BreakKind.LEDGER_DIFFERS_FROM_CHAIN, [each], [],
                             on_chain.get(each, 0), in_ledger.get(each, 0), "tEUR/6")
    if chain.owed_micro != ledger.owed_micro:
        found.broken(BreakKind.LEDGER_DIFFERS_FROM_CHAIN, ["owed"], [], chain.owed_micro,
                     ledger.owed_micro, "tEUR/6")


def _settled(settlements: Iterable[Settlement]) -> Mapping[bytes, int]:
    """Settlements that moved money; one of nothing needs no entry."""
    return _totals((item.tx_hash, item.amount_micro) for item in settlements if item.amount_micro)


def _split(found: Findings, booked: Iterable[Booked]) -> tuple[list[Booked], list[Booked]]:
    """Lines of payouts (debits, and credits that undo one) and fundings."""
    out: list[Booked] = []
    credits: list[Booked] = []
    for item in booked:
        if item.line.currency != "EUR":
            found.broken(BreakKind.CURRENCY, item.ids[:1], [item], 0, item.line.amount_minor)
        elif item.line.amount_minor < 0 or item.line.is_return:
            out.append(item)
        else:
            credits.append(item)
    return out, credits


def _match_fundings(found: Findings, credits: Iterable[Booked], mints: Iterable[Mint],
                    references: Mapping[str, bytes]) -> None:
    """Each credit has one mint of its amount, or waits for it, or belongs to nobody."""
    minted: dict[bytes, list[Mint]] = defaultdict(list)
    for mint in mints:
        minted[mint.credit_id].append(mint)
    for credit in credits:
        own = [mint for each in credit.ids for mint in minted.pop(each, [])]
        cents, micro = credit.line.amount_minor, sum(mint.amount_micro for mint in own)
        if len(own) == 1 and micro == cents * MICRO_PER_CENT:
            found.match("mint", [own[0].credit_id], cents, [credit],
                        "minted once, for the whole credit")
        elif own:
            kind = BreakKind.DUPLICATE if len(own) > 1 else BreakKind.AMOUNT
            found.broken(kind, {mint.credit_id for mint in own}, [credit],
                         cents * MICRO_PER_CENT, micro, "tEUR/6")
            found.item(kind, credit.ids[:1], micro - cents * MICRO_PER_CENT)
        elif _reference(credit.line) in references:
            found.item("credit_not_minted", credit.ids[:1], -cents * MICRO_PER_CENT)
        else:
            found.unexplained(BreakKind.UNMATCHED_FUNDING, credit)
    for each, own in minted.items():
        micro = sum(mint.amount_micro for mint in own)
        found.broken(BreakKind.MINT_WITHOUT_CREDIT, [each], [], 0, micro, "tEUR/6")
        found.item(BreakKind.MINT_WITHOUT_CREDIT, [each], micro)


def _reference(line: StatementLine) -> str:
    return line.reference or find_reference(line.text)


def _conclude(found: Findings, supply_micro: int, balance_cents: int,
              opening_cents: int) -> Reconciliation:
    found.item("opening_balance", [], -opening_cents * MICRO_PER_CENT)
    expected = balance_cents * MICRO_PER_CENT + sum(item.amount_micro for item in found.items)
    if expected != supply_micro:
        found.broken(BreakKind.SUPPLY_MISMATCH, [], [], expected, supply_micro, "tEUR/6")
    return Reconciliation(
        tuple(sorted(found.matches, key=lambda item: (item.ids, item.lines))),
        tuple(sorted(found.breaks, key=lambda item: (item.kind, item.ids, item.lines))),
        tuple(sorted(found.items, key=lambda item: (item.name, item.id, item.amount_micro))),
        supply_micro, balance_cents, supply_micro - expected)


def _totals(amounts: Iterable[tuple[bytes, int]]) -> Mapping[bytes, int]:
    totals: Counter[bytes] = Counter()
    for each, amount in amounts:
        totals[each] += amount
    return totals
