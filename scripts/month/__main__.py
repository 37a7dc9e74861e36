"""Run a month with many devices on one rail, inject every planned fault, and compare the books.

    python -m scripts.month --scale 1 --seed 7

The exit code is 0 if every account, order and break is as planned.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from scripts.demo.checklist import bar, console, step
from scripts.month import days, installation
from scripts.month.actors import Actors
from scripts.month.faults import FAULTS, inject
from scripts.month.parties import gather_parties
from scripts.month.plan import Plan
from scripts.month.rail import MonthRail
from scripts.month.run import MonthRun
from scripts.month.trades.town import build_town
from scripts.month.verdict import MonthVerdict, judge

METERS, WEARABLES, SHIPMENTS = 1_000, 200, 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the month and print the result.

    Returns:
        0 if everything is as planned, to the cent; 1 if not (every difference is printed).
    """
    options = _parser().parse_args(arguments)
    home = options.home or Path(tempfile.mkdtemp(prefix="proofrail-month-"))
    started = time.monotonic()
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        run = _install(home, options.scale, options.seed)
        try:
            play(run, Actors(run), options.clean)
            verdict = judge(run)
        finally:
            run.rail.close()
        _show(verdict, options.clean)
        print(f"{home}: {time.monotonic() - started:.0f} s")
    if options.json:
        print(json.dumps(_verdict_view(verdict, time.monotonic() - started), default=str))
    for sentence in verdict.wrong:
        print(sentence, file=sys.stderr)
    return 1 if verdict.wrong else 0


def _install(home: Path, scale: float, seed: int) -> MonthRun:
    """Set up everything that must exist before the month begins, and show the progress."""
    meters, wearables, shipments = (
        max(least, round(full * scale))
        for least, full in ((40, METERS), (8, WEARABLES), (5, SHIPMENTS))
    )
    parties, plan = gather_parties(scale, meters + wearables), Plan()
    rail = _start_rail(home, installation.bank_accounts(parties))
    fleet = installation.build(rail, seed, meters, wearables)
    installation.book_shipments(fleet, parties, plan, seed, shipments)
    installation.register_parties(rail, parties)
    town = build_town(rail, parties, plan, seed)
    devices = [*fleet.devices, *town.devices]
    with bar("devices enrolled", len(devices)) as reached:
        installation.enrol(rail, devices, reached)
    count = meters + wearables + shipments + len(town.trades)
    with bar("agreements opened", count) as reached:
        installation.open_agreements(rail, fleet, town, parties, plan, reached)
    rail.until(days.at(days.FUNDED, 6))
    rail.bank.close_day()
    installation.fund(rail, fleet, town, parties, plan)
    with bar("escrow funded", 1) as reached:
        rail.work(200)
        reached(1)
    rail.bank.close_day()
    rail.work()
    return MonthRun(rail, fleet, town, parties, plan, seed)


def _start_rail(home: Path, accounts: list[dict[str, object]]) -> MonthRail:
    rails: list[MonthRail] = []

    def start() -> str:
        rails.append(MonthRail(home, accounts))
        return rails[0].testnet.url

    step("chain and rail", start)
    return rails[0]


def play(run: MonthRun, actors: Actors, clean: bool = False) -> None:
    """Play every day of the month, and the days after it that the banks need.

    Args:
        clean: inject no fault.
    """
    inject_on = (lambda day, when: None) if clean else partial(inject, actors)
    with bar("days", (days.AFTER - days.FIRST).days + 1) as reached:
        for number, day in enumerate(days.span(days.FIRST, days.AFTER), start=1):
            if day <= days.LAST:
                run.morning(day, lambda day=day: inject_on(day, "morning"))
                inject_on(day, "noon")
            run.evening(day, lambda when, day=day: inject_on(day, when))
            reached(number)


def _show(verdict: MonthVerdict, clean: bool) -> None:
    for table in (
        _fault_table(clean),
        _reserves_table(verdict),
        _breaks_table(verdict),
        _sums_table(verdict),
    ):
        console.print(table)


def _fault_table(clean: bool) -> Table:
    table = Table(title="injected", title_justify="left")
    for column in ("day", "misbehaviour", "breaks that must be reported"):
        table.add_column(column)
    for fault in () if clean else sorted(FAULTS, key=lambda fault: fault.day):
        table.add_row(
            f"{days.FIRST:%Y-%m}-{fault.day:02}", fault.name, ", ".join(fault.breaks) or "none"
        )
    return table


def _reserves_table(verdict: MonthVerdict) -> Table:
    table = Table(
        "statement of",
        "supply (micro-euro)",
        "balance (cents)",
        "in flight or explained",
        "difference",
        title="proof of reserves",
        title_justify="left",
    )
    for row in verdict.reserves:
        table.add_row(
            str(row["day"]),
            str(row["supply_micro"]),
            str(row["balance_cents"]),
            ", ".join(f"{count} {name}" for name, count in row["items"].items()),
            str(row["difference_micro"]),
        )
    return table


def _breaks_table(verdict: MonthVerdict) -> Table:
    table = Table("break", "injected", "reported", title="breaks", title_justify="left")
    for kind, (planned, reported) in verdict.breaks.items():
        table.add_row(kind, str(planned), str(reported), style="" if planned == reported else "red")
    return table


def _sums_table(verdict: MonthVerdict) -> Table:
    table = Table("what", "planned", "actual", title="sums", title_justify="left")
    for what, planned, actual in verdict.checks:
        if not what.startswith("breaks"):
            table.add_row(what, planned, actual)
    return table


def _verdict_view(verdict: MonthVerdict, seconds: float) -> dict[str, Any]:
    """Return the JSON view of a verdict, as `--json` prints it."""
    return {
        "ok": not verdict.wrong,
        "wrong": verdict.wrong,
        "seconds": round(seconds),
        "breaks": {
            kind: {"injected": planned, "named": reported}
            for kind, (planned, reported) in verdict.breaks.items()
        },
        "checks": [
            dict(zip(("what", "planned", "found"), check, strict=True)) for check in verdict.checks
        ],
        "reserves": verdict.reserves,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.month",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", type=float, default=1.0, help="1: 1,000 meters and the rest")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same month")
    parser.add_argument("--home", type=Path, help="an empty folder; default: a new one")
    parser.add_argument("--clean", action="store_true", help="inject no fault")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
