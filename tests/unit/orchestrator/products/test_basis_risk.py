"""Parametric cover: past seasons of the stations, against what was lost in them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.products import products
from orchestrator.products.parametric_cover.basis_risk import (
    PastSeason,
    SeasonAnswer,
    basis_risk,
    results_of,
)

EURO, DAY = 1_000_000, 86_400
COVER = products()["parametric_cover"]
TERMS = {
    "about": "field:7",
    "metrics": "measured 0..100000",
    "plus": "measured falling: 600=400.00, 1200=0",
    "ceiling": "400.00",
    "coverage": "50%",
    "sources": "3",
    "period": "1..366 days",
    "stations": "st-1, st-2, st-3, st-4",
    "quantity": "rain mm",
    "measure": "sum",
    "step": "0.1",
}
SEASONS = """season,from,to,loss,st-1,st-2,st-3,st-4
2019, 2019-03-01, 2019-09-01, 0, 130.0, 128.5, 131.0, 127.0
2020, 2020-03-01, 2020-09-01, 310.50, 70.0, 84.0, 84.0, 99.9
2021, 2021-03-01, 2021-09-01, 250, 122.0, 121.0, 125.0,
2022, 2022-03-01, 2022-09-01, 0, 90.0, 90.1, 89.9, 90.0
2023, 2023-03-01, 2023-09-01, 80, 60.0, , , 61.0
"""


def _run(folder: Path, text: str = SEASONS, *more: str):
    (folder / "seasons.csv").write_text(text)
    words = [word for item in TERMS.items() for word in ("--term", "=".join(item))]
    command = ["agreement", "basis-risk", str(folder / "seasons.csv"), *words, *more]
    return CliRunner().invoke(cli.app, command)


def test_seasons__of_a_table__show_how_often_the_cover_misses_and_pays_wrongly(tmp_path):
    done = _run(tmp_path, SEASONS, "--json")
    assert done.exit_code == 0, done.output
    view = json.loads(done.stdout)
    rows = [
        (row["measured"], row["sources"], row["refusal"], row["payout_micro"], row["answer"])
        for row in view["seasons"]
    ]
    assert rows == [
        (1_292, 4, "", 0, "quiet"),
        (840, 4, "", 240 * EURO, "paid"),
        (1_220, 3, "", 0, "missed"),
        (900, 4, "", 200 * EURO, "paid wrongly"),
        (605, 2, "SourcesShort", 0, "missed"),
    ]
    assert view["risk"] == {
        "seasons": 5,
        "losses": 3,
        "missed": 2,
        "paid_wrongly": 1,
        "payout_micro": 440 * EURO,
        "loss_micro": 640_500_000,
        "short_micro": 400_500_000,
        "over_micro": 200 * EURO,
    }
    shown = _run(tmp_path).stdout
    assert "missed 2 of 3 seasons with a loss; paid wrongly in 1 of 2 without one" in shown
    assert "Nobody signed what the stations measured here" in shown


def test_seasons__of_signed_records__are_measured_as_claims_are():
    begin = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp())
    records = [
        {
            "device": f"st-{station}",
            "counter": day + 1,
            "to": begin + day * DAY,
            "readings": {"rain": [f"{10 + station}.5", "mm"]},
        }
        for station in (1, 2, 3)
        for day in range(9)  # the last is of the day behind the season
    ]
    events = [COVER.case_event(record) for record in records]
    season = PastSeason("2025", begin, begin + 8 * DAY, 300 * EURO)
    late = PastSeason("later", begin + 9 * DAY, begin + 17 * DAY, 0)
    terms = COVER.decode_terms(COVER.parse_terms(TERMS))
    first, second = results_of(terms, [season, late], events)
    assert (first.measured, first.sources, first.payout_micro) == (1_000, 3, 133_333_333)
    assert (second.sources, second.refusal, second.answer) == (
        0,
        "SourcesShort",
        SeasonAnswer.QUIET,
    )
    assert basis_risk([first, second]).short_micro == 300 * EURO - 133_333_333


@pytest.mark.parametrize(
    "text, more, part",
    [
        ("season,from,to,loss\n1,2020-01-01,2020-02-01,0\n", (), "needs the columns"),
        (SEASONS.replace("2020-09-01", "2020-02-01"), (), "Line 3 of"),
        (SEASONS.replace("310.50", "-1"), (), "Line 3 of"),
        (SEASONS.replace("310.50", "0.0000001"), (), "Line 3 of"),
        (SEASONS.replace("128.5", "much"), (), "Line 2 of"),
        (SEASONS, ("--records", "st-1"), "is not STATION=FILE"),
        (SEASONS, ("--records", "st-1=a.cose"), "Give --key st-1=FILE"),
        (SEASONS, ("--records", "st-1=no.cose", "--key", "st-1=02"), "no.cose cannot be read"),
    ],
)
def test_file__that_is_no_table_of_seasons__is_refused_by_name(tmp_path, text, more, part):
    done = _run(tmp_path, text, *more)
    assert done.exit_code == 2 and part in " ".join(done.output.split())
