"""Whether the month came out as it was planned: every account, every order, every break."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from orchestrator.core.reconcile import Reconciliation
from orchestrator.edges.store import Session, ledger
from orchestrator.steps.reconcile import reconcile_store
from scripts.month.people import MonthPeople
from scripts.month.plan import Plan
from scripts.month.story import MonthStory
from scripts.month.trouble import EXPLAINED

_SHOWN = 12  # differences of each kind


@dataclass
class MonthVerdict:
    """checks: (what, planned, found). wrong: every difference in words. breaks: kind -> (planned,
    named). reserves: a row for each statement."""

    checks: list[tuple[str, str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    breaks: dict[str, tuple[int, int]] = field(default_factory=dict)
    reserves: list[dict[str, Any]] = field(default_factory=list)

    def compare(self, what: str, planned: object, found: object) -> None:
        self.checks.append((what, str(planned), str(found)))
        if planned != found:
            self.wrong.append(f"{what}: {planned} was planned, {found} was found")

    def compare_all(self, what: str, planned: dict[Any, int], found: dict[Any, int]) -> None:
        """Line by line; a name that one side lacks is nought there."""
        other = [name for name in {*planned, *found} if planned.get(name, 0) != found.get(name, 0)]
        self.checks.append((what, f"{len(planned)}", f"{len(planned) - len(other)} equal"))
        self.wrong += [
            f"{what}: {name}: {planned.get(name, 0)} was planned, {found.get(name, 0)} was found"
            for name in sorted(other, key=str)[:_SHOWN]
        ]


def judge(story: MonthStory) -> MonthVerdict:
    """Compares plan, ledger, chain and the bank's own books."""
    verdict, plan, place = MonthVerdict(), story.plan, story.place
    with place.store.read() as session:
        found = reconcile_store(session, place.safeguarding["iban"], place.now)
        _books(verdict, session, plan)
    verdict.compare_all("records, by the rail's answer", plan.records, story.answers)
    _bank(verdict, story, story.cast)
    supply = place.chain.view("EuroToken", "totalSupply")
    planned = plan.accounts()["token:issued", "tEUR/6"]
    verdict.compare("token supply on chain (micro-euro)", planned, supply)
    _breaks(verdict, plan, found)
    _reserves(verdict, found)
    return verdict


def _books(verdict: MonthVerdict, session: Session, plan: Plan) -> None:
    balances = {account: amount for account, amount in ledger.balances(session).items() if amount}
    verdict.compare_all("accounts of the ledger", plan.accounts(), balances)
    sums = Counter[str]()
    for (_, asset), amount in balances.items():
        sums[asset] += amount
    verdict.compare("debits less credits", 0, sum(abs(total) for total in sums.values()))
    verdict.compare("first broken link of the journal", None, ledger.first_broken_link(session))


def _bank(verdict: MonthVerdict, story: MonthStory, cast: MonthPeople) -> None:
    """What the bank was told to pay, by its own books; those it refused are not in them."""
    bank, plan = story.place.bank, story.plan
    rows = bank.books.db.execute("SELECT iban, SUM(cents) FROM orders GROUP BY iban").fetchall()
    ordered = {iban: cents for iban, cents in rows}
    refused = Counter[str]()
    for (_, payee), cents in plan.refused.items():
        refused[payee] += cents
    planned = {
        who.iban: cents
        for who in cast.payees
        if (cents := plan.paid_out.get(who.address, 0) - refused[who.address])
    }
    verdict.compare_all("cents ordered, by payee", planned, ordered)
    own = bank.books.balance(story.place.safeguarding["iban"])
    verdict.compare(
        "the bank's own balance (cents)", plan.accounts()["bank:safeguarding", "EUR/2"], own
    )
    verdict.compare("the bank's books balance", True, bank.books.is_balanced())


def _breaks(verdict: MonthVerdict, plan: Plan, found: Reconciliation) -> None:
    named = Counter(str(each.kind) for each in found.breaks)
    named.update(str(each.kind) + EXPLAINED for each in found.closed)
    verdict.breaks = {
        kind: (plan.breaks[kind], named[kind]) for kind in sorted({*plan.breaks, *named})
    }
    for each in (*found.breaks, *found.closed):
        kind = str(each.kind) + (EXPLAINED if each.closed else "")
        if named[kind] > plan.breaks[kind]:
            verdict.wrong.append(
                f"break {kind}: {each.ids} {each.expected_minor} "
                f"{each.found_minor} {each.asset} {each.detail} {each.closed}"
            )
    for kind, (planned, count) in verdict.breaks.items():
        verdict.compare(f"breaks: {kind}", planned, count)
    verdict.compare("tokens without a name (micro-euro)", 0, found.difference_micro)


def _reserves(verdict: MonthVerdict, found: Reconciliation) -> None:
    verdict.reserves = [
        asdict(each) | {"items": dict(Counter(item.name for item in each.items))}
        for each in found.reserves
    ]
    off = [each for each in found.reserves if each.difference_micro]
    verdict.compare("statements whose proof of reserves does not close", 0, len(off))
    for each in off[:_SHOWN]:
        verdict.wrong.append(
            f"reserves at {each.day}: {each.difference_micro} micro-euro have no "
            f"name; supply {each.supply_micro}, balance {each.balance_cents}"
        )
