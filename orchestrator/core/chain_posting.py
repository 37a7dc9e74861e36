"""Posts the logs of blocks: one pure rule per log, from the log to balanced entries.

A rule sees only what anyone can read from a node: logs, and the call data of settlements. So the
entries that are stored when a block is first seen, those that are posted when it is final, and
those that `rebuild` derives years later are the same. contracts/interfaces defines the logs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from oracles.types import Claim
from orchestrator.core import debt_entries, ledger, outside
from orchestrator.core.identity import payment_id
from orchestrator.core.ledger import Entry
from orchestrator.core.outcome import unpack

# the logs that end a payment of debts: the `DebtPaid` before one of them were paid by it
_PAYS_DEBTS = ("Released", "Repaid", "Withdrawn")


class PostedLog(Protocol):
    """A decoded log of one of our contracts; bytes and addresses in its arguments are 0x-hex."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]: ...

    @property
    def tx_hash(self) -> str: ...

    @property
    def index(self) -> int:
        """Return its place in the block, over all contracts."""

    @property
    def block_number(self) -> int: ...

    @property
    def address(self) -> str:
        """Return the contract that made it, in lower case; "" where that was not stored."""


class ChainContext(Protocol):
    """Context that a posting rule needs beyond the log; everything is read from the chain."""

    @property
    def rails(self) -> Collection[str]:
        """Return the addresses of all rails, in lower case: the present one and former ones."""

    def claims(self, log: PostedLog) -> Sequence[Claim]:
        """Return the claims of a `Settled` log, in its order, from the settlement's call data.

        The list is empty where they cannot be read: the call went through an unknown contract.
        """

    def payee(self, agreement: str, facts: bytes) -> str | None:
        """Return the payee of a claim; None if its product is not known.

        The facts name the payee (by the product's rule), or else the agreement does (the log
        `AgreementOpened`).
        """

    def around(self, log: PostedLog) -> Sequence[PostedLog]:
        """Return the logs of the same transaction, including this one, in order."""

    def settled(self, payment: str) -> Entry | None:
        """Return the `settled` entry of a payment, if an earlier block of this chain settled it."""

    @property
    def outside(self) -> outside.TokenHistory:
        """Return the waterfalls, and which tokens moved before a log."""


def entries_of_block(
    block_hash: str,
    at: int,
    logs: Iterable[PostedLog],
    context: ChainContext,
    origin: str = "block",
) -> list[Entry]:
    """Return the entries of a block's logs, in their order.

    Args:
        block_hash: The block, 0x-hex; it becomes the source of each entry.
        at: The block's time in Unix seconds, which dates the entries.
        logs: The block's logs, in order.
        context: What the rules read beyond the logs.
        origin: Of the entries; "late" for logs that were read after the block had been posted.
    """
    posted: list[Entry] = []
    inner = _BlockContext(context, posted)
    for log in logs:
        posted += [item.dated(at, f"{origin}:{block_hash}") for item in entries(log, inner)]
    return posted


def entries(log: PostedLog, context: ChainContext) -> list[Entry]:
    """Return the entries of one log, undated; [] for a log that moves no money."""
    rule = _RULES.get(log.name)
    return rule(log, context) if rule else []


def released_rest(log: PostedLog, around: Sequence[PostedLog]) -> int:
    """Return what a `Released` log left to its payee after debts were paid from it, in micro-euro.

    It is never below zero: what the debts took beyond it was withdrawable before.

    Args:
        log: The `Released` log.
        around: All logs of its transaction, in order.
    """
    return max(0, log.args["amount"] - _debts_before(log, log.args["payee"], around))


def _debts_before(log: PostedLog, payee: str, around: Sequence[PostedLog]) -> int:
    """Return what the same call paid of a payee's debts before a log, in micro-euro."""
    paid = 0
    for other in around:
        if other.index >= log.index:
            break
        if other.address != log.address:  # another rail's, in the same transaction
            continue
        if other.name in _PAYS_DEBTS and other.args["payee"] == payee:
            paid = 0
        elif other.name == "DebtPaid" and other.args["payee"] == payee:
            paid += other.args["amount"]
    return paid


def by_rail(log: PostedLog, rails: Collection[str]) -> bool:
    """Return whether a rail made a `Redeemed` log: anyone may redeem tokens of their own.

    Args:
        log: The `Redeemed` log.
        rails: Addresses of rails, in lower case.
    """
    return log.args["holder"].lower() in rails


def orders(log: PostedLog, around: Sequence[PostedLog], rails: Collection[str]) -> bool:
    """Return whether a `Released` log ordered a payout: then its rail's redemption follows it.

    Args:
        log: The `Released` log.
        around: All logs of its transaction, in order.
        rails: The addresses of all rails, in lower case.
    """
    own_rail = {log.address} if log.address else rails
    return any(
        other.index > log.index
        and other.name == "Redeemed"
        and other.args["beneficiary"] == log.args["payee"]
        and by_rail(other, own_rail)
        for other in around
    )


class _BlockContext:
    """The context of a block's later logs: it includes what the earlier ones settled."""

    def __init__(self, outer: ChainContext, posted: Sequence[Entry]) -> None:
        self._posted, self._outer = posted, outer
        self.rails, self.around = outer.rails, outer.around
        self.claims, self.payee = outer.claims, outer.payee
        self.outside = outer.outside

    def settled(self, payment: str) -> Entry | None:
        own_entries = (
            entry for entry in self._posted if entry.kind == "settled" and entry.ref == payment
        )
        return next(own_entries, None) or self._outer.settled(payment)


# --- one rule per log


