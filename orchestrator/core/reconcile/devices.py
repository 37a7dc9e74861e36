"""Device events against settlements on chain.

Each accepted event is in a payment or waits for a named reason, and each settled claim rests on
exactly the records that are stored. A block that left the chain is named too, with what became of
its entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.core.reconcile.findings import BreakFindings
from orchestrator.core.reconcile.kinds import BreakKind, Leg
from orchestrator.core.reconcile.results import Waiting


@dataclass(frozen=True, slots=True)
class Waiters:
    """Accepted events of one agreement that are in no payment.

    Attributes:
        agreement: The agreement's id.
        events: How many.
        since: When the first of them arrived, Unix seconds.
        held_by: Why they wait; "" if nothing holds them.
    """

    agreement: bytes
    events: int
    since: int
    held_by: str


@dataclass(frozen=True, slots=True)
class SettledClaim:
    """One claim as the call data of its settlement has it, and what the store has of it.

    Attributes:
        payment_id: The payment's id.
        amount_micro: Micro-euro that the settlement moved.
        run: The claim's first and last counter on chain.
        evidence: The claim's evidence root on chain.
        stored_run: The first and last counter of the stored events; None where there are none.
        stored: The root of the bytes of the stored events.
    """

    payment_id: bytes
    amount_micro: int
    run: tuple[int, int]
    evidence: bytes
    stored_run: tuple[int, int] | None
    stored: bytes


@dataclass(frozen=True, slots=True)
class Stranger:
    """A claim, or a whole settlement, that moved money on chain and is not in our store."""

    identity: bytes  # payment id; of a settlement that cannot be read: its transaction hash
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Orphan:
    """A block that left the chain.

    Attributes:
        block_hash: 0x-hex.
        entries: How many of its entries were voided.
        back: How many of these are in a later block.
        at: The block's own time, Unix seconds.
    """

    block_hash: str
    entries: int
    back: int
    at: int


@dataclass(frozen=True, slots=True)
class Devices:
    """What devices recorded, and what became of it.

    Attributes:
        waiting: Events that are in no payment.
        claims: The settled claims.
        strangers: Settled claims that are not in our store.
        orphans: Blocks that left the chain.
        lost: (payment id, events) of payments that events name and that do not exist.
    """

    waiting: Sequence[Waiters] = ()
    claims: Sequence[SettledClaim] = ()
    strangers: Sequence[Stranger] = ()
    orphans: Sequence[Orphan] = ()
    lost: Sequence[tuple[bytes, int]] = ()


def name_records(findings: BreakFindings, devices: Devices) -> None:
    """Report events without a payment and a reason, claims without their events, and strangers."""
    counts: Counter[str] = Counter()
    for item in devices.waiting:
        counts[item.held_by or "nothing"] += item.events
        if not item.held_by:
            findings.broken(
                Leg.DEVICE,
                BreakKind.MISSING,
                [item.agreement],
                [],
                item.events,
                0,
                "events",
                since=item.since,
                detail="nothing holds these events back, and they are in no payment",
            )
    findings.waiting += [Waiting(reason, events) for reason, events in counts.items()]
    for payment, events in devices.lost:
        findings.broken(
            Leg.DEVICE,
            BreakKind.MISSING,
            [payment],
            [],
            events,
            0,
            "events",
            detail="events name a payment that is not there",
        )
    for claim in devices.claims:
        _compare(findings, claim)
    for item in devices.strangers:
        findings.broken(
            Leg.DEVICE,
            BreakKind.EXTRA,
            [item.identity],
            [],
            0,
            item.amount_micro,
            "tEUR/6",
            detail="settled on chain, and not a claim of this rail",
        )


def _compare(findings: BreakFindings, claim: SettledClaim) -> None:
    first, last = claim.run
    if claim.stored_run is None:
        kind, why = BreakKind.MISSING, f"no stored event for counters {first} to {last}"
    elif claim.stored_run != claim.run:
        stored = " to ".join(map(str, claim.stored_run))
        kind, why = BreakKind.MISSING, f"settled counters {first} to {last}, stored {stored}"
    elif claim.stored != claim.evidence:
        kind, why = BreakKind.AMOUNT, "the stored records are not those whose root was settled"
    else:
        return
    findings.broken(
        Leg.DEVICE, kind, [claim.payment_id], [], claim.amount_micro, 0, "tEUR/6", detail=why
    )


def name_orphans(findings: BreakFindings, orphans: Iterable[Orphan]) -> None:
    """Report each block that left the chain, with how many of its entries came back."""
    for item in orphans:
        back = "all of its entries came back in later blocks"
        findings.broken(
            Leg.CHAIN,
            BreakKind.REORGANISED,
            [item.block_hash.removeprefix("0x")],
            [],
            item.entries,
            item.back,
            "entries",
            since=item.at,
            detail=f"entries voided: {item.entries}, back in later blocks: {item.back}",
            closed=back if item.back == item.entries else "",
        )
