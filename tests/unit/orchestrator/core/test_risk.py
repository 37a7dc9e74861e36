"""What a compromise reaches: by the time of the records, the stage and the window of a payment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.payment import Stage
from orchestrator.core.risk import Exposed, Remedy, at_risk, open_micro

SINCE, NOW = 1_000, 5_000
UNSETTLED = (
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.ATTESTED,
    Stage.REJECTED,
    Stage.EXPIRED,
    Stage.REFUSED,
    Stage.WAITING_FOR_FUNDS,
    Stage.SKIPPED,
    Stage.HELD,
)


def exposed(
    stage: Stage = Stage.POSTED,
    amount: int = 700,
    release_at: int = NOW + 1,
    observed: tuple[int, ...] = (SINCE * 1000,),
    name: str = "0x01",
) -> Exposed:
    return Exposed(name, "0xa", stage, amount, release_at, observed)


@pytest.mark.parametrize(
    ("stage", "amount", "release_at", "remedy"),
    [
        (Stage.SETTLED, 700, NOW + 1, Remedy.FREEZE),
        (Stage.POSTED, 700, NOW + 1, Remedy.FREEZE),
        (Stage.POSTED, 700, NOW, Remedy.WINDOW_OVER),
        (Stage.PAID_OUT, 700, 1, Remedy.AT_BANK),
        (Stage.RECONCILED, 700, 1, Remedy.AT_BANK),
        (Stage.DISPUTED, 700, NOW + 1, Remedy.FROZEN),
        (Stage.REFUNDED, 700, NOW + 1, Remedy.REFUNDED),
        (Stage.POSTED, -700, 0, Remedy.OWED_BACK),
        (Stage.RECONCILED, 0, 1, Remedy.OWED_BACK),
    ],
)
def test_risk__by_stage_and_window__says_what_can_still_be_done(stage, amount, release_at, remedy):
    [risk] = at_risk([exposed(stage, amount, release_at)], SINCE, NOW)
    assert risk.remedy is remedy
    lost = remedy in (Remedy.FREEZE, Remedy.WINDOW_OVER, Remedy.AT_BANK)
    assert (risk.is_open, open_micro([risk])) == (lost, amount if lost else 0)


@pytest.mark.parametrize("stage", UNSETTLED)
def test_risk__of_what_no_block_holds__is_none(stage):
    assert at_risk([exposed(stage)], SINCE, NOW) == []


def test_stages__all__are_either_at_risk_or_not_settled():
    reached = {s for s in Stage if at_risk([exposed(s)], SINCE, NOW)}
    assert reached == set(Stage) - set(UNSETTLED)


@pytest.mark.parametrize(
    ("observed", "events"),
    [
        ((SINCE * 1000 - 1,), 0),
        ((SINCE * 1000,), 1),
        ((1, SINCE * 1000, SINCE * 1000 + 5), 2),
        ((), 0),
    ],
)
def test_risk__records_from_that_second_on__count(observed, events):
    risks = at_risk([exposed(observed=observed)], SINCE, NOW)
    assert [risk.events for risk in risks] == ([events] if events else [])
    assert all(risk.first_observed_at == SINCE for risk in risks)


@given(
    st.lists(st.tuples(st.integers(0, 9_000_000), st.sampled_from(Stage)), max_size=30),
    st.integers(0, 9_000),
    st.integers(0, 9_000),
)
def test_risk__dated_further_back__never_shrinks(rows, moment, other):
    payments = [exposed(stage, observed=(at,), name=str(n)) for n, (at, stage) in enumerate(rows)]
    early, late = sorted((moment, other))
    wide = {risk.payment_id for risk in at_risk(payments, early, NOW)}
    narrow = {risk.payment_id for risk in at_risk(payments, late, NOW)}
    assert narrow <= wide
