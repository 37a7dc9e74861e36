"""From final blocks to the ledger: books each log once, orders payouts, archives the proofs.

Nothing here runs before a block is N deep, so no bank file can leave on a block that may vanish.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from orchestrator.core import ledger
from orchestrator.core.identity import CURVES
from orchestrator.core.payment import Fact, Stage
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.chain.proof import block_proofs
from orchestrator.edges.store import (
    Session,
    add_new,
    agreements,
    blocks,
    books,
    credits,
    payments,
    transfers,
)
from orchestrator.steps import Rail

# logs an auditor may need proven; everything else is only booked
_PROVEN = (
    "Settled", "Minted", "Released", "Redeemed", "AgreementOpened", "DeviceEnrolled",
    "KeyRotated", "DeviceSuspended", "DeviceResumed", "DeviceRevoked", "CompromiseDeclared",
    "MemberSeated", "MemberUnseated", "MemberBarred",
)  # fmt: skip
_PAYS_DEBTS = ("Released", "Repaid")
_APPLIED = (Stage.SETTLED, Stage.DISPUTED)
_Log = blocks.ChainLog
_Book = Callable[[Rail, Session, _Log, dict, int], None]


def finalise(rail: Rail) -> int:
    """Books the logs of blocks that became final; returns how many blocks that were."""
    with rail.store.read() as session:
        newest = blocks.newest(session)
        depth = rail.settings.finality_blocks
        due = blocks.not_final(session, newest.number - depth) if newest else []
        logs = blocks.logs_in(session, [block.number for block in due])
    if not due:
        return 0
    proofs = _prove(rail, logs)
    times = {block.number: block.timestamp for block in due}
    with rail.store.write() as session:
        for log in logs:
            book = _BOOKS.get(log.name)
            if book is not None:
                book(rail, session, log, json.loads(log.args), times[log.block_number])
        add_new(session, proofs)
        blocks.mark_final(session, [block.number for block in due])
    return len(due)


def _prove(rail: Rail, logs: list[blocks.ChainLog]) -> list[blocks.Proof]:
    wanted: dict[str, list[str]] = {}
    for log in logs:
        if log.name in _PROVEN:
            hashes = wanted.setdefault(log.block_hash, [])
            if log.tx_hash not in hashes:
                hashes.append(log.tx_hash)
    return [
        blocks.Proof(tx_hash=tx_hash, body=json.dumps(proof))
        for block_hash, hashes in wanted.items()
        for tx_hash, proof in block_proofs(rail.chain.url, block_hash, hashes).items()
    ]


# --- one function per log; `at` is its block's time, which dates entries; facts are dated now


def _post(session: Session, log: _Log, at: int, entries: list[ledger.Entry]) -> None:
    books.post(session, entries, at, f"block:{log.block_hash}")


def _settled(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    # claims that it refused stay in it too, at whatever stage they wait or ended
    rows = [row for row in payments.of_settlement(session, log.tx_hash) if row.stage in _APPLIED]
    parties = agreements.by_ids(session, {row.agreement_id for row in rows})
    payees = {r.payment_id: payments.payee_of(r, parties[r.agreement_id]) for r in rows}
    _post(session, log, at, [_entry_of(row, payees[row.payment_id]) for row in rows])
    credits.note(session, [
        credits.Credit(
            payment_id=row.payment_id, agreement_id=row.agreement_id,
            payee=payees[row.payment_id], amount_micro=-row.amount_micro, noted_at=at,
        )
        for row in rows if row.amount_micro < 0
    ])  # fmt: skip
    payments.learn(session, [
        payments.Learned(row.payment_id, Fact.OWED, log.block_hash) if row.amount_micro < 0
        else payments.Learned(row.payment_id, Fact.FINAL, log.block_hash, due_at=row.release_at + 1)
        for row in rows
    ], rail.now())  # fmt: skip


def _entry_of(row: payments.Payment, payee: str) -> ledger.Entry:
    parties = (row.payment_id, row.agreement_id, payee)
    if row.amount_micro < 0:
        return ledger.credited(*parties, -row.amount_micro)
    return ledger.settled(*parties, row.amount_micro)


def _minted(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    agreement = transfers.mint_agreement(session, args["credit"])
    account = ledger.escrow(agreement) if agreement else ledger.WALLETS
    _post(session, log, at, [ledger.minted(args["credit"], account, args["amount"])])
    transfers.mark_funding(session, args["credit"], "minted", log.tx_hash)


def _escrow_funded(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    if not blocks.has_log(session, log.tx_hash, "Minted"):  # from a wallet, not from the bank
        ref = f"{log.tx_hash}:{log.log_index}"
        _post(session, log, at, [ledger.funded(ref, args["agreement"], args["amount"])])
    _try_waiting(session, args["agreement"], log, at)


def _try_waiting(session: Session, agreement: str, log: _Log, at: int) -> None:
    """Money came into an escrow: claims that were short try again, an ended one gives it back."""
    row = agreements.get(session, agreement)
    if row is not None and row.stage == "closed":
        agreements.mark(session, agreement, "refund_due")
    waiting = payments.of_agreement(session, agreement, Stage.WAITING_FOR_FUNDS)
    key = f"{log.block_hash}:{log.log_index}"
    payments.learn(session, [payments.Learned(p, Fact.FUNDED, key) for p in waiting], at)


def _released(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    ref, payee = f"{log.tx_hash}:{log.log_index}", args["payee"]
    rest = args["amount"] - sum(_debts_before(session, log, payee))
    _post(session, log, at, [ledger.released(ref, payee, rest)])
    gone = payments.release(session, payee, args["releaseTimes"], log.tx_hash)
    if args["amount"] and not rest:  # all of it paid debts: no payout will ever hold it
        payments.learn(
            session, [payments.Learned(p, Fact.SET_OFF, log.tx_hash) for p in gone], rail.now()
        )


def _debts_before(session: Session, log: _Log, payee: str) -> list[int]:
    """What a release paid of its payee's debts: each `CreditPaid` since what last paid some."""
    found: list[int] = []
    for each in blocks.logs_in_transaction(session, log.tx_hash):
        args = json.loads(each.args)
        if each.log_index >= log.log_index:
            break
        if each.name in _PAYS_DEBTS and args["payee"] == payee:
            found = []
        elif each.name == "CreditPaid" and args["payee"] == payee:
            found.append(args["amount"])
    return found