def _settled(log: PostedLog, context: ChainContext) -> list[Entry]:
    claims = context.claims(log)
    if not claims:
        return []  # reconcile compares every Settled log: what it moved becomes a break
    outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
    posted = [
        _claim(claim, outcome.amount_micro, context)
        for claim, outcome in zip(claims, outcomes, strict=True)
        if not outcome.refusal
    ]
    return [item for item in posted if item]


def _claim(claim: Claim, amount_micro: int, context: ChainContext) -> Entry | None:
    agreement = "0x" + claim.agreement.hex()
    payee = context.payee(agreement, claim.facts)
    if payee is None:
        return None
    payment = "0x" + payment_id(claim.agreement, claim.sequence).hex()
    if amount_micro < 0:
        return debt_entries.debt_recorded(payment, agreement, payee, -amount_micro)
    return ledger.settled(payment, agreement, payee, amount_micro)


def _minted(log: PostedLog, context: ChainContext) -> list[Entry]:
    funded = _next_to(log, context, 1, "EscrowFunded")
    account = ledger.escrow(funded.args["agreement"]) if funded else ledger.WALLETS
    return [ledger.minted(log.args["credit"], account, log.args["amount"])]


def _escrow_funded(log: PostedLog, context: ChainContext) -> list[Entry]:
    if _next_to(log, context, -1, "Minted"):  # from the bank: the mint's entry already covers it
        return []
    return [ledger.funded(_ref(log), log.args["agreement"], log.args["amount"])]


def _next_to(log: PostedLog, context: ChainContext, step: int, name: str) -> PostedLog | None:
    """Return the log next to this one if it has the name: mint and deposit follow each other."""
    return next(
        (
            other
            for other in context.around(log)
            if other.index == log.index + step and other.name == name
        ),
        None,
    )


def _released(log: PostedLog, context: ChainContext) -> list[Entry]:
    rest = released_rest(log, context.around(log))
    return [ledger.released(_ref(log), log.args["payee"], rest)]


def _debt_paid(log: PostedLog, context: ChainContext) -> list[Entry]:
    """Return the entry of a paid debt; the log that ends the call says which money paid it.

    A release pays with what it releases, and then with what was withdrawable before; a withdrawal
    with what is withdrawable; `repay` with tokens of the payee's own.
    """
    agreement, payee, amount = (log.args[name] for name in ("agreement", "payee", "amount"))
    around, ref = context.around(log), _ref(log)
    end = _paid_by(log, payee, around)
    if end is not None and end.name == "Released":
        matured = max(0, end.args["amount"] - _debts_before(log, payee, around))
        beyond = max(0, amount - matured)
        return [
            debt_entries.debt_paid(ref, agreement, payee, ledger.pending(payee), amount, beyond)
        ]
    taken_out = end is not None and end.name == "Withdrawn"
    source = ledger.withdrawable(payee) if taken_out else ledger.WALLETS
    return [debt_entries.debt_paid(ref, agreement, payee, source, amount)]


def _paid_by(log: PostedLog, payee: str, around: Sequence[PostedLog]) -> PostedLog | None:
    """Return the log that ends the call in which a debt was paid; None where it is missing."""
    ends = (
        other
        for other in around
        if other.index > log.index
        and other.address == log.address
        and other.name in _PAYS_DEBTS
        and other.args["payee"] == payee
    )
    return next(ends, None)


def _redeemed(log: PostedLog, context: ChainContext) -> list[Entry]:
    payee = log.args["beneficiary"]
    source = ledger.withdrawable(payee) if by_rail(log, context.rails) else ledger.WALLETS
    return [ledger.redeemed(log.args["order"], source, log.args["cents"])]


def _reclaimed(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.reclaimed(_ref(log), log.args["agreement"], log.args["amount"])]


def _withdrawn(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.withdrawn(_ref(log), log.args["payee"], log.args["amount"])]


def _disputed(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.disputed(log.args["payment"], log.args["payee"], log.args["amount"])]


def _dispute_ended(log: PostedLog, context: ChainContext) -> list[Entry]:
    """Return the entry of an ended dispute; the parties come from the payment's own entry."""
    payment, amount = log.args["payment"], log.args["amount"]
    settled = context.settled(payment)
    if settled is None:
        return []
    escrow, pending = (posting.account for posting in settled.postings)
    agreement = escrow.removeprefix(ledger.escrow(""))
    payee = pending.removeprefix(ledger.pending(""))
    # contracts of version 1 know no part that is kept
    kept = log.args.get("kept", 0) if log.args["refunded"] else amount
    return [ledger.dispute_ended(payment, agreement, payee, amount - kept, kept)]


def _debt_cancelled(log: PostedLog, context: ChainContext) -> list[Entry]:
    agreement, payee, amount = (log.args[name] for name in ("agreement", "payee", "amount"))
    return [debt_entries.debt_cancelled(_ref(log), agreement, payee, amount)]


def _ref(log: PostedLog) -> str:
    return f"{log.tx_hash}:{log.index}"


_RULES: dict[str, Callable[[PostedLog, ChainContext], list[Entry]]] = {
    "Settled": _settled,
    "Minted": _minted,
    "EscrowFunded": _escrow_funded,
    "EscrowReclaimed": _reclaimed,
    "Released": _released,
    "DebtPaid": _debt_paid,
    "DebtCancelled": _debt_cancelled,
    "Redeemed": _redeemed,
    "Withdrawn": _withdrawn,
    "PaymentDisputed": _disputed,
    "DisputeEnded": _dispute_ended,
    "Transfer": outside.transferred,
    "WaterfallCreated": outside.created,
}
BOOKED = frozenset(_RULES)  # the logs that move money
