"""Who may attest now: the committee as its contract's logs say, in chain order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from oracles.attest import checksummed
from oracles.quorum import quorum

SEATED, UNSEATED = "MemberSeated", "MemberUnseated"
SILENCED = "MemberSilenced"  # until it gets a seat again
BARRED = ("MemberBarred", "MemberBarredForRulings", "MemberBarredForFault")  # for ever
EVENTS = (SEATED, UNSEATED, SILENCED, *BARRED)
_UNREACHABLE = 1 << 16  # more than there can be members, as OracleCommittee.quorum without a member


@dataclass(frozen=True, slots=True)
class Committee:
    """The oracles that may attest.

    Attributes:
        members: Checksummed address -> trust domain of the members whose signatures count.
        seats: How many are seated; silenced members are among them, as on chain.
        min_domains: How many trust domains a quorum must span.
    """

    members: Mapping[str, int]
    seats: int
    min_domains: int

    @property
    def need(self) -> int:
        """Return how many signatures make a quorum."""
        return quorum(self.seats) if self.seats else _UNREACHABLE

    @property
    def tolerated(self) -> int:
        """Return how many members may be dishonest: f of n >= 3f + 1."""
        return self.seats - self.need if self.seats else 0


def committee_of(logs: Iterable[tuple[str, Mapping[str, Any]]], min_domains: int) -> Committee:
    """Return the committee after these logs.

    Args:
        logs: (event, its arguments) in chain order; other events are ignored.
        min_domains: As the contract has it.
    """
    domains: dict[str, int] = {}  # of the seated, silenced ones included
    silenced: set[str] = set()
    barred: set[str] = set()
    for name, arguments in logs:
        if name not in EVENTS:
            continue
        member = checksummed(bytes.fromhex(arguments["member"][2:]))
        if name == SEATED:
            domains[member] = arguments["domain"]
            silenced.discard(member)
        elif name == UNSEATED:
            domains.pop(member, None)
        else:
            (silenced if name == SILENCED else barred).add(member)
    mute = silenced | barred
    members = {member: domain for member, domain in domains.items() if member not in mute}
    return Committee(members, len(domains), min_domains)
