"""What only two officers let out: a payout above the limit, and one whose order has failed.

An approval speaks of one order, by its EndToEndId, and covers payout, amount and account: nothing
else can leave under it.
"""

from __future__ import annotations

from orchestrator import approvals
from orchestrator.core import ledger
from orchestrator.core.approval import Approval
from orchestrator.core.identity import payout_account
from orchestrator.core.references import attempted, end_to_end_id
from orchestrator.edges.store import Session, payouts
from orchestrator.edges.store import approvals as decided
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Halt
from orchestrator.steps.bank_context import StoreContext

RELEASE, AGAIN = "release_payout", "order_again"
FAILED = ("rejected", "returned")


def to_release(row: payouts.PayoutRow, now: int) -> Approval:
    """Lets a held payout leave. now: Unix seconds."""
    return Approval(RELEASE, row.end_to_end_id, _covers(row, row.cents), now)


def to_order_again(row: payouts.PayoutRow, cents: int, iban: str, now: int) -> Approval:
    """Orders what was rejected or came back once more, to this IBAN, under new references. cents:
    what it still has to bring (`owed`)."""
    return Approval(AGAIN, row.end_to_end_id, _covers(row, cents) | {"iban": iban}, now)


def released(session: Session, chain_id: int) -> list[tuple[str, payouts.PayoutRow]]:
    """(approval, payout) of the held payouts that two officers have released."""
    ready = approvals.ready(session, chain_id, RELEASE)
    rows = payouts.with_references(session, [said.subject for _, said in ready], ("held",))
    found = [
        (identity, rows[said.subject], said) for identity, said in ready if said.subject in rows
    ]
    for identity, row, said in found:
        _must_cover(identity, said, row, row.cents)
    return [(identity, row) for identity, row, _ in found]


def order_again(session: Session, chain_id: int, now: int) -> int:
    """Carries out the approvals to order again; returns how many. The failed order's references
    are never used again; an approval about an order that has not failed waits."""
    ready = approvals.ready(session, chain_id, AGAIN)
    rows = payouts.with_references(session, [said.subject for _, said in ready], FAILED)
    done = 0
    for identity, said in ready:
        if (row := rows.get(said.subject)) is None:
            continue
        _must_cover(identity, said, row, said.detail["cents"])
        if said.detail["cents"] != owed(session, row):
            continue  # more came back since they signed: they sign anew
        _order_again(session, rows.pop(said.subject), said, identity, now)  # one order, once
        decided.mark_executed(session, identity, now)
        done += 1
    return done


def owed(session: Session, row: payouts.PayoutRow) -> int:
    """Cents that a payout still has to bring: what came back, which may be a part; else what its
    last order was for and was never booked."""
    known = StoreContext(session).payout(row.end_to_end_id)
    return known.returned or min(known.in_transit, ordered(session, row)) if known else 0


def ordered(session: Session, row: payouts.PayoutRow) -> int:
    """Cents that the order at hand is for: all of it, or what two officers had ordered again. Other
    parts may still be on their way under an earlier order."""
    if not row.attempt:
        return row.cents
    before = end_to_end_id(attempted(bytes.fromhex(row.payout_id[2:]), row.attempt - 1))
    signed = [each for each in decided.about(session, AGAIN, before) if each.executed_at]
    if len(signed) != 1:
        raise Halt(
            f"payout {row.payout_id} is at attempt {row.attempt}, and {len(signed)} approvals had "
            "it ordered so: the store was changed by hand. It was not ordered. Compare it with "
            "the newest copy."
        )
    return int(decided.said(signed[0]).detail["cents"])


def _order_again(
    session: Session, row: payouts.PayoutRow, said: Approval, identity: str, now: int
) -> None:
    attempt = row.attempt + 1
    reference = end_to_end_id(attempted(bytes.fromhex(row.payout_id[2:]), attempt))
    if row.stage == "returned":
        entry = ledger.reordered(ledger.part_of(row.payout_id, identity), said.detail["cents"])
        store_ledger.post(session, [entry], now, f"approval:{identity}")
    account = payout_account(said.detail["iban"])
    payouts.mark_payouts(
        session,
        [row.payout_id],
        stage="ordered",
        reason=None,
        attempt=attempt,
        end_to_end_id=reference,
        account="0x" + account.hex(),
        file_hash=None,
        line_id=None,
        batch="",
        due_on=None,
    )


def _covers(row: payouts.PayoutRow, cents: int) -> dict[str, object]:
    return {"payout": row.payout_id, "cents": cents, "account": row.account}


def _must_cover(identity: str, said: Approval, row: payouts.PayoutRow, cents: int) -> None:
    if not _covers(row, cents).items() <= said.detail.items():
        raise Halt(
            f"payout {row.payout_id} is not what approval {identity} speaks of: amount or account "
            "was changed since. It was not ordered. Compare the store with the newest copy."
        )
