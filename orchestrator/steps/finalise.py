"""From final blocks to the ledger: posts each block once, orders payouts, archives the proofs.

Nothing here runs before a block is N deep, so no bank file can leave on a block that may vanish.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from orchestrator.core.chain_posting import by_rail, released_rest
from orchestrator.core.identity import CURVES
from orchestrator.core.payment import Fact, Stage
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.chain.proof import block_proofs
from orchestrator.edges.chain.stored import log_of
from orchestrator.edges.store import (
    Session,
    add_new,
    agreements,
    blocks,
    debts,
    equivocations,
    ledger,
    payments,
    pending,
    transfers,
)
from orchestrator.steps import StepContext
from orchestrator.steps.chain_context import by_block, read_claims

# logs an auditor may need proven; everything else is only booked
_PROVEN = (
    "Settled",
    "Minted",
    "Released",
    "Redeemed",
    "AgreementOpened",
    "DeviceEnrolled",
    "KeyRotated",
    "DeviceSuspended",
    "DeviceResumed",
    "DeviceRevoked",
    "CompromiseDeclared",
    "MemberSeated",
    "MemberUnseated",
    "MemberBarred",
)
_APPLIED = (Stage.SETTLED, Stage.DISPUTED)
_Effect = Callable[[StepContext, Session, DecodedLog, int], None]


def finalise(rail: StepContext) -> int:
    """Posts what blocks that became final say, and what follows; returns how many blocks."""
    with rail.store.read() as session:
        newest = blocks.newest(session)
        depth = rail.settings.finality_blocks
        due = blocks.not_final(session, newest.number - depth) if newest else []
        logs = [log_of(row) for row in blocks.logs_in(session, [block.number for block in due])]
    if not due:
        return 0
    proofs, claims = _prove(rail, logs), read_claims(rail, logs)
    with rail.store.write() as session:
        # derived anew: what was noted when the block was first seen is no authority
        for block, found, entries in by_block(rail, session, due, logs, claims):
            ledger.post(session, entries, block.timestamp, f"block:{block.hash}")
            for log in found:
                if log.name in _EFFECTS:
                    _EFFECTS[log.name](rail, session, log, block.timestamp)
        pending.mark_posted(session, [block.hash for block in due])
        add_new(session, proofs)
        blocks.mark_final(session, [block.number for block in due])
    return len(due)


def _prove(rail: StepContext, logs: list[DecodedLog]) -> list[blocks.ProofRow]:
    wanted: dict[str, list[str]] = {}
    for log in logs:
        if log.name in _PROVEN:
            hashes = wanted.setdefault(log.block_hash, [])
            if log.tx_hash not in hashes:
                hashes.append(log.tx_hash)
    return [
        blocks.ProofRow(tx_hash=tx_hash, body=json.dumps(proof))
        for block_hash, hashes in wanted.items()
        for tx_hash, proof in block_proofs(rail.chain.url, block_hash, hashes).items()
    ]


# --- one function per log; `at` is its block's time; facts are dated now


def _settled(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    # claims that it refused stay in it too, at whatever stage they wait or ended
    rows = [row for row in payments.of_settlement(session, log.tx_hash) if row.stage in _APPLIED]
    parties = agreements.by_ids(session, {row.agreement_id for row in rows})
    debts.note(
        session,
        [
            debts.DebtRow(
                payment_id=row.payment_id,
                agreement_id=row.agreement_id,
                payee=payments.payee_of(row, parties[row.agreement_id]),
                amount_micro=-row.amount_micro,
                noted_at=at,
            )
            for row in rows
            if row.amount_micro < 0
        ],
    )
    payments.record_facts(
        session,
        [
            payments.NewFact(row.payment_id, Fact.OWED, log.block_hash)
            if row.amount_micro < 0
            else payments.NewFact(
                row.payment_id, Fact.FINAL, log.block_hash, due_at=row.release_at + 1
            )
            for row in rows
        ],
        rail.now(),
    )


def _minted(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    transfers.mark_funding(session, log.args["credit"], "minted", log.tx_hash)


def _escrow_funded(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    _try_waiting(session, log.args["agreement"], log, at)


def _try_waiting(session: Session, agreement: str, log: DecodedLog, at: int) -> None:
    """Money came into an escrow: claims that were short try again, an ended one gives it back."""
    row = agreements.get(session, agreement)
    if row is not None and row.stage == "closed":
        agreements.mark(session, agreement, "refund_due")
    waiting = payments.of_agreement(session, agreement, Stage.WAITING_FOR_FUNDS)
    key = f"{log.block_hash}:{log.index}"
    payments.record_facts(session, [payments.NewFact(p, Fact.FUNDED, key) for p in waiting], at)


def _released(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    gone = payments.release(session, log.args["payee"], log.args["releaseTimes"], log.tx_hash)
    around = [log_of(row) for row in blocks.logs_in_transaction(session, log.tx_hash)]
    if log.args["amount"] and not released_rest(log, around):
        # all of it paid debts: no payout will ever hold it
        set_off = [payments.NewFact(p, Fact.SET_OFF, log.tx_hash) for p in gone]
        payments.record_facts(session, set_off, rail.now())


def _debt_paid(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    agreement, ref = log.args["agreement"], f"{log.tx_hash}:{log.index}"
    paid = debts.pay(session, agreement, log.args["payee"], log.args["amount"])
    payments.record_facts(
        session, [payments.NewFact(p, Fact.SET_OFF, ref) for p in paid], rail.now()
    )
    _try_waiting(session, agreement, log, at)


def _redeemed(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    payout, payee = log.args["order"], log.args["beneficiary"]
    add_new(
        session,
        [
            transfers.PayoutRow(
                payout_id=payout,
                payee=payee,
                account=log.args["account"],
                cents=log.args["cents"],
                end_to_end_id=end_to_end_id(bytes.fromhex(payout[2:])),
                tx_hash=log.tx_hash,
                ordered_at=at,
            )
        ],
    )
    # anyone may redeem tokens of their own, also within one transaction with our release
    if by_rail(log, rail.chain.deployment.addresses["PaymentRail"]):
        payments.record_facts(
            session,
            [  # a redemption takes all that was released before
                payments.NewFact(p, Fact.REDEEMED, payout, sets={"payout_id": payout})
                for p in payments.released(session, payee)
            ],
            rail.now(),
        )


def _reclaimed(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    agreements.mark(session, log.args["agreement"], "closed")


def _opened(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    agreements.mark(session, log.args["agreement"], "live", at)


def _closed(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    row = agreements.get(session, log.args["agreement"])
    if row is not None:  # until then it runs on; its expiry stays as signed
        row.closes_at = log.args["expiry"]


def _disputed(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    disputed = payments.NewFact(log.args["payment"], Fact.DISPUTED, log.block_hash)
    payments.record_facts(session, [disputed], rail.now())


def _dispute_ended(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    payment, key = log.args["payment"], log.block_hash
    agreement = agreements.of_payment(session, payment)
    if agreement is None:
        return
    if log.args["refunded"]:
        told = payments.NewFact(payment, Fact.REFUNDED, key, due_at=at)
    else:  # withdrawable at once, but the contract takes no release time that is still to come
        row = payments.by_ids(session, [payment])[0]
        due_at, sets = max(at, row.release_at + 1), {"release_tx": log.tx_hash}
        told = payments.NewFact(payment, Fact.UPHELD, key, "", sets, due_at)
    payments.record_facts(session, [told], rail.now())
    if log.args["refunded"]:  # money in escrow again, though no EscrowFunded says so
        _try_waiting(session, agreement.agreement_id, log, at)


def _device(status: str) -> _Effect:
    def mark(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
        row = agreements.device(session, log.args["device"])
        if row is not None and row.compromised_since is None:  # nothing revives a stolen key
            row.status = status

    return mark


def _rotated(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    row = agreements.device(session, log.args["device"])
    if row is not None:
        row.curve = next(curve for curve, code in CURVES.items() if code == log.args["curve"])
        row.key_x, row.key_y = (hex(int(log.args[part], 16)) for part in ("x", "y"))
        row.expires_at = log.args["expiresAt"]


def _compromised(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    row = agreements.device(session, log.args["device"])
    if row is not None:  # an earlier date may follow, a later one never
        row.status, row.compromised_since = "compromised", log.args["since"]


def _barred(rail: StepContext, session: Session, log: DecodedLog, at: int) -> None:
    member, agreement = log.args["member"], log.args["agreement"]
    equivocations.mark_barred(session, member, agreement, log.args["sequence"], at)


_EFFECTS: dict[str, _Effect] = {
    "Settled": _settled,
    "Minted": _minted,
    "EscrowFunded": _escrow_funded,
    "EscrowReclaimed": _reclaimed,
    "Released": _released,
    "DebtPaid": _debt_paid,
    "Redeemed": _redeemed,
    "AgreementOpened": _opened,
    "AgreementClosed": _closed,
    "PaymentDisputed": _disputed,
    "DisputeEnded": _dispute_ended,
    "DeviceSuspended": _device("suspended"),
    "DeviceResumed": _device("active"),
    "DeviceRevoked": _device("retired"),
    "KeyRotated": _rotated,
    "CompromiseDeclared": _compromised,
    "MemberBarred": _barred,
}


def reconsider(rail: StepContext) -> int:
    """Payments refused for their cap are tried again when a new period may have begun."""
    now = rail.now()
    with rail.store.write() as session:
        waiting = payments.overdue(session, Stage.WAITING_FOR_FUNDS, now)
        return payments.record_facts(
            session, [payments.NewFact(p, Fact.FUNDED, f"time:{now}") for p in waiting], now
        )
