"""The state machine of a bank file: orders to the bank, and statements and reports from it.

written -> placed -> answered
received -> taken | rejected
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine


class Stage(StrEnum):
    """Where a bank file stands."""

    WRITTEN = "written"  # an order file is stored; the bank may not have it yet
    PLACED = "placed"  # the channel has the order file
    ANSWERED = "answered"  # the bank has said something about each payout of it
    RECEIVED = "received"  # the bank's file was read from the channel
    TAKEN = "taken"  # it is stored whole, and its lines were acted on
    REJECTED = "rejected"  # it cannot be read; kept among the rejections


class Fact(StrEnum):
    """What can become known about a bank file."""

    PLACED = "placed"  # the channel has taken it
    ANSWERED = "answered"  # none of its payouts waits for an answer any more
    TAKEN = "taken"  # its content was read and stored
    UNREADABLE = "unreadable"  # its content breaks the rules of its format


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.WRITTEN, Fact.PLACED): Stage.PLACED,
    # a crash after placing it: the answer comes before the note
    (Stage.WRITTEN, Fact.ANSWERED): Stage.ANSWERED,
    (Stage.PLACED, Fact.ANSWERED): Stage.ANSWERED,
    (Stage.RECEIVED, Fact.TAKEN): Stage.TAKEN,
    (Stage.RECEIVED, Fact.UNREADABLE): Stage.REJECTED,
}

_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.PLACED: (Stage.PLACED, Stage.ANSWERED),
    Fact.ANSWERED: (Stage.ANSWERED,),
    Fact.TAKEN: (Stage.TAKEN,),
}

MACHINE = Machine(
    "bank file",
    _MOVES,
    _KNOWN,
    "compare the file with the bank's channel; `proofrail bank parse` shows what it says.",
)


def order_stage(name: str, is_placed: bool, is_answered: bool = False) -> Stage:
    """Return where an order file stands; its row is append-only and does not record it.

    Args:
        is_placed: Whether the channel has it.
        is_answered: Whether the bank has said something about each of its payouts.
    """
    stage = Stage.WRITTEN
    for fact, is_known in ((Fact.PLACED, is_placed), (Fact.ANSWERED, is_answered)):
        stage = MACHINE.advance(name, stage, fact) if is_known else stage
    return stage
