"""`proofrail agreement basis-risk`: what parametric cover would have paid in past seasons."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement_open import term_values
from orchestrator.commands.output import Json, decimal, plain, table
from orchestrator.commands.signed_files import genuine_events
from orchestrator.core.ledger import TEUR
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.products.parametric_cover.basis_risk import BasisRisk, PastSeason

app = typer.Typer(rich_markup_mode=None)
_COLUMNS = ("season", "from", "to", "loss")
_MICRO = 10**6


@app.command("basis-risk")
def basis_risk_(
    seasons: Annotated[
        Path,
        typer.Argument(
            help="CSV: season, from, to (its last day is the one before), loss in euro; and a "
            "column for each station, unless its signed records are given."
        ),
    ],
    term: Annotated[
        list[str] | None, typer.Option(help="name=value, once per term; see `agreement terms`.")
    ] = None,
    records: Annotated[
        list[str] | None, typer.Option(help="STATION=FILE of its signed records.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="STATION=KEY that signed them, or the key's file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare past seasons' losses with what parametric cover would have paid. Nothing is sent."""
    from orchestrator.products.parametric_cover.basis_risk import basis_risk, results_of
    from orchestrator.products.parametric_cover.product import PRODUCT
    from orchestrator.products.parametric_cover.stations import ways_of

    terms = PRODUCT.decode_terms(PRODUCT.parse_terms(term_values(term or [])))
    files, keys = _by_station("records", records), _by_station("key", key)
    if missing := [station for station in files if station not in keys]:
        raise Halt(f"Give --key {missing[0]}=FILE: its records prove nothing without it.")
    events = [
        event
        for station, file in files.items()
        for event in genuine_events([Path(file)], keys[station], station)
    ]
    past = _seasons(seasons, ways_of(terms).stations, signed=bool(files))
    results = results_of(terms, past, events)
    risk = basis_risk(results)
    view = {
        "signed": bool(files),
        "seasons": [result._asdict() | {"answer": result.answer} for result in results],
        "risk": risk._asdict(),
    }
    output.show(view, as_json, lambda console: _print(console, view, risk))


def _by_station(option: str, texts: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts or ()]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise Halt(f"--{option} {wrong[0]!r} is not STATION=FILE.")
    return {name: value for name, _, value in pairs}


def _seasons(file: Path, stations: tuple[str, ...], signed: bool) -> list[PastSeason]:
    """Return the seasons of a CSV file; Halt names the line that is wrong."""
    from orchestrator.products.parametric_cover.basis_risk import PastSeason

    try:
        with open(file, newline="", encoding="utf-8-sig") as handle:
            rows = list(csv.DictReader(handle, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Halt(f"{file} cannot be read: {error}.") from None
    columns = set(rows[0]) if rows else set()
    listed = [station for station in stations if station in columns]
    if not {*_COLUMNS} <= columns or not (signed or listed):
        wanted = ", ".join(_COLUMNS)
        raise Halt(f"{file} needs the columns {wanted} and those of stations, or --records.")
    seasons = []
    for line, row in enumerate(rows, 2):
        try:
            begin, end = (_moment(row[name]) for name in ("from", "to"))
            loss = Decimal(row["loss"]) * _MICRO
            cells = {name: row[name].strip() for name in listed}
            measured = {name: Decimal(cell) for name, cell in cells.items() if cell}
            values = [loss, *measured.values()]
            finite = all(value.is_finite() for value in values)
            if begin >= end or not finite or loss < 0 or loss % 1:
                raise ValueError("from lies before to; a loss is euro, not below zero")
        except (InvalidOperation, ValueError, TypeError, AttributeError) as error:
            raise Halt(f"Line {line} of {file} is no season: {error}.") from None
        season = (row["season"], begin, end, int(loss))
        seasons.append(PastSeason(*season, None if signed else measured))
    return seasons


def _moment(text: str) -> int:
    instant = datetime.fromisoformat(text.strip())
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())


def _print(console: Any, view: dict[str, Any], risk: BasisRisk) -> None:
    rows = [
        (
            row["name"],
            f"{row['measured']:,}",
            row["sources"],
            row["refusal"] or decimal(row["payout_micro"], TEUR),
            decimal(row["loss_micro"], TEUR),
            row["answer"].value,
        )
        for row in view["seasons"]
    ]
    columns = ("season", ">measured", ">stations", ">payout", ">loss", "answer")
    console.print(table("basis risk", columns, rows))
    quiet = risk.seasons - risk.losses
    sentences = [
        f"missed {risk.missed} of {risk.losses} seasons with a loss",
        f"paid wrongly in {risk.paid_wrongly} of {quiet} without one",
        f"paid {decimal(risk.payout_micro, TEUR)} of {decimal(risk.loss_micro, TEUR)} lost",
        f"{decimal(risk.short_micro, TEUR)} of losses not paid",
        f"{decimal(risk.over_micro, TEUR)} paid beyond losses",
    ]
    console.print(plain("; ".join(sentences)), soft_wrap=True)
    if not view["signed"]:
        console.print("Nobody signed what the stations measured here: it is the file's word.")
