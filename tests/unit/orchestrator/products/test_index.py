"""Index products: what people type, what they are shown, and which reports are periods."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_adapters.types import Rejected, subject_id
from oracles.types import ClaimReason
from orchestrator import cli
from orchestrator import products as package
from orchestrator.products import products
from orchestrator.products.index.preview import preview
from orchestrator.products.index.tariff import IndexFacts, decode_terms
from orchestrator.products.index.text import format_terms, parse_terms
from tests.support.effect_double import PAYMENT

EURO = 1_000_000
CAR = {
    "about": "policy:DE-4711",
    "metrics": "distance 0..20000000; night 0..10000; harsh 0..1000",
    "plus": "distance rising: 0=0.00, 1000000=35.00, 3000000=75.00",
    "times": "night rising: 0=100%, 2000=110%, 5000=130%; harsh rising: 0=85%, 5=100%, 20=125%",
    "base": "12.00",
    "floor": "0.00",
    "ceiling": "120.00",
    "coverage": "90%",
    "sources": "0",
    "period": "28..31 days",
    "assurance": "device",
}


def _run(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def test_terms__as_typed__are_shown_as_typed():
    raw = parse_terms(CAR)
    assert format_terms(raw) == CAR
    assert products()["usage_premium"].subject(raw) == subject_id(CAR["about"])


@pytest.mark.parametrize(
    "change, part",
    [
        ({"metrics": "distance"}, "metrics has 'distance'"),
        ({"metrics": "distance 5..1; night 0..1; harsh 0..1"}, "distance: 5 to 1 is no range"),
        ({"metrics": "distance 0..1; distance 0..2"}, "metrics names one twice"),
        ({"plus": "speed: 0=1"}, "plus names speed"),
        ({"plus": "distance: 5=1, 5=2"}, "the knots do not rise from 5 to 5"),
        ({"plus": "distance rising: 0=2, 5=1"}, "between 0 and 5 the curve is not"),
        ({"plus": "distance: 0=1%"}, "plus has '1%', not an amount in euro"),
        ({"times": "night: 0=1.2"}, "times has '1.2', not a share"),
        ({"times": "night: 0=10001%"}, "night: a knot is out of range"),
        ({"base": "0.0000001"}, "base has '0.0000001'"),
        ({"ceiling": "0"}, "the ceiling is not 0"),
        ({"floor": "121.00"}, "0 <= floor <= ceiling"),
        ({"coverage": "101%"}, "coverage"),
        ({"period": "a month"}, "period is 'a month'"),
        ({"period": "31..28 days"}, "the longest is not below the shortest"),
        ({"assurance": "nobody"}, "assurance is 'nobody'"),
        ({"about": ""}, "what the agreement is about"),
        ({"colour": "red"}, "colour is not a term here"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_terms__that_make_no_sense__are_named(change, part):
    with pytest.raises(Rejected) as refused:
        parse_terms(CAR | change)
    assert part in refused.value.detail


def test_preview__of_the_worked_example__is_its_amount_and_every_table_holds_it():
    shown = preview(parse_terms(CAR), {"distance": 1_240_000, "night": 1_200, "harsh": 3})
    assert (shown.amount, shown.refusal) == (51_613_520, "")
    for name, rows in shown.tables.items():
        assert [row.value for row in rows] == sorted({row.value for row in rows})
        assert (shown.point[name], shown.amount) in rows
    unplugged = preview(parse_terms(CAR), {"distance": 310_000}, coverage=7_100)
    assert (unplugged.amount, unplugged.refusal) == (0, "CoverageShort")
    assert "less than 90.00% of the period observed: CoverageShort" in shown.refused
    with pytest.raises(Rejected, match="no metric speed"):
        preview(parse_terms(CAR), {"speed": 1})


def test_command__preview__prints_the_worked_amount():
    terms = [part for name, text in CAR.items() for part in ("--term", f"{name}={text}")]
    held = ["--metric", "distance=1240000", "--metric", "night=1200", "--metric", "harsh=3"]
    command = ["agreement", "preview", "usage_premium", *terms, *held]
    shown = _run(*command)
    assert shown.exit_code == 0 and ": 51.613520 tEUR" in shown.stdout
    view = json.loads(_run(*command, "--json").stdout)
    assert view["amount"] == {"amount": "51613520", "asset": "tEUR/6"}
    for wrong in (["--metric", "harsh"], ["--metric", "night=1"]):  # no number; a second one
        refused = _run(*command, *wrong)
        assert refused.exit_code == 2 and f"--metric '{wrong[1]}' is " in refused.output
    refused = _run("agreement", "preview", "metered_energy")
    assert refused.exit_code == 2 and "has no preview" in refused.output


def test_attack__a_service_s_own_terms_that_are_none__are_refused_at_the_opening():
    service = products()["service_level"]
    folder = Path(package.__file__).parent / "service_level"
    words = json.loads((folder / "cases.json").read_text())["prices"][0]["terms"]
    changes = {"first": "soon", "heartbeat": "0", "low": "-1", "maintenance": "Sun 04:00-02:00"}
    for name, text in changes.items():
        with pytest.raises(Rejected) as refused:
            service.parse_terms(words | {name: text})
        assert refused.value.reason == ClaimReason.FACTS_MALFORMED
    raw = service.parse_terms(words)
    start = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    assert service.rules.ways_of(decode_terms(raw)).first == start


LAMP = {
    "about": "device:lamp-3",
    "metrics": "days 1..60",
    "plus": "days rising: 0=0, 60=18.00",
    "ceiling": "18.00",
    "period": "1..86400 seconds",
}


@pytest.mark.parametrize(
    "amount, days", [(2_100_000, 7), (299_999, 0), (18_000_000, 60), (-300_000, 0), (0, 0)]
)
def test_effects__of_a_final_payment__unlock_the_days_that_it_paid_for(amount, days):
    """Also where a hostile quorum states sixty days and pays for one: money decides."""
    unlock = products()["payg_unlock"]
    terms = unlock.parse_terms(LAMP)
    facts = unlock.encode_facts(IndexFacts(0, 60, 10_000, 1, (60,)))
    effects = unlock.effects(terms, facts, replace(PAYMENT, amount_micro=amount))
    assert [effect.content["days"] for effect in effects] == ([days] if days else [])
    assert {effect.content["device"] for effect in effects} <= {PAYMENT.device}


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": "days 0..60"},
        {"metrics": "days 1..996", "plus": "days: 0=0, 996=298.80", "ceiling": "298.80"},
        {"base": "0.10"},
        {"floor": "0.10"},
        {"plus": "days: 0=0, 30=9.00, 60=17.00"},
        {"plus": "days: 0=0.30, 60=18.00"},
        {"plus": "days: 0=0, 59=17.70"},
        {"plus": "days: 0=0, 60=18.000001"},
        {"ceiling": "17.99"},
        {"times": "days: 0=100%"},
    ],
    ids=lambda change: ", ".join(change.values()),
)
def test_terms__in_which_a_payment_does_not_say_how_many_days__are_refused(change):
    with pytest.raises(Rejected):
        products()["payg_unlock"].parse_terms(LAMP | change)
