"""Posts tokens outside of the rails: what a waterfall has for each holder, and holders' wallets.

Every movement of tokens is a `Transfer` log of the token. The other rules post what enters and
leaves the rails to the one account `wallets`; the rules here move it on to the sub-account of a
waterfall's holder, or of a holder's wallet. Whoever is no holder stays in `wallets`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

from orchestrator.core.ledger import TEUR, WALLETS, Entry, entry, holder, share, undivided
from orchestrator.core.waterfall import NOBODY, WaterfallTerms, terms_of_log

_Place = tuple[int, int, int, int]


class PlacedLog(Protocol):
    """A decoded log with its place in the chain."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> Mapping[str, Any]: ...

    @property
    def tx_hash(self) -> str: ...

    @property
    def block_number(self) -> int: ...

    @property
    def index(self) -> int: ...

    @property
    def address(self) -> str: ...


class OutsideContext(Protocol):
    """What the rules read beyond the log."""

    @property
    def rails(self) -> Collection[str]:
        """Return the addresses of all rails, in lower case."""

    @property
    def outside(self) -> TokenHistory:
        """Return the waterfalls and what tokens moved before."""

    def around(self, log: Any) -> Sequence[Any]:
        """Return the logs of the same transaction, including this one, in order."""


class TokenHistory:
    """The waterfalls, and which tokens had moved before a log.

    A rail that learns of the factory late knows its waterfalls only from then on: the journal has
    the entries of the blocks before.

    Args:
        created: Returns all `WaterfallCreated` logs, in order.
        transfers: Returns all `Transfer` logs from or to an address (lower case).
        since: Returns {address of a contract (lower case): the block up to which its logs were read
            late}; asked only where there are waterfalls.
    """

    def __init__(
        self,
        created: Callable[[], Iterable[PlacedLog]],
        transfers: Callable[[str], Iterable[PlacedLog]],
        since: Callable[[], Mapping[str, int]],
    ) -> None:
        self._created, self._transfers, self._ask_since = created, transfers, since
        self._since: Mapping[str, int] = {}
        self._known: list[tuple[_Place, str, WaterfallTerms]] | None = None
        self._moves: dict[str, list[tuple[_Place, PlacedLog]]] = {}

    def waterfalls(self, log: PlacedLog) -> dict[str, WaterfallTerms]:
        """Return {address, lower case: terms} of the waterfalls that were known before a log."""
        if self._known is None:
            logs = list(self._created())
            self._since = self._ask_since() if logs else {}
            self._known = []
            for made in logs:
                address, terms = made.args["waterfall"].lower(), terms_of_log(made.args["terms"])
                self._known.append((self._place(made), address, terms))
        if not self._known:
            return {}
        at = self._place(log)
        return {address: terms for place, address, terms in self._known if place < at}

    def moves(self, address: str, log: PlacedLog) -> list[PlacedLog]:
        """Return the `Transfer` logs from or to an address (lower case) before a log, in order."""
        if address not in self._moves:
            moves = self._transfers(address)
            self._moves[address] = [(self._place(move), move) for move in moves]
        at = self._place(log)
        return [move for place, move in self._moves[address] if place < at]

    def _place(self, log: PlacedLog) -> _Place:
        since = self._since.get(log.address, 0)
        if log.block_number <= since:
            return since, 1, log.block_number, log.index
        return log.block_number, 0, log.block_number, log.index


def _came(address: str, moves: Iterable[PlacedLog]) -> int:
    return sum(move.args["value"] for move in moves if move.args["to"].lower() == address)


def _went(address: str, moves: Iterable[PlacedLog]) -> list[PlacedLog]:
    return [move for move in moves if move.args["from"].lower() == address]


def transferred(log: PlacedLog, context: OutsideContext) -> list[Entry]:
    """Return the entry of tokens that left or reached a sub-account."""
    waterfalls = context.outside.waterfalls(log)
    if not waterfalls:
        return []
    giver, taker = log.args["from"].lower(), log.args["to"].lower()
    amount, holders = log.args["value"], _holders(waterfalls, context)
    if giver in waterfalls:
        source = share(giver, _served(log, context))
    else:
        source = holder(giver) if giver in holders else WALLETS
    if taker in waterfalls:
        before = _came(taker, context.outside.moves(taker, log))
        targets = _divided(taker, waterfalls[taker], before, before + amount)
    else:
        targets = {holder(taker) if taker in holders else WALLETS: amount}
    if targets == {source: amount}:
        return []
    return [_moved("transferred", log, {source: amount}, targets)]


def created(log: PlacedLog, context: OutsideContext) -> list[Entry]:
    """Return the entry of what a new waterfall and its new holders have had before."""
    address, terms = log.args["waterfall"].lower(), terms_of_log(log.args["terms"])
    known = context.outside.waterfalls(log)
    before = _holders(known, context)
    moves = context.outside.moves(address, log)
    received = _came(address, moves)
    sources = {holder(address) if address in before else WALLETS: received}
    targets = Counter(_divided(address, terms, 0, received))
    for move in _went(address, moves):  # only if the factory's log is read late
        targets[share(address, _served(move, context))] -= move.args["value"]
        sources[WALLETS] = sources.get(WALLETS, 0) - move.args["value"]
    new = _holders({address: terms}, context) - before - known.keys() - {address}
    for person in sorted(new):
        moves = context.outside.moves(person, log)
        held = _came(person, moves) - sum(move.args["value"] for move in _went(person, moves))
        sources[WALLETS] = sources.get(WALLETS, 0) + held
        targets[holder(person)] = held
    moved = _moved("recognised", log, sources, targets)
    return [moved] if moved.postings else []


def _holders(waterfalls: Mapping[str, WaterfallTerms], context: OutsideContext) -> set[str]:
    """Return the holders that have a wallet of their own; the rail's money has other accounts."""
    people = {person.lower() for terms in waterfalls.values() for person in terms.everyone}
    return people - set(context.rails) - waterfalls.keys()


def _divided(address: str, terms: WaterfallTerms, before: int, after: int) -> dict[str, int]:
    """Return {account: what it gets} of what came into a waterfall; the rest may fall."""
    earned, had = terms.earned(after), terms.earned(before)
    parts = {share(address, person): earned[person] - had[person] for person in earned}
    return {**parts, undivided(address): after - before - sum(parts.values())}


def _served(log: PlacedLog, context: OutsideContext) -> str:
    """Return which holder a waterfall pays: who gets the tokens, or the payout that burns them."""
    if log.args["to"] != NOBODY:
        return log.args["to"]
    following = next(other for other in context.around(log) if other.index == log.index + 1)
    return following.args["beneficiary"]


def _moved(
    kind: str, log: PlacedLog, sources: Mapping[str, int], targets: Mapping[str, int]
) -> Entry:
    debits = [(account, TEUR, amount) for account, amount in sources.items()]
    credits = [(account, TEUR, -amount) for account, amount in targets.items()]
    return entry(kind, f"{log.tx_hash}:{log.index}", debits + credits)
