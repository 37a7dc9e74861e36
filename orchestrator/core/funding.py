"""The state machine of a funding: a credit at the bank that becomes tokens in escrow.

booked -> minting -> minted
"""

from __future__ import annotations

from enum import StrEnum

from orchestrator.core.machine import Machine


class Stage(StrEnum):
    """Where a funding stands."""

    BOOKED = "booked"  # the agreement or wallet is known: its tokens are to be minted
    SUSPENSE = "suspense"  # no agreement is known: two officers decide
    MINTING = "minting"  # the transaction that mints is signed
    MINTED = "minted"  # its tokens are in escrow or wallet, on a final block
    SENT_BACK = "sent_back"  # a payout returns it to its payer
    REVERSED = "reversed"  # the bank took it back before it was minted


class Fact(StrEnum):
    """What can become known about a funding."""

    ALLOCATED = "allocated"  # two officers named its agreement, or a party's wallet
    SENT_BACK = "sent_back"  # two officers had it sent back
    MINT_SIGNED = "mint_signed"  # the transaction that mints it is stored
    MINT_FAILED = "mint_failed"  # that transaction failed in a block
    MINTED = "minted"  # the chain minted it, on a final block
    REVERSED = "reversed"  # the bank took it back


_MOVES: dict[tuple[Stage, Fact], Stage] = {
    (Stage.SUSPENSE, Fact.ALLOCATED): Stage.BOOKED,
    (Stage.SUSPENSE, Fact.SENT_BACK): Stage.SENT_BACK,
    (Stage.SUSPENSE, Fact.REVERSED): Stage.REVERSED,
    (Stage.BOOKED, Fact.MINT_SIGNED): Stage.MINTING,
    (Stage.BOOKED, Fact.REVERSED): Stage.REVERSED,
    (Stage.MINTING, Fact.MINT_FAILED): Stage.BOOKED,
    (Stage.MINTING, Fact.MINTED): Stage.MINTED,
    # the chain decides: a store restored from an old copy has not signed the mint yet, and the key
    # that mints may have been used outside of it
    (Stage.SUSPENSE, Fact.MINTED): Stage.MINTED,
    (Stage.BOOKED, Fact.MINTED): Stage.MINTED,
    (Stage.SENT_BACK, Fact.MINTED): Stage.MINTED,
    (Stage.REVERSED, Fact.MINTED): Stage.MINTED,
}

_KNOWN: dict[Fact, tuple[Stage, ...]] = {
    # the same failure is seen again after a block was orphaned
    Fact.MINT_FAILED: (Stage.BOOKED, Stage.MINTED, Stage.REVERSED),
    Fact.MINTED: (Stage.MINTED,),
    # too late: the mint is under way, or the money has left
    Fact.REVERSED: (Stage.MINTING, Stage.MINTED, Stage.SENT_BACK, Stage.REVERSED),
}

MACHINE = Machine(
    "funding",
    _MOVES,
    _KNOWN,
    "compare it with the bank and the chain: `proofrail reconcile` and `proofrail funding list`.",
)


def first_stage(agreement: str | None) -> Stage:
    """Return where a credit begins. agreement: None where none is known for it yet."""
    return Stage.BOOKED if agreement else Stage.SUSPENSE
