"""A bank's lines come in any order and amount: they may be unexplained, and they never halt us."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import funding, payout
from orchestrator.core.bank_context import CreditBooked, CreditReversed, PayoutMoved
from tests.support.dict_books import LINE, books

LINES = st.builds(
    lambda number, cents, order, flags: replace(
        LINE,
        path=f"Stmt[1]/Ntry[{number}]",
        bank_reference=f"B{number}",
        source=bytes([number % 7]) * 32,
        amount_minor=cents,
        end_to_end_id=order,
        reference="RF18KNOWN" if order == "" else "",
        **flags,
    ),
    st.integers(1, 400),
    st.sampled_from([-1_234, -766, -600, -166, -34, 34, 166, 600, 766, 1_234, 5_000]),
    st.sampled_from(["E1", "E2", "E3", "E9", ""]),
    st.sampled_from([{}, {"reason": "AC04"}, {"is_reversal": True}]),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(LINES, max_size=4), max_size=6))
def test_machines__any_lines_of_a_bank__move_payouts_and_fundings_or_leave_them(files):
    posted = books()
    payouts: dict[str, payout.Stage] = {}
    fundings: dict[str, funding.Stage] = {}
    for lines in files:
        begun = len(posted.effects)
        posted.take(*lines)
        for effect in posted.effects[begun:]:
            match effect:
                case PayoutMoved():
                    stage = payouts.get(effect.payout_id, payout.Stage.SENT)
                    moved = payout.MACHINE.advance(effect.payout_id, stage, effect.fact)
                    payouts[effect.payout_id] = moved
                case CreditBooked():
                    fundings[effect.credit_id] = funding.first_stage(effect.agreement)
                case CreditReversed():
                    stage = fundings[effect.credit_id]
                    fact = funding.Fact.REVERSED
                    fundings[effect.credit_id] = funding.MACHINE.advance("", stage, fact)
    assert set(payouts.values()) <= {
        payout.Stage.PART_BOOKED,
        payout.Stage.BOOKED,
        payout.Stage.RETURNED,
    }
