"""Claims that go on from rows which the contract keeps: who gives `derive` the rows before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from device_adapters.types import Event, Rejected, device_id
from oracles.hearing import heard_devices, hearing
from oracles.rules import derive_claim, stated_before
from oracles.types import ClaimReason
from orchestrator.core.payment import Stage
from tests.support.meter_streams import agreement
from tests.support.oracle_at import events_of, reasons
from tests.support.station_cover import (
    AFTER,
    DAY,
    FARM,
    RULES,
    STATIONS,
    SmallCover,
    ask,
    closing,
    terms_of,
    weather,
)


def _derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
    before: bytes | None = None,
) -> bytes:
    start = int(before.split(b">")[1]) if before else 0
    return b"%d>%d" % (start, start + len(cited))


def _rows_before(facts: bytes) -> bytes:
    if facts.count(b">") != 1:
        raise Rejected(ClaimReason.FACTS_MALFORMED, "no rows")
    return b">" + facts.split(b">")[0]


# counts the records that it hears since its last claim: "3>5" are two more, from the third on
COUNTING = SimpleNamespace(
    **vars(RULES)
    | {
        "derive": _derive,
        "rows_before": _rows_before,
        "heard_period": lambda terms, anchor, events: (
            anchor.observed_at_ms + 1 if anchor else 0,
            events[-1].observed_at_ms,
        ),
        "MOST_DEVICES": 101,
        "MOST_EVENTS": 3,
    }
)
RECORDS = [weather("st-1", 1), weather("st-2", 5)]
LATER = [weather("st-1", 2, AFTER + 100), closing(2, AFTER + 200)]


@pytest.fixture
def cover(tmp_path):
    small_cover = SmallCover(tmp_path / "rail", product=COUNTING)
    yield small_cover
    small_cover.close()


def _facts(row) -> bytes:
    return bytes.fromhex(row.facts[2:])


def test_rail__after_a_claim_that_the_chain_applied__goes_on_from_its_rows(cover, tmp_path):
    cover.take(*RECORDS, closing())
    assert _facts(cover.claimed()) == b"0>2"
    cover.move_to(Stage.SETTLED)
    assert cover.take(*LATER) == ["accepted"] * 2
    assert _facts(cover.claimed(2)) == b"2>3"


@pytest.mark.parametrize("stage", [Stage.SETTLED, Stage.REFUNDED, Stage.SKIPPED])
def test_rows__of_a_claim__count_only_if_the_chain_applied_it(cover, stage):
    """What became of the money is no matter: a refund does not turn the meters back."""
    cover.take(*RECORDS, closing())
    cover.claimed()
    cover.move_to(stage)
    cover.take(*LATER)
    start = _facts(cover.claimed(2)).split(b">")[0]
    assert start == (b"0" if stage is Stage.SKIPPED else b"2")


def test_oracle__rows_before__are_what_the_claim_says(cover, tmp_path):
    """The contract compares them; the oracle vouches for the step that follows."""
    cover.take(*RECORDS, closing())
    cover.claimed()
    for number, facts in enumerate((b"0>2", b"7>9")):
        node = cover.oracle(tmp_path / str(number), *RECORDS, closing())
        assert ask(node, replace(cover.claim(), facts=facts)).signature


@pytest.mark.parametrize(
    "facts, reason",
    [(b"0>3", ClaimReason.CLAIM_DIFFERS), (b"", ClaimReason.FACTS_MALFORMED)],
)
def test_oracle__step_that_the_records_do_not_make__is_refused_by_name(
    cover, tmp_path, facts, reason
):
    cover.take(*RECORDS, closing())
    cover.claimed()
    node = cover.oracle(tmp_path / "oracle", *RECORDS, closing())
    assert reasons(ask(node, replace(cover.claim(), facts=facts))) == [(0, reason)]


def test_derive__product_that_keeps_no_rows__gets_none():
    run = events_of(closing())
    deal = agreement(FARM, terms=terms_of(*STATIONS))
    assert stated_before(RULES, b"7>9") is None
    assert derive_claim(deal, RULES, 1, None, run, before=b"7>9").facts == b"0 records of "
    assert derive_claim(deal, COUNTING, 1, None, run, before=b"7>9").facts == b"9>9"


# --- limits of a product's own


def test_limits__of_the_product__replace_those_of_all(cover, tmp_path):
    names = [f"st-{number}" for number in range(102)]
    assert len(heard_devices(COUNTING, terms_of(*names[:101]), b"")) == 101
    assert heard_devices(COUNTING, terms_of(*names), b"") == frozenset()
    deal = agreement(FARM, terms=terms_of(*STATIONS))
    assert hearing(deal, COUNTING, None, events_of(closing())).most_events == 3
    assert heard_devices(COUNTING, terms_of("st-1"), b"") == {device_id("st-1")}


def test_limits__more_events_than_the_product_takes__are_refused_by_rail_and_oracle(
    cover, tmp_path
):
    other = SmallCover(tmp_path / "other", product=COUNTING)
    other.take(*RECORDS, closing())
    other.claimed()
    more = [*RECORDS, weather("st-2", 6), weather("st-2", 7, DAY[1]), closing()]
    node = cover.oracle(tmp_path / "oracle", *more)
    assert reasons(ask(node, other.claim())) == [(0, ClaimReason.HEARD_TOO_MANY)]
    other.close()
    cover.take(*more)
    row = cover.claimed()
    assert (row.stage, row.reason) == ("rejected", "heard_too_many")
