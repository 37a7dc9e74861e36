"""Books what a block says: one pure rule per log, from the chain's words to balanced entries.

A rule sees only what anybody can read again from a node: logs, and the call data of settlements.
So entries noted when a block is first seen, entries posted when it is final, and entries that
`rebuild` derives years later are the same. The logs' meaning: contracts/interfaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from oracles.types import Claim
from orchestrator.core import ledger
from orchestrator.core.identity import payment_id
from orchestrator.core.ledger import Entry
from orchestrator.core.outcome import unpack

_PAYS_DEBTS = ("Released", "Repaid")


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
        """Its place in the block, over all contracts."""


class ChainContext(Protocol):
    """What a log does not say by itself, all of it told by the chain."""

    @property
    def rail(self) -> str:
        """The address of PaymentRail, in any case."""

    def claims(self, log: PostedLog) -> Sequence[Claim]:
        """The claims that this `Settled` log speaks of, in its order, from the settlement's call
        data; none where they cannot be told (it went through a contract of nobody we know)."""

    def payee(self, agreement: str, facts: bytes) -> str | None:
        """Whom a claim pays: whom its facts name (the product's rule), else the agreement's payee
        (`AgreementOpened`); None where the product is not known."""

    def around(self, log: PostedLog) -> Sequence[PostedLog]:
        """The logs of the same transaction, this one too, in order."""

    def settled(self, payment: str) -> Entry | None:
        """The `settled` entry of a payment that an earlier block of this chain settled."""


def entries_of_block(
    block_hash: str, at: int, logs: Iterable[PostedLog], context: ChainContext
) -> list[Entry]:
    """The entries of a block's logs, in their order. at: the block's time, which dates them."""
    found: list[Entry] = []
    within = _Within(context, found)
    for log in logs:
        found += [item.dated(at, f"block:{block_hash}") for item in entries(log, within)]
    return found


def entries(log: PostedLog, context: ChainContext) -> list[Entry]:
    """The entries of one log, undated; none of a log that moves no money."""
    rule = _RULES.get(log.name)
    return rule(log, context) if rule else []


def released_rest(log: PostedLog, around: Sequence[PostedLog]) -> int:
    """What a `Released` log left its payee, micro-euro: its debts were paid out of it first."""
    paid = 0
    for each in around:
        if each.index >= log.index:
            break
        if each.name in _PAYS_DEBTS and each.args["payee"] == log.args["payee"]:
            paid = 0
        elif each.name == "DebtPaid" and each.args["payee"] == log.args["payee"]:
            paid += each.args["amount"]
    return log.args["amount"] - paid


def by_rail(log: PostedLog, rail: str) -> bool:
    """Whether a `Redeemed` log is the rail's: anyone may redeem tokens of their own."""
    return log.args["holder"].lower() == rail.lower()


class _Within:
    """The context of a block's later logs: what its earlier ones settled is known too."""

    def __init__(self, outer: ChainContext, found: Sequence[Entry]) -> None:
        self._found, self._outer = found, outer
        self.rail, self.around = outer.rail, outer.around
        self.claims, self.payee = outer.claims, outer.payee

    def settled(self, payment: str) -> Entry | None:
        here = (e for e in self._found if e.kind == "settled" and e.ref == payment)
        return next(here, None) or self._outer.settled(payment)


# --- one rule per log


def _settled(log: PostedLog, context: ChainContext) -> list[Entry]:
    claims = context.claims(log)
    if not claims:
        return []  # what it moved is then a break: reconcile compares every Settled log
    outcomes = unpack(bytes.fromhex(log.args["outcomes"][2:]))
    found = [
        _claim(claim, outcome.amount_micro, context)
        for claim, outcome in zip(claims, outcomes, strict=True)
        if not outcome.refusal
    ]
    return [item for item in found if item]


def _claim(claim: Claim, amount_micro: int, context: ChainContext) -> Entry | None:
    agreement = "0x" + claim.agreement.hex()
    payee = context.payee(agreement, claim.facts)
    if payee is None:
        return None
    payment = "0x" + payment_id(claim.agreement, claim.sequence).hex()
    if amount_micro < 0:
        return ledger.debt_recorded(payment, agreement, payee, -amount_micro)
    return ledger.settled(payment, agreement, payee, amount_micro)


def _minted(log: PostedLog, context: ChainContext) -> list[Entry]:
    funded = _next_to(log, context, 1, "EscrowFunded")
    account = ledger.escrow(funded.args["agreement"]) if funded else ledger.WALLETS
    return [ledger.minted(log.args["credit"], account, log.args["amount"])]


def _escrow_funded(log: PostedLog, context: ChainContext) -> list[Entry]:
    if _next_to(log, context, -1, "Minted"):  # from the bank: the mint's entry says so already
        return []
    return [ledger.funded(_ref(log), log.args["agreement"], log.args["amount"])]


def _next_to(log: PostedLog, context: ChainContext, step: int, name: str) -> PostedLog | None:
    """The token tells the rail of a mint at once, so these two logs have nothing between them."""
    return next(
        (
            each
            for each in context.around(log)
            if each.index == log.index + step and each.name == name
        ),
        None,
    )


def _released(log: PostedLog, context: ChainContext) -> list[Entry]:
    rest = released_rest(log, context.around(log))
    return [ledger.released(_ref(log), log.args["payee"], rest)]


def _debt_paid(log: PostedLog, context: ChainContext) -> list[Entry]:
    agreement, payee, amount = (log.args[name] for name in ("agreement", "payee", "amount"))
    source = ledger.pending(payee) if _of_release(log, context) else ledger.WALLETS
    return [ledger.debt_paid(_ref(log), agreement, payee, source, amount)]


def _of_release(log: PostedLog, context: ChainContext) -> bool:
    """Whether a debt was paid out of pending money: then a `Released` follows, not a `Repaid`."""
    later = (
        each.name
        for each in context.around(log)
        if each.index > log.index
        and each.name in _PAYS_DEBTS
        and each.args["payee"] == log.args["payee"]
    )
    return next(later, "") == "Released"


def _redeemed(log: PostedLog, context: ChainContext) -> list[Entry]:
    payee = log.args["beneficiary"]
    source = ledger.withdrawable(payee) if by_rail(log, context.rail) else ledger.WALLETS
    return [ledger.redeemed(log.args["order"], source, log.args["cents"])]


def _reclaimed(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.reclaimed(_ref(log), log.args["agreement"], log.args["amount"])]


def _withdrawn(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.withdrawn(_ref(log), log.args["payee"], log.args["amount"])]


def _disputed(log: PostedLog, context: ChainContext) -> list[Entry]:
    return [ledger.disputed(log.args["payment"], log.args["payee"], log.args["amount"])]


def _dispute_ended(log: PostedLog, context: ChainContext) -> list[Entry]:
    """The log names no party: the payment's own entry does."""
    payment, amount = log.args["payment"], log.args["amount"]
    settled = context.settled(payment)
    if settled is None:
        return []
    escrow, pending = (posting.account for posting in settled.postings)
    payee = pending.removeprefix(ledger.pending(""))
    account = escrow if log.args["refunded"] else ledger.withdrawable(payee)
    return [ledger.dispute_ended(payment, account, amount)]


def _ref(log: PostedLog) -> str:
    return f"{log.tx_hash}:{log.index}"


_RULES: dict[str, Callable[[PostedLog, ChainContext], list[Entry]]] = {
    "Settled": _settled,
    "Minted": _minted,
    "EscrowFunded": _escrow_funded,
    "EscrowReclaimed": _reclaimed,
    "Released": _released,
    "DebtPaid": _debt_paid,
    "Redeemed": _redeemed,
    "Withdrawn": _withdrawn,
    "PaymentDisputed": _disputed,
    "DisputeEnded": _dispute_ended,
}
BOOKED = frozenset(_RULES)  # logs that money moves by
