"""A month of a whole town on one rail, with everything that goes wrong; exit code 0 if all is as
it was planned.

    python -m scripts.month --scale 1 --seed 7
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
from scripts.month import days, people, town
from scripts.month.hands import Actors
from scripts.month.place import MonthRail
from scripts.month.plan import Plan
from scripts.month.story import MonthStory
from scripts.month.trouble import TROUBLES, happen
from scripts.month.verdict import MonthVerdict, judge

METERS, BANDS, SHIPMENTS = 1_000, 200, 50


def main(arguments: Sequence[str] | None = None) -> int:
    """0: as planned, to the cent; 1: not, and every difference is printed."""
    options = _parser().parse_args(arguments)
    home = options.home or Path(tempfile.mkdtemp(prefix="proofrail-month-"))
    begun = time.monotonic()
    with redirect_stdout(sys.stderr if options.json else sys.stdout):
        place, story = _install(home, options.scale, options.seed)
        try:
            live(story, Actors(story), options.clean)
            verdict = judge(story)
        finally:
            place.close()
        _show(verdict, options.clean)
        print(f"{home}: {time.monotonic() - begun:.0f} s")
    if options.json:
        print(json.dumps(_told(verdict, time.monotonic() - begun), default=str))
    for sentence in verdict.wrong:
        print(sentence, file=sys.stderr)
    return 1 if verdict.wrong else 0


def _install(home: Path, scale: float, seed: int) -> tuple[MonthRail, MonthStory]:
    """Everything before the month begins; each part is timed."""
    counts = [
        max(least, round(many * scale))
        for least, many in ((40, METERS), (8, BANDS), (5, SHIPMENTS))
    ]
    cast, plan = people.gather(scale, counts[0] + counts[1]), Plan()
    made: list[Any] = []
    step(
        "chain and rail",
        lambda: (made.append(MonthRail(home, town.bank_accounts(cast))), made[0].testnet.url)[1],
    )
    place = made[0]
    place_town = town.build(place, seed, counts[0], counts[1])
    town.book_shipments(place_town, cast, plan, seed, counts[2])
    town.settle_in(place, cast)
    with bar("devices enrolled", len(place_town.devices)) as reached:
        town.enrol(place, place_town.devices, reached)
    with bar("agreements opened", sum(counts)) as reached:
        town.agree(place, place_town, cast, plan, reached)
    place.until(days.at(days.FUNDED, 6))
    place.bank.close_day()
    town.fund(place, place_town, cast, plan)
    with bar("escrow funded", 1) as reached:
        place.work(200)
        reached(1)
    place.bank.close_day()
    place.work()
    return place, MonthStory(place, place_town, cast, plan, seed)


def live(story: MonthStory, month: Actors, clean: bool = False) -> None:
    """Every day of the month, and as many after it as banks need."""
    harm = (lambda day, when: None) if clean else partial(happen, month)
    with bar("days", (days.AFTER - days.FIRST).days + 1) as reached:
        for number, day in enumerate(days.span(days.FIRST, days.AFTER), start=1):
            if day <= days.LAST:
                story.morning(day, lambda day=day: harm(day, "morning"))
                harm(day, "noon")
            story.evening(day, lambda when, day=day: harm(day, when))
            reached(number)


def _show(verdict: MonthVerdict, clean: bool) -> None:
    table = Table(title="injected", title_justify="left")
    for column in ("day", "misbehaviour", "breaks that must be named"):
        table.add_column(column)
    for trouble in () if clean else sorted(TROUBLES, key=lambda one: one.day):
        table.add_row(
            f"{days.FIRST:%Y-%m}-{trouble.day:02}",
            trouble.name,
            ", ".join(trouble.breaks) or "none",
        )
    named = Table("break", "injected", "named", title="breaks", title_justify="left")
    for kind, (planned, found) in verdict.breaks.items():
        named.add_row(kind, str(planned), str(found), style="" if planned == found else "red")
    sums = Table("what", "planned", "found", title="sums", title_justify="left")
    for what, planned, found in verdict.checks:
        if not what.startswith("breaks"):
            sums.add_row(what, planned, found)
    proof = Table(
        "statement of",
        "supply (micro-euro)",
        "balance (cents)",
        "in flight or named",
        "difference",
        title="proof of reserves",
        title_justify="left",
    )
    for row in verdict.reserves:
        items = ", ".join(f"{count} {name}" for name, count in row["items"].items())
        proof.add_row(
            str(row["day"]),
            str(row["supply_micro"]),
            str(row["balance_cents"]),
            items,
            str(row["difference_micro"]),
        )
    for each in (table, proof, named, sums):
        console.print(each)


def _told(verdict: MonthVerdict, seconds: float) -> dict[str, Any]:
    return {
        "ok": not verdict.wrong,
        "wrong": verdict.wrong,
        "seconds": round(seconds),
        "breaks": {
            kind: {"injected": planned, "named": found}
            for kind, (planned, found) in verdict.breaks.items()
        },
        "checks": [
            dict(zip(("what", "planned", "found"), each, strict=True)) for each in verdict.checks
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
    parser.add_argument("--clean", action="store_true", help="nothing goes wrong")
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
