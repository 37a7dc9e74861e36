"""The state machine of a bank file: every pair, against a table written by hand."""

from __future__ import annotations

import pytest

from orchestrator.core.bank_file import MACHINE, Fact, Stage, order_stage
from tests.support.machine_table import assert_as_written, reached_from

# stage: what moves it (fact>stage), what it knows already, and what can never occur at it
EXPECTED = {
    "written": ("placed>placed answered>answered", "", "taken unreadable"),
    "placed": ("answered>answered", "placed", "taken unreadable"),
    "answered": ("", "placed answered", "taken unreadable"),
    "received": ("taken>taken unreadable>rejected", "", "placed answered"),
    "taken": ("", "taken", "placed answered unreadable"),
    "rejected": ("", "", "placed answered taken unreadable"),
}


def test_bank_file__every_pair_of_stage_and_fact__is_as_written_down():
    assert_as_written(MACHINE, EXPECTED, Stage, Fact)
    assert len(Stage) * len(Fact) == 6 * 4


def test_bank_file__from_written_and_received_on__reaches_every_stage():
    assert reached_from(MACHINE, Stage.WRITTEN, Stage.RECEIVED) == set(Stage)


@pytest.mark.parametrize(
    ("is_placed", "is_answered", "stage"),
    [
        (False, False, Stage.WRITTEN),
        (True, False, Stage.PLACED),
        (True, True, Stage.ANSWERED),
        (False, True, Stage.ANSWERED),
    ],
)
def test_order_stage__by_channel_and_answers__is_where_the_file_stands(
    is_placed, is_answered, stage
):
    assert order_stage("pain.001-M1.xml", is_placed, is_answered) is stage
