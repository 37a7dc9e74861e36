"""The state machine of a payout: money on its way from the safeguarding account to a payee.

due -> sent -> accepted -> booked
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine


class Stage(StrEnum):
    """Where a payout stands."""

    DUE = "due"  # in no file yet; a reason says what it waits for
    WAITING_FOR_APPROVAL = "waiting_for_approval"  # above the limit: two officers have to approve
    SENT = "sent"  # stored in a file for the bank
    ACCEPTED = "accepted"  # the bank's status report accepts it
    REJECTED = "rejected"  # the bank's status report rejects it
    PART_BOOKED = "part_booked"  # the bank's statements show a part
    BOOKED = "booked"  # the bank's statements show all of it
    RETURNED = "returned"  # the money came back, all or a part


class Fact(StrEnum):
    """What can become known about a payout."""

    ABOVE_LIMIT = "above_limit"  # its amount needs two approvals
    SENT = "sent"  # it was put into a file for the bank
    ACCEPTED = "accepted"  # a status report accepts it
    REJECTED = "rejected"  # a status report rejects it
    PART_BOOKED = "part_booked"  # a line books a part, and nothing came back
    BOOKED = "booked"  # a line books the rest, and nothing came back
    RETURNED = "returned"  # a line was booked, and money of it is back
    ORDERED_AGAIN = "ordered_again"  # two officers had it ordered again


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.DUE, Fact.ABOVE_LIMIT): Stage.WAITING_FOR_APPROVAL,
    (Stage.DUE, Fact.SENT): Stage.SENT,
    (Stage.WAITING_FOR_APPROVAL, Fact.SENT): Stage.SENT,
    (Stage.SENT, Fact.ACCEPTED): Stage.ACCEPTED,
    (Stage.SENT, Fact.REJECTED): Stage.REJECTED,
    (Stage.ACCEPTED, Fact.REJECTED): Stage.REJECTED,
    # the bank's lines count at every stage: a store restored from an old copy has not sent the
    # payout yet, and a bank may book what it rejected before
    (Stage.DUE, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.DUE, Fact.BOOKED): Stage.BOOKED,
    (Stage.DUE, Fact.RETURNED): Stage.RETURNED,
    (Stage.WAITING_FOR_APPROVAL, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.WAITING_FOR_APPROVAL, Fact.BOOKED): Stage.BOOKED,
    (Stage.WAITING_FOR_APPROVAL, Fact.RETURNED): Stage.RETURNED,
    (Stage.SENT, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.SENT, Fact.BOOKED): Stage.BOOKED,
    (Stage.SENT, Fact.RETURNED): Stage.RETURNED,
    (Stage.ACCEPTED, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.ACCEPTED, Fact.BOOKED): Stage.BOOKED,
    (Stage.ACCEPTED, Fact.RETURNED): Stage.RETURNED,
    (Stage.REJECTED, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.REJECTED, Fact.BOOKED): Stage.BOOKED,
    (Stage.REJECTED, Fact.RETURNED): Stage.RETURNED,
    # another part: the stage stays, and the new line is recorded
    (Stage.PART_BOOKED, Fact.PART_BOOKED): Stage.PART_BOOKED,
    (Stage.PART_BOOKED, Fact.BOOKED): Stage.BOOKED,
    (Stage.PART_BOOKED, Fact.RETURNED): Stage.RETURNED,
    (Stage.BOOKED, Fact.RETURNED): Stage.RETURNED,
    (Stage.RETURNED, Fact.RETURNED): Stage.RETURNED,
    (Stage.REJECTED, Fact.ORDERED_AGAIN): Stage.DUE,
    (Stage.RETURNED, Fact.ORDERED_AGAIN): Stage.DUE,
}

# a status report says nothing new about what the bank has rejected or booked
_BEYOND_STATUS = (Stage.REJECTED, Stage.PART_BOOKED, Stage.BOOKED, Stage.RETURNED)

_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.ABOVE_LIMIT: (Stage.WAITING_FOR_APPROVAL,),
    Fact.ACCEPTED: (Stage.ACCEPTED, *_BEYOND_STATUS),
    Fact.REJECTED: _BEYOND_STATUS,
    Fact.BOOKED: (Stage.BOOKED,),
}

# stages at which a payout has failed and can be ordered again
FAILED = (Stage.REJECTED, Stage.RETURNED)

MACHINE = Machine(
    "payout",
    _MOVES,
    _KNOWN,
    "compare `proofrail payout list` with the bank's lines, which `proofrail reconcile` matches.",
)
