"""`proofrail agreement baseline`: terms of energy savings from signed readings of the past."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement_open import term_values
from orchestrator.commands.output import Json, parse_euro, plain, table
from orchestrator.commands.signed_files import genuine_events

if TYPE_CHECKING:
    from orchestrator.products.energy_savings.baseline import Baseline
    from orchestrator.products.index.periods import Period

app = typer.Typer(rich_markup_mode=None)
_FILE = typer.Option(help="A file of its signed records; may be given several times.")
_KEY = typer.Option(help="The public key that signed them: PEM, hex or base64, or its file.")


@app.command()
def baseline(
    meter_records: Annotated[list[Path], _FILE],
    meter_key: Annotated[str, _KEY],
    station_records: Annotated[list[Path], _FILE],
    station_key: Annotated[str, _KEY],
    price: Annotated[str, typer.Option(help="Euro of a kilowatt-hour, as in 0.112.")],
    term: Annotated[
        list[str] | None,
        typer.Option(help="name=value: about, meter, station, heat_below, cool_above."),
    ] = None,
    daily: Annotated[
        bool, typer.Option("--daily", help="Fit days; default: calendar months (UTC).")
    ] = False,
    days: Annotated[
        int, typer.Option(min=1, max=366, help="Length of the agreement's periods.")
    ] = 30,
    coverage: Annotated[
        int, typer.Option(min=1, max=100, help="Percent of a period that has to be observed.")
    ] = 90,
    as_json: Json = False,
) -> None:
    """Fit the baseline of energy savings. It prints terms for `agreement open`; nothing is sent.

    Records are of the site's meter and of the station, from before the agreement.
    """
    from orchestrator.products.energy_savings import baseline as fitting
    from orchestrator.products.energy_savings.product import PRODUCT
    from orchestrator.products.energy_savings.weather import parse_ways

    given = term_values(term or [])
    price_micro = parse_euro(price, "--price")
    ways = parse_ways(given)
    events = genuine_events(meter_records, meter_key, ways.meter)
    events += genuine_events(station_records, station_key, ways.station)
    periods, left_out = fitting.periods_of(ways, events, not daily, coverage * 100)
    fitted = fitting.fit(periods)
    bias = fitting.bias_of(fitted, periods, days, price_micro)
    defaults = {"ceiling": fitting.ceiling_of(fitted, periods, days, price_micro)}
    defaults |= {"coverage": f"{coverage}%", "sources": "2"}
    terms = defaults | given | fitting.terms_of(fitted, days, price_micro)
    PRODUCT.parse_terms(terms)
    view = _view(fitted, bias, left_out) | {"terms": terms}
    output.show(view, as_json, lambda console: _print(console, view))


def _view(fitted: Baseline, bias: Fraction, left_out: list[Period]) -> dict[str, Any]:
    return {
        "periods": fitted.periods,
        "days": fitted.days,
        "left_out": len(left_out),
        "wh_per_day": _decimals(fitted.base, 3),
        "wh_per_heating_degree_day": _decimals(100 * fitted.heating, 3),
        "wh_per_cooling_degree_day": _decimals(100 * fitted.cooling, 3),
        "cv_rmse_percent": _decimals(Fraction(fitted.cv, 100), 2),
        "bias_percent": _decimals(100 * bias, 6),
        "warnings": fitted.warnings(bias),
    }


def _decimals(value: Fraction, places: int) -> str:
    """Return a number rounded to so many decimals."""
    rounded = round(value * 10**places)
    whole, rest = divmod(abs(rounded), 10**places)
    return f"{'-' if rounded < 0 else ''}{whole}.{rest:0{places}}"


def _print(console: Any, view: dict[str, Any]) -> None:
    rows = [
        ("periods fitted", f"{view['periods']} of {view['days']} days"),
        ("left out, observed too little", view["left_out"]),
        ("base", f"{view['wh_per_day']} Wh a day"),
        ("heating", f"{view['wh_per_heating_degree_day']} Wh a degree day"),
        ("cooling", f"{view['wh_per_cooling_degree_day']} Wh a degree day"),
        ("CV(RMSE)", f"{view['cv_rmse_percent']}%"),
        ("bias of the terms (NMBE)", f"{view['bias_percent']}%"),
    ]
    console.print(table("baseline", ("number", ">value"), rows))
    for sentence in view["warnings"]:
        console.print(plain(f"Warning: {sentence}."), soft_wrap=True)
    for name, value in view["terms"].items():
        console.print(plain(f'--term "{name}={value}"'), soft_wrap=True)
