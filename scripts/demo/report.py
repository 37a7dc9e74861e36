"""Print the tables of the demonstration: faults and their answers, and totals that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

from rich.table import Table

from orchestrator.core.reconcile import Reconciliation
from orchestrator.edges.store import Session, evidence, payments, rejections
from scripts.demo import sums
from scripts.demo.checklist import console
from scripts.demo.notes import Note, euro
from scripts.demo.scenario import EXPECTED, DemoRun
from services.simulated_devices.faults import Fault

__all__ = ["answers", "euro", "incidents", "totals"]

REJECTED, SURVIVED = "rejected", "survived"


def incidents(session: Session, run: DemoRun) -> list[str]:
    """Print the tables of faults and of what was paid; return every unexpected answer."""
    faults = [*_faults(session, run), *_survived(session, run), *run.incidents.notes(session)]
    wrong = answers("What real fleets send, and the result", "sent", faults)
    wrong += answers("Deliveries", "what happened", run.deliveries.notes(session))
    wrong += answers("Wearables", "what happened", run.wearables.notes(session))
    title = "A month of devices that measure"
    return wrong + answers(title, "what happened", run.measured.notes(session))


def answers(title: str, what: str, notes: Sequence[Note]) -> list[str]:
    """Print a table with one row per note; return the notes that were not seen."""
    table = Table(title=title, title_justify="left")
    for column, width in ((what, 40), ("answer", 8), ("by the reason", 41)):
        table.add_column(column, min_width=width)
    for note in notes:
        answer = f"[green]{note.answer}[/]" if note.seen else "[red]NOT SEEN[/]"
        table.add_row(note.words, answer, note.why)
    console.print(table)
    return [f"{note.words}: not {note.answer}: {note.why}" for note in notes if not note.seen]


def _faults(session: Session, run: DemoRun) -> list[Note]:
    counts = rejections.count_by_reason(session)
    notes = [
        (words, reason, rejections.count_answers(session, run.faults.get(fault, []), reason))
        for fault, (words, reason) in EXPECTED.items()
    ]
    notes += [
        ("a device that is not enrolled", "device_unknown", counts.get("device_unknown", 0)),
        ("a device that was retired", "device_retired", counts.get("device_retired", 0)),
    ]
    return [Note(words, REJECTED, f"{why} ({seen})", bool(seen)) for words, why, seen in notes]


def _survived(session: Session, run: DemoRun) -> list[Note]:
    """Return the notes about faults that the rail survives without a rejection."""
    down = payments.count_facts(session, "%bank is down%")
    lied = payments.count_facts(session, "%auditor signed another claim%")
    rows = [
        (
            "a retained record",
            _is_absent(session, run, Fault.RETAINED),
            "retained, or the broker refused it",
        ),
        (
            "a record on another device's topic",
            _is_absent(session, run, Fault.FOREIGN_TOPIC),
            "the broker refused it",
        ),
        (
            "a missing counter",
            evidence.all_holes(session),
            "reported as a hole, later records paid",
        ),
        ("records out of order", run.faults.get(Fault.OUT_OF_ORDER), "sorted, paid"),
        ("an oracle that was down", down, f"quorum of the other three, {down} payments"),
        ("an oracle that lied", lied, f"its signature did not count, {lied} payments"),
    ]
    return [Note(words, SURVIVED, why, bool(seen)) for words, seen, why in rows]


def _is_absent(session: Session, run: DemoRun, fault: Fault) -> bool:
    """Return whether the fault was sent and none of its records is stored as evidence."""
    records = run.faults.get(fault, [])
    taken = [evidence.stored(session, sha256(record).hexdigest()) for record in records]
    return bool(records) and not any(taken)


def totals(session: Session, answered: Counter[str], reconciliation: Reconciliation) -> list[str]:
    """Print the totals per stage; return every check that fails (none in a healthy rail).

    Args:
        answered: outcome -> number of signed receipts and answers, as devices and tills count.
    """
    collected = sums.collect(session, answered)
    table = Table(title="Totals per stage", title_justify="left")
    for column in ("stage", "count", "amount", "adds up with"):
        table.add_column(column, justify="left" if column in ("stage", "adds up with") else "right")
    for row in sums.rows(collected):
        table.add_row(*row)
    console.print(table)
    checks = sums.checks(collected, reconciliation)
    for text, holds in checks:
        console.print(f"  {'[green]✓[/]' if holds else '[red]✗[/]'} {text}")
    return [text for text, holds in checks if not holds]
