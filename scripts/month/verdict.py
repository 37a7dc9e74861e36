"""Compare the month with its plan: every account, every order, every break."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from orchestrator.core.reconcile import Reconciliation
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import Session, ledger
from orchestrator.steps.reconcile import reconcile_store
from scripts.month.faults import EXPLAINED
from scripts.month.parties import MonthParties
from scripts.month.plan import Plan
from scripts.month.run import MonthRun
from scripts.month.trades.verdict import compare_days, compare_lives, compare_periods, compare_share

_SHOWN = 12  # differences of each kind


@dataclass
class MonthVerdict:
    """The comparison of a month with its plan.

    Attributes:
        checks: (what, planned, actual).
        wrong: a sentence for every difference.
        breaks: kind -> (planned, reported).
        reserves: the proof of reserves of each statement.
    """

    checks: list[tuple[str, str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    breaks: dict[str, tuple[int, int]] = field(default_factory=dict)
    reserves: list[dict[str, Any]] = field(default_factory=list)

    def compare(self, what: str, planned: object, actual: object) -> None:
        self.checks.append((what, str(planned), str(actual)))
        if planned != actual:
            self.wrong.append(f"{what}: planned {planned}, is {actual}")

    def compare_all(self, what: str, planned: dict[Any, int], actual: dict[Any, int]) -> None:
        """Compare name by name; a name that one side lacks counts as zero there."""
        differing = [
            name for name in {*planned, *actual} if planned.get(name, 0) != actual.get(name, 0)
        ]
        self.checks.append((what, f"{len(planned)}", f"{len(planned) - len(differing)} equal"))
        self.wrong += [
            f"{what}: {name}: planned {planned.get(name, 0)}, is {actual.get(name, 0)}"
            for name in sorted(differing, key=str)[:_SHOWN]
        ]


def judge(run: MonthRun) -> MonthVerdict:
    """Compare plan, ledger, chain and the bank's own books."""
    verdict, plan, rail = MonthVerdict(), run.plan, run.rail
    with rail.store.read() as session:
        reconciliation = reconcile_store(
            session, rail.safeguarding["iban"], rail.now, partial(contract_totals, rail.chain)
        )
        _ledger(verdict, session, plan)
        compare_periods(verdict, session, run.town)
        compare_days(verdict, session, run)
        compare_lives(verdict, session, run)
    compare_share(verdict, run)
    verdict.compare_all("records, by the rail's answer", plan.records, run.answers)
    _bank(verdict, run, run.parties)
    supply = rail.chain.view("EuroToken", "totalSupply")
    planned = plan.accounts()["token:issued", "tEUR/6"]
    verdict.compare("token supply on chain (micro-euro)", planned, supply)
    _breaks(verdict, plan, reconciliation)
    _reserves(verdict, reconciliation)
    return verdict


def _ledger(verdict: MonthVerdict, session: Session, plan: Plan) -> None:
    balances = {account: amount for account, amount in ledger.balances(session).items() if amount}
    verdict.compare_all("accounts of the ledger", plan.accounts(), balances)
    sums = Counter[str]()
    for (_, asset), amount in balances.items():
        sums[asset] += amount
    verdict.compare("debits less credits", 0, sum(abs(total) for total in sums.values()))
    verdict.compare("first broken link of the journal", None, ledger.first_broken_link(session))


def _bank(verdict: MonthVerdict, run: MonthRun, parties: MonthParties) -> None:
    """Compare the payouts that the bank accepted; refused orders are not in its books."""
    bank, plan = run.rail.bank, run.plan
    rows = bank.books.db.execute("SELECT iban, SUM(cents) FROM orders GROUP BY iban").fetchall()
    ordered = {iban: cents for iban, cents in rows}
    refused = Counter[str]()
    for (_, payee), cents in plan.refused.items():
        refused[payee] += cents
    planned = {
        payee.iban: cents
        for payee in parties.payees
        if (cents := plan.paid_out.get(payee.address, 0) - refused[payee.address])
    }
    verdict.compare_all("cents ordered, by payee", planned, ordered)
    balance = bank.books.balance(run.rail.safeguarding["iban"])
    verdict.compare(
        "the bank's own balance (cents)", plan.accounts()["bank:safeguarding", "EUR/2"], balance
    )
    verdict.compare("the bank's books balance", True, bank.books.is_balanced())


def _breaks(verdict: MonthVerdict, plan: Plan, reconciliation: Reconciliation) -> None:
    reported = Counter(str(item.kind) for item in reconciliation.breaks)
    reported.update(str(item.kind) + EXPLAINED for item in reconciliation.closed)
    verdict.breaks = {
        kind: (plan.breaks[kind], reported[kind]) for kind in sorted({*plan.breaks, *reported})
    }
    for item in (*reconciliation.breaks, *reconciliation.closed):
        kind = str(item.kind) + (EXPLAINED if item.closed else "")
        if reported[kind] > plan.breaks[kind]:
            verdict.wrong.append(
                f"break {kind}: {item.ids} {item.expected_minor} "
                f"{item.found_minor} {item.asset} {item.detail} {item.closed}"
            )
    for kind, (planned, count) in verdict.breaks.items():
        verdict.compare(f"breaks: {kind}", planned, count)
    verdict.compare("unexplained tokens (micro-euro)", 0, reconciliation.difference_micro)


def _reserves(verdict: MonthVerdict, reconciliation: Reconciliation) -> None:
    verdict.reserves = [
        asdict(proof) | {"items": dict(Counter(item.name for item in proof.items))}
        for proof in reconciliation.reserves
    ]
    open_proofs = [proof for proof in reconciliation.reserves if proof.difference_micro]
    verdict.compare("statements whose proof of reserves does not close", 0, len(open_proofs))
    for proof in open_proofs[:_SHOWN]:
        verdict.wrong.append(
            f"reserves at {proof.day}: {proof.difference_micro} micro-euro are unexplained; "
            f"supply {proof.supply_micro} micro-euro, balance {proof.balance_cents} cents"
        )