def _credit_paid(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    agreement, payee, amount = args["agreement"], args["payee"], args["amount"]
    source = ledger.pending(payee) if _by_release(session, log, payee) else ledger.WALLETS
    ref = f"{log.tx_hash}:{log.log_index}"
    _post(session, log, at, [ledger.credit_paid(ref, agreement, payee, source, amount)])
    paid = credits.pay(session, agreement, payee, amount)
    payments.learn(session, [payments.Learned(p, Fact.SET_OFF, ref) for p in paid], rail.now())
    _try_waiting(session, agreement, log, at)


def _by_release(session: Session, log: _Log, payee: str) -> bool:
    """Whether a debt was paid out of pending money: then a `Released` follows, not a `Repaid`."""
    later = (
        each.name for each in blocks.logs_in_transaction(session, log.tx_hash)
        if each.log_index > log.log_index and each.name in _PAYS_DEBTS
        and json.loads(each.args)["payee"] == payee
    )  # fmt: skip
    return next(later, "") == "Released"


def _redeemed(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    payout, payee = args["order"], args["beneficiary"]
    # anyone may redeem tokens of their own, also within one transaction with our release
    by_rail = args["holder"].lower() == rail.chain.deployment.addresses["PaymentRail"].lower()
    source = ledger.withdrawable(payee) if by_rail else ledger.WALLETS
    _post(session, log, at, [ledger.redeemed(payout, source, args["cents"])])
    add_new(session, [transfers.Payout(
        payout_id=payout, payee=payee, account=args["account"], cents=args["cents"],
        end_to_end_id=end_to_end_id(bytes.fromhex(payout[2:])), tx_hash=log.tx_hash,
        ordered_at=at,
    )])  # fmt: skip
    if by_rail:  # a redemption takes all that was released before
        payments.learn(session, [
            payments.Learned(p, Fact.REDEEMED, payout, sets={"payout_id": payout})
            for p in payments.released(session, payee)
        ], rail.now())  # fmt: skip


def _reclaimed(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    ref = f"{log.tx_hash}:{log.log_index}"
    _post(session, log, at, [ledger.reclaimed(ref, args["agreement"], args["amount"])])
    agreements.mark(session, args["agreement"], "closed")


def _withdrawn(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    ref = f"{log.tx_hash}:{log.log_index}"
    _post(session, log, at, [ledger.withdrawn(ref, args["payee"], args["amount"])])


def _opened(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    agreements.mark(session, args["agreement"], "live", at)


def _closed(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    row = agreements.get(session, args["agreement"])
    if row is not None:  # until then it runs on; its expiry stays as signed
        row.closes_at = args["expiry"]


def _disputed(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    _post(session, log, at, [ledger.disputed(args["payment"], args["payee"], args["amount"])])
    disputed = payments.Learned(args["payment"], Fact.DISPUTED, log.block_hash)
    payments.learn(session, [disputed], rail.now())


def _dispute_ended(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    payment, refunded = args["payment"], args["refunded"]
    agreement = agreements.of_payment(session, payment)
    if agreement is None:
        return
    row = payments.by_ids(session, [payment])[0]
    account = ledger.withdrawable(payments.payee_of(row, agreement))
    fact, sets, due_at = Fact.UPHELD, {"release_tx": log.tx_hash}, at
    if refunded:
        account = ledger.escrow(agreement.agreement_id)
        fact, sets = Fact.REFUNDED, None
    else:  # withdrawable at once, but the contract takes no release time that is still to come
        due_at = max(at, row.release_at + 1)
    _post(session, log, at, [ledger.dispute_ended(payment, account, args["amount"])])
    key = log.block_hash
    payments.learn(session, [payments.Learned(payment, fact, key, "", sets, due_at)], rail.now())
    if refunded:  # money in escrow again, though no EscrowFunded says so
        _try_waiting(session, agreement.agreement_id, log, at)


def _device(status: str) -> _Book:
    def mark(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
        row = agreements.device(session, args["device"])
        if row is not None and row.compromised_since is None:  # nothing revives a stolen key
            row.status = status

    return mark


def _rotated(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    row = agreements.device(session, args["device"])
    if row is not None:
        row.curve = next(curve for curve, code in CURVES.items() if code == args["curve"])
        row.key_x, row.key_y = (hex(int(args[part], 16)) for part in ("x", "y"))
        row.expires_at = args["expiresAt"]


def _compromised(rail: Rail, session: Session, log: _Log, args: dict, at: int) -> None:
    row = agreements.device(session, args["device"])
    if row is not None:  # an earlier date may follow, a later one never
        row.status, row.compromised_since = "compromised", args["since"]


_BOOKS: dict[str, _Book] = {
    "Settled": _settled,
    "Minted": _minted,
    "EscrowFunded": _escrow_funded,
    "EscrowReclaimed": _reclaimed,
    "Released": _released,
    "CreditPaid": _credit_paid,
    "Redeemed": _redeemed,
    "Withdrawn": _withdrawn,
    "AgreementOpened": _opened,
    "AgreementClosed": _closed,
    "PaymentDisputed": _disputed,
    "DisputeEnded": _dispute_ended,
    "DeviceSuspended": _device("suspended"),
    "DeviceResumed": _device("active"),
    "DeviceRevoked": _device("retired"),
    "KeyRotated": _rotated,
    "CompromiseDeclared": _compromised,
}


def reconsider(rail: Rail) -> int:
    """Payments refused for their cap are tried again when a new period may have begun."""
    now = rail.now()
    with rail.store.write() as session:
        waiting = payments.overdue(session, Stage.WAITING_FOR_FUNDS, now)
        return payments.learn(
            session, [payments.Learned(p, Fact.FUNDED, f"time:{now}") for p in waiting], now
        )
