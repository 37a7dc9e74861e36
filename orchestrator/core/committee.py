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


def unseating_risks(
    committee: Committee, member: str, agreements_of_domain: Mapping[int, int]
) -> list[str]:
    """Return what a committee could not do without one of its members; [] if it could do all.

    Args:
        committee: As it is now.
        member: Checksummed address of who would lose its seat.
        agreements_of_domain: Trust domain -> how many live agreements require it.
    """
    left = {address: n for address, n in committee.members.items() if address != member}
    after = Committee(left, max(committee.seats - 1, 0), committee.min_domains)
    domains, risks = set(left.values()), []
    if len(left) < after.need:
        need = f"a quorum needs {after.need}" if after.seats else "nobody has a seat"
        risks.append(f"{len(left)} members can sign then, and {need}: nothing settles")
    elif len(left) == after.need:
        risks.append(f"all {len(left)} members that are left must sign: one that is down stops all")
    if len(domains) < after.min_domains:
        risks.append(
            f"members are of {len(domains)} trust domains then, and a quorum needs "
            f"{after.min_domains}: nothing settles"
        )
    risks += [
        f"trust domain {domain} has no member then: nothing settles for the {count} live "
        "agreements that require it"
        for domain, count in sorted(agreements_of_domain.items())
        if domain not in domains
    ]
    return risks


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
