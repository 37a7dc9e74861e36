"""Disputes as the stored logs show them, and the rulings that oracles signed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, select

from orchestrator.core.payment import Stage
from orchestrator.edges.store import add_new, blocks
from orchestrator.edges.store.tables import ChainLogRow, PaymentRow, RulingRow

__all__ = [
    "ChallengeRecord",
    "DisputeRecord",
    "RulingRow",
    "add_rulings",
    "challenges_of",
    "disputed",
    "record_of",
    "rulings_of",
]

_BEGIN = ("PaymentDisputed", "DisputeOpened")
_END = ("DisputeEnded", "BondPaid")
_CHALLENGES = ("FaultProven", "ChallengeLost")


@dataclass(frozen=True, slots=True)
class DisputeRecord:
    """The dispute of a payment, from its logs.

    Attributes:
        challenger: Who began it, or proved a fault of its record.
        bond_micro: What it left as a bond; 0 for the warden, and for contracts of version 1.
        deadline: The last second of a ruling, without pauses that came later; 0: there is none.
        opened_at: Unix seconds.
        opened_tx: The transaction.
        ended_at: Unix seconds; None while it is open.
        ended_tx: The transaction; None while it is open.
        refunded: Whether it ended in the payer's favour; None while it is open.
        kept_micro: What of a refund stays with the payee, since a paid correction gave it back.
        bond_to: Who got the bond; None while nobody did.
        bond_returned: Whether the challenger got it back; None while nobody got it.
    """

    challenger: str
    bond_micro: int
    deadline: int
    opened_at: int
    opened_tx: str
    ended_at: int | None = None
    ended_tx: str | None = None
    refunded: bool | None = None
    kept_micro: int = 0
    bond_to: str | None = None
    bond_returned: bool | None = None


def record_of(session: Session, payment: str) -> DisputeRecord | None:
    """Return the dispute of a payment as of the newest block; None if it never had one.

    A payment is disputed at most once.
    """
    logs = {row.name: row for row in blocks.logs_about(session, (*_BEGIN, *_END), payment)}
    begin = logs.get("PaymentDisputed")
    if begin is None:
        return None
    opened, end, bond = (_args(logs.get(name)) for name in ("DisputeOpened", *_END))
    ended = logs.get("DisputeEnded")
    return DisputeRecord(
        challenger=opened.get("challenger") or _prover(session, payment) or _args(begin)["payer"],
        bond_micro=opened.get("bond", 0),
        deadline=opened.get("deadline", 0),
        opened_at=_time(session, begin) or 0,
        opened_tx=begin.tx_hash,
        ended_at=_time(session, ended),
        ended_tx=ended.tx_hash if ended else None,
        refunded=end.get("refunded"),
        kept_micro=end.get("kept", 0),
        bond_to=bond.get("to"),
        bond_returned=bond.get("returned"),
    )


@dataclass(frozen=True, slots=True)
class ChallengeRecord:
    """A challenge of a payment, from its log.

    Attributes:
        challenger: Who made it.
        fault: Number of the fault, as IChallenges.Fault.
        reason: Number of the reason, as IChallenges.Reason; 0: the fault was proved.
        bond_micro: What it cost; a proved fault returned it at once.
        at: Unix seconds.
        tx_hash: The transaction.
    """

    challenger: str
    fault: int
    reason: int
    bond_micro: int
    at: int | None
    tx_hash: str


def _prover(session: Session, payment: str) -> str | None:
    """Return who proved a fault of the payment's record, if anybody did."""
    proved = [item for item in challenges_of(session, payment) if not item.reason]
    return proved[0].challenger if proved else None


def challenges_of(session: Session, payment: str) -> list[ChallengeRecord]:
    """Return the challenges of a payment as of the newest block, the oldest first."""
    return [
        ChallengeRecord(
            challenger=args["challenger"],
            fault=args["fault"],
            reason=args.get("reason", 0),
            bond_micro=args["bond"],
            at=_time(session, row),
            tx_hash=row.tx_hash,
        )
        for row in blocks.logs_about(session, _CHALLENGES, payment)
        if (args := _args(row))["payment"] == payment
    ]


def _args(row: ChainLogRow | None) -> dict:
    return json.loads(row.args) if row else {}


def _time(session: Session, row: ChainLogRow | None) -> int | None:
    block = blocks.at(session, row.block_number) if row else None
    return block.timestamp if block else None


def disputed(session: Session) -> Sequence[PaymentRow]:
    """Return the payments that are frozen, up to the newest final block."""
    return session.exec(
        select(PaymentRow)
        .where(PaymentRow.stage == Stage.DISPUTED)
        .order_by(PaymentRow.created_at, PaymentRow.payment_id)
    ).all()


def add_rulings(session: Session, rows: Sequence[RulingRow]) -> None:
    """Store valid signatures; one that is stored already stays as it is."""
    add_new(session, rows)


def rulings_of(session: Session, payment: str) -> Sequence[RulingRow]:
    """Return the stored rulings on a payment, by oracle."""
    return session.exec(
        select(RulingRow)
        .where(RulingRow.payment_id == payment)
        .order_by(RulingRow.oracle, RulingRow.refund)
    ).all()
