"""What the demonstration shows at its end: faults by their reasons, and totals that add up."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from orchestrator.core import ledger
from orchestrator.core.payment import Stage
from orchestrator.core.receipt import ACCEPTED
from orchestrator.core.reconcile import Reconciliation
from orchestrator.edges.store import Session, books, payments, tallies, transfers
from orchestrator.products import products
from scripts.demo.checklist import console
from scripts.demo.scenario import EXPECTED, Run


def faults(session: Session, run: Run, notes: list[tuple[str, str, str]]) -> list[str]:
    """One row per fault, by its reason; returns the faults that were not answered by theirs."""
    table = Table(title="What real fleets send, and what became of it", title_justify="left")
    for column in ("sent", "answer", "by the reason"):
        table.add_column(column)
    unmet = []
    for fault, (words, reason) in EXPECTED.items():
        found = tallies.answered(session, run.faults.get(fault, []), reason)
        if not found:
            unmet.append(f"{words}: not answered by {reason}")
        answer = "[green]rejected[/]" if found else "[red]NOT SEEN[/]"
        table.add_row(words, answer, f"{reason} ({found})")
    for row in notes:
        table.add_row(*row)
    console.print(table)
    return unmet


def euro(amount_micro: int) -> str:
    """Micro-euro as euro text, exactly."""
    sign, digits = ("-" if amount_micro < 0 else ""), f"{abs(amount_micro):07d}"
    return f"{sign}{digits[:-6]}.{digits[-6:]} €"


def totals(
    session: Session, answers: Counter[str], reconciliation: Reconciliation
) -> list[str]:
    """Totals per stage as a table; returns what does not add up (nothing, in a healthy rail).

    answers: the devices' own count of signed receipts by outcome.
    """
    sums = _sums(session) | {
        "receipts": answers.total() - answers["unreceipted"],
        "no receipt": answers["unreceipted"],
        "receipts accepted": answers[ACCEPTED],
    }  # fmt: skip
    table = Table(title="Totals per stage", title_justify="left")
    for column in ("stage", "count", "amount", "adds up with"):
        table.add_column(column, justify="left" if column in ("stage", "adds up with") else "right")
    for row in _rows(sums):
        table.add_row(*row)
    console.print(table)
    wrong = [text for text, holds in _checks(sums, reconciliation) if not holds]
    for text, holds in _checks(sums, reconciliation):
        console.print(f"  {'[green]✓[/]' if holds else '[red]✗[/]'} {text}")
    return wrong


def _sums(session: Session) -> dict[str, int]:
    counts = payments.open_counts(session)
    balances = books.balances(session)
    by_account: Counter[str] = Counter()
    for (account, asset), amount in balances.items():
        by_account[f"{account.split(':')[0]} {asset}"] += amount
        by_account[f"{account} {asset}"] += amount if ":" in account else 0
    booked = transfers.count_payouts(session).get("booked", (0, 0))
    events = tallies.event_counts(session)
    return {
        **{f"events {name}": number for name, number in events.items()},
        "payments": sum(counts.values()),
        "reconciled": counts.get(Stage.RECONCILED, 0),
        "energy": sum(
            products()[name].decode_facts(facts).energy
            for name, facts in payments.facts_bytes(session)
        ),
        "settled": payments.total_micro(session),
        "escrow": -by_account["escrow tEUR/6"],
        "withdrawable": -by_account["withdrawable tEUR/6"],
        "pending": -by_account["pending tEUR/6"],
        "supply": by_account[f"{ledger.ISSUED} {ledger.TEUR}"],
        "bank": by_account[f"{ledger.SAFEGUARDING} {ledger.EUR}"],
        "funded": sum(f.cents for f in transfers.all_fundings(session)),
        "payouts": booked[0],
        "paid": booked[1],
        "debits": sum(balances.values()),
    }


def _rows(s: dict[str, int]) -> list[tuple[str, str, str, str]]:
    cent = ledger.MICRO_PER_CENT
    kwh = f"{s['energy'] // 1_000_000}.{s['energy'] % 1_000_000:06d} kWh"
    return [
        ("records with a receipt", f"{s['receipts']}", "", "accepted + refused"),
        ("  refused, by a reason", f"{s['receipts'] - s['receipts accepted']}", "", ""),
        ("events stored", f"{s['events stored']}", "", "claimed + dropped + waiting"),
        ("  in claims", f"{s['events claimed']}", kwh, ""),
        ("  dropped by a rule", f"{s['events dropped']}", "", "each by its reason"),
        ("  waiting", f"{s['events waiting']}", "", ""),
        ("payments settled", f"{s['payments']}", euro(s["settled"]), "paid out + withdrawable"),
        ("payouts booked", f"{s['payouts']}", euro(s["paid"] * cent), ""),
        ("  below a cent, kept", "", euro(s["withdrawable"]), ""),
        ("funded by the bank", "", euro(s["funded"] * cent), "settled + escrow"),
        ("  still in escrow", "", euro(s["escrow"]), ""),
    ]


def _checks(s: dict[str, int], reconciliation: Reconciliation) -> list[tuple[str, bool]]:
    cent = ledger.MICRO_PER_CENT
    events = s["events claimed"] + s["events dropped"] + s["events waiting"]
    return [
        ("every record a device kept has its signed receipt", s["no receipt"] == 0),
        ("records accepted, as devices count = events stored",
         s["receipts accepted"] == s["events stored"]),
        ("events stored = claimed + dropped + waiting", s["events stored"] == events),
        ("settled = paid out + below a cent", s["settled"] == s["paid"] * cent
         + s["withdrawable"] + s["pending"]),
        ("funded = settled + still in escrow", s["funded"] * cent == s["settled"] + s["escrow"]),
        ("token supply = bank balance, to the unit", s["supply"] == s["bank"] * cent),
        ("all payments reconciled", s["payments"] == s["reconciled"]),
        ("debits = credits in every asset", s["debits"] == 0),
        (f"reconciliation: {len(reconciliation.matches)} matches, "
         f"{len(reconciliation.breaks)} breaks", not reconciliation.breaks),
    ]  # fmt: skip


def oracles_note(session: Session, name: str, word: str) -> int:
    """How many payments reached their quorum while this oracle was `word` (down, another)."""
    return payments.count_facts(session, f"%{name} {word}%")
