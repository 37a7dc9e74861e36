"""The state machine of a payout: every pair of stage and fact, against a table written by hand."""

from __future__ import annotations

from orchestrator.core.payout import FAILED, MACHINE, Fact, Stage
from tests.support.machine_table import assert_as_written, reached_from

BANK = "part_booked>part_booked booked>booked returned>returned"
# stage: what moves it (fact>stage), what it knows already, and what can never occur at it
EXPECTED = {
    "due": (
        f"above_limit>waiting_for_approval sent>sent {BANK}",
        "",
        "accepted rejected ordered_again",
    ),
    "waiting_for_approval": (
        f"sent>sent {BANK}",
        "above_limit",
        "accepted rejected ordered_again",
    ),
    "sent": (
        f"accepted>accepted rejected>rejected {BANK}",
        "",
        "above_limit sent ordered_again",
    ),
    "accepted": (
        f"rejected>rejected {BANK}",
        "accepted",
        "above_limit sent ordered_again",
    ),
    "rejected": (
        f"ordered_again>due {BANK}",
        "accepted rejected",
        "above_limit sent",
    ),
    "part_booked": (
        BANK,
        "accepted rejected",
        "above_limit sent ordered_again",
    ),
    "booked": (
        "returned>returned",
        "accepted rejected booked",
        "above_limit sent ordered_again part_booked",
    ),
    "returned": (
        "returned>returned ordered_again>due",
        "accepted rejected",
        "above_limit sent part_booked booked",
    ),
}


def test_payout__every_pair_of_stage_and_fact__is_as_written_down():
    assert_as_written(MACHINE, EXPECTED, Stage, Fact)
    assert len(Stage) * len(Fact) == 8 * 8


def test_payout__from_due_on__reaches_every_stage():
    assert reached_from(MACHINE, Stage.DUE) == set(Stage)


def test_payout__what_the_bank_reports__halts_only_against_our_own_postings():
    """A status report can come at any time after a file was sent; lines at any stage at all."""
    after_file = set(Stage) - {Stage.DUE, Stage.WAITING_FOR_APPROVAL}
    for stage in after_file:
        assert MACHINE.verdict(stage, Fact.ACCEPTED) != "impossible", stage
        assert MACHINE.verdict(stage, Fact.REJECTED) != "impossible", stage
    assert all(MACHINE.verdict(stage, Fact.RETURNED) == "moves" for stage in Stage)


def test_payout__that_has_failed__is_what_can_be_ordered_again():
    again = {stage for stage in Stage if MACHINE.verdict(stage, Fact.ORDERED_AGAIN) == "moves"}
    assert set(FAILED) == again
