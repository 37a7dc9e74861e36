"""The state machine of an agreement, from the logs of final blocks.

signed -> live -> closed <-> refund_due
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine


class Stage(StrEnum):
    """Where an agreement stands."""

    SIGNED = "signed"  # its mandate is stored; no final block has opened it
    LIVE = "live"  # open on chain; it stays live after its end until its escrow is reclaimed
    CLOSED = "closed"  # its escrow was reclaimed
    REFUND_DUE = "refund_due"  # money came back into the escrow after that


class Fact(StrEnum):
    """What a final block can say about an agreement."""

    OPENED = "opened"  # the contract opened it
    FUNDED = "funded"  # money came into its escrow: a deposit, a paid debt or a lost dispute
    RECLAIMED = "reclaimed"  # its escrow went back to the payer


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.SIGNED, Fact.OPENED): Stage.LIVE,
    # anyone who has the signed mandate may open it, also before it is stored here
    (Stage.SIGNED, Fact.RECLAIMED): Stage.CLOSED,
    (Stage.LIVE, Fact.RECLAIMED): Stage.CLOSED,
    (Stage.CLOSED, Fact.FUNDED): Stage.REFUND_DUE,
    (Stage.REFUND_DUE, Fact.RECLAIMED): Stage.CLOSED,
}

# The contract opens an id once: a closed agreement cannot be opened.
_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.OPENED: (Stage.LIVE,),
    Fact.FUNDED: (Stage.SIGNED, Stage.LIVE, Stage.REFUND_DUE),
    Fact.RECLAIMED: (Stage.CLOSED,),
}

MACHINE = Machine(
    "agreement",
    _MOVES,
    _KNOWN,
    "compare `proofrail agreement list` with the chain.",
)
