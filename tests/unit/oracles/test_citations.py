"""What a run may cite, and streams in which other counters are about other subjects."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from device_adapters.types import Event, subject_id
from oracles import rules
from oracles.citations import cited_events, cited_ids, resolve, unresolved
from oracles.merkle import evidence_root
from tests.support.meter_streams import agreement, session

# a product that accepts all events, waits for no counter and makes one claim of them
LOOSE = SimpleNamespace(
    GAPLESS=False,
    LATE=True,
    admit=lambda terms, previous, event, segment: None,
    complete=lambda terms, anchor, events: len(events),
    derive=lambda terms, anchor, events, cited, late: b"late" if late else b"facts",
)


def about(counter: int, subject: str = "tea", device: str = "M1", **fields) -> Event:
    return replace(session(counter), subject=subject, device=device, **fields)


OF_TEA = agreement(subject=subject_id("tea"))


def test_runs__product_without_gaps__claims_over_them_and_waits_for_nothing():
    result = rules.runs(OF_TEA, LOOSE, 0, None, [about(9), about(2), about(5)])
    assert [event.counter for event in result.run] == [2, 5, 9]
    assert result.holes == ()


def test_runs__events_about_something_else__are_passed_over():
    events = [about(1, "coffee"), about(2), session(3)]
    assert [event.counter for event in rules.runs(OF_TEA, LOOSE, 0, None, events).run] == [2]
    assert [event.counter for event in rules.runs(agreement(), LOOSE, 0, None, events).run] == [3]


def test_late_run__within_a_claimed_range__is_dropped_as_too_late():
    events = [about(2), about(5), about(7)]
    result = rules.late_run(OF_TEA, LOOSE, events, [(4, 6), (9, 9)])
    assert [event.counter for event in result.run] == [2, 7]
    assert [(v.event.counter, str(v.reason)) for v in result.dropped] == [(5, "too_late")]


def test_resolve__the_lowest_bearer_about_the_same_subject__is_the_one():
    run = [about(1, cites=("a", "b", "c"))]
    elsewhere = about(1, "coffee", "A0", names=("a", "b"))
    low, high = about(3, names=("a",)), about(4, names=("a", "c"))
    result = resolve(run, [high, elsewhere, low])
    assert result == {"a": low, "c": high}
    assert unresolved(run, result) == ["b"]


def test_cited_events__each_once_in_order_of_citation__and_none_of_the_run_itself():
    first = about(1, names=("own",))
    run = [first, about(2, cites=("x", "own", "y")), about(3, cites=("y", "z", "x"))]
    single, double = about(7, names=("x",)), about(8, names=("y", "z"))
    cited = resolve(run, [single, double, first])
    assert cited_ids(run) == ["x", "own", "y", "z"]
    assert cited_events(run, cited) == [single, double]
    claim = rules.derive_claim(OF_TEA, LOOSE, 1, None, run, cited)
    behind = [event.evidence_hash for event in (*run, single, double)]
    assert claim.evidence == evidence_root(behind)
    assert (claim.first_counter, claim.last_counter, claim.facts) == (1, 3, b"facts")
    assert rules.derive_claim(OF_TEA, LOOSE, 1, None, run, cited, late=True).facts == b"late"


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.sets(st.sampled_from("abc"))),
        max_size=8,
        unique_by=lambda candidate: candidate[0],
    ),
    st.randoms(),
)
def test_resolve__candidates_in_any_order__come_to_the_same(candidates, chance):
    run = [about(99, cites=("a", "b", "c"))]
    events = [about(n, names=tuple(sorted(names)), device=f"D{n}") for n, names in candidates]
    shuffled = chance.sample(events, len(events))
    first, second = resolve(run, events), resolve(run, shuffled)
    assert {k: e.event_id for k, e in first.items()} == {k: e.event_id for k, e in second.items()}
    # stable: resolving among the chosen events chooses the same
    assert resolve(run, first.values()) == first
