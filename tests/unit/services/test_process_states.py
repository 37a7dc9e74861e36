"""The states of a supervised process: each pair of state and fact, and the wait after a death."""

from __future__ import annotations

from itertools import product

import pytest

from orchestrator.errors import Halt
from services.process_states import PROCESS_MACHINE, ProcessFact, ProcessState, next_rest

S, F = ProcessState, ProcessFact
MOVES = {
    (S.WAITING, F.STARTED): S.STARTING,
    (S.WAITING, F.ASKED): S.STOPPED,
    (S.STARTING, F.SERVES): S.READY,
    (S.STARTING, F.FINISHED): S.DONE,
    (S.STARTING, F.DIED): S.RESTING,
    (S.STARTING, F.ASKED): S.STOPPING,
    (S.READY, F.SERVES): S.READY,
    (S.READY, F.DIED): S.RESTING,
    (S.READY, F.ASKED): S.STOPPING,
    (S.DONE, F.ASKED): S.STOPPED,
    (S.RESTING, F.STARTED): S.STARTING,
    (S.RESTING, F.ASKED): S.STOPPED,
    (S.STOPPING, F.ASKED): S.STOPPING,
    (S.STOPPING, F.ENDED): S.STOPPED,
    (S.STOPPED, F.ASKED): S.STOPPED,
    (S.STOPPED, F.WANTED): S.WAITING,
}


@pytest.mark.parametrize(("state", "fact"), product(ProcessState, ProcessFact))
def test_process__each_state_and_fact__moves_as_written_here_or_halts(state, fact):
    if (state, fact) in MOVES:
        assert PROCESS_MACHINE.advance("p", state, fact) == MOVES[state, fact]
    else:
        with pytest.raises(Halt, match="cannot occur"):
            PROCESS_MACHINE.advance("p", state, fact)


def test_next_rest__deaths_in_a_row__double_up_to_half_a_minute():
    rests = [next_rest(None, 0)]
    while len(rests) < 9:
        rests.append(next_rest(rests[-1], 1))
    assert rests == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_next_rest__after_a_minute_of_life__is_short_again():
    assert next_rest(30, 59.9) == 30 and next_rest(30, 60) == 0.5
