"""The state machine of a chain send: a signed transaction of ours, from its signature to a block.

signed -> sent -> mined | failed
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine


class Stage(StrEnum):
    """Where a chain send stands."""

    SIGNED = "signed"  # its bytes are stored; no node has them yet
    SENT = "sent"  # a node was sent the bytes, whether or not it accepted them
    MINED = "mined"  # it succeeded in a block
    FAILED = "failed"  # it failed in a block, or another transaction used its nonce


class Fact(StrEnum):
    """What can become known about a chain send."""

    BROADCAST = "broadcast"  # a node was sent the bytes
    SUCCEEDED = "succeeded"  # a receipt shows that it succeeded
    REVERTED = "reverted"  # a receipt shows that it failed; its nonce is used all the same
    DISPLACED = "displaced"  # another transaction used its nonce in a final block
    ORPHANED = "orphaned"  # its block is no longer part of the chain


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.SIGNED, Fact.BROADCAST): Stage.SENT,
    (Stage.SENT, Fact.BROADCAST): Stage.SENT,  # again, with the node's newest answer
    # sent by a process that stopped before it could note so
    (Stage.SIGNED, Fact.SUCCEEDED): Stage.MINED,
    (Stage.SIGNED, Fact.REVERTED): Stage.FAILED,
    (Stage.SIGNED, Fact.DISPLACED): Stage.FAILED,
    (Stage.SENT, Fact.SUCCEEDED): Stage.MINED,
    (Stage.SENT, Fact.REVERTED): Stage.FAILED,
    (Stage.SENT, Fact.DISPLACED): Stage.FAILED,
    # worker and command ask for the same receipt; the newest answer is from the newest chain
    (Stage.MINED, Fact.SUCCEEDED): Stage.MINED,
    (Stage.MINED, Fact.REVERTED): Stage.FAILED,
    (Stage.FAILED, Fact.SUCCEEDED): Stage.MINED,
    (Stage.FAILED, Fact.REVERTED): Stage.FAILED,
    (Stage.MINED, Fact.ORPHANED): Stage.SENT,
    (Stage.FAILED, Fact.ORPHANED): Stage.SENT,
}

# What is in no block cannot be orphaned.
_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    Fact.BROADCAST: (Stage.MINED, Stage.FAILED),
    Fact.DISPLACED: (Stage.MINED, Stage.FAILED),
}

# stages at which no block holds the send: the same bytes are sent again
OPEN = (Stage.SIGNED, Stage.SENT)

MACHINE = Machine(
    "chain send",
    _MOVES,
    _KNOWN,
    "compare the transaction and its block with the node.",
)
