"""Counts the signatures of a ruling as OracleCommittee.rulingQuorum does. Pure.

Signatures of the members that attested the payment do not count as long as the others that can
sign could be a quorum and come from every trust domain that can sign.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the committee as its contract has it.

    Attributes:
        address: Checksummed.
        domain: Its trust domain.
        index: Its bit among a payment's signers.
        can_sign: Whether it is seated, and neither barred nor silenced.
    """

    address: str
    domain: int
    index: int
    can_sign: bool


@dataclass(frozen=True, slots=True)
class RulingRules:
    """What a ruling on one payment needs.

    Attributes:
        members: Every member that was ever seated.
        need: Signatures of a quorum.
        min_domains: Trust domains that the signers must span.
        required_domain: A domain that must be among them; 0: none.
        attested: The members that attested the payment: bit n for the member with index n.
    """

    members: Sequence[Member]
    need: int
    min_domains: int
    required_domain: int
    attested: int

    @property
    def excluded(self) -> int:
        """Return the members whose signatures do not count, as bits."""
        able = [member for member in self.members if member.can_sign]
        others = [member for member in able if not self.attested >> member.index & 1]
        is_enough = len(others) >= self.need
        same_domains = {m.domain for m in others} == {m.domain for m in able}
        return self.attested if is_enough and same_domains else 0

    @property
    def voters(self) -> list[Member]:
        """Return the members whose signatures count, by their index."""
        excluded = self.excluded
        return [m for m in self.members if m.can_sign and not excluded >> m.index & 1]


@dataclass(frozen=True, slots=True)
class RulingCount:
    """How far one answer is from ending a dispute.

    Attributes:
        counting: Addresses of the signers that count.
        ignored: Addresses of signers that do not count.
        waiting: Addresses of the members that count and have not signed it.
        signatures: How many signatures are missing.
        domains: How many trust domains are missing.
        required_domain: The required domain that is missing; 0: none is.
    """

    counting: tuple[str, ...]
    ignored: tuple[str, ...]
    waiting: tuple[str, ...]
    signatures: int
    domains: int
    required_domain: int

    @property
    def is_enough(self) -> bool:
        """Return whether the contract would take it."""
        return not (self.signatures or self.domains or self.required_domain)


def count_ruling(rules: RulingRules, signers: Collection[str]) -> RulingCount:
    """Return how the signatures of these addresses over one answer count.

    Args:
        rules: What a ruling on the payment needs.
        signers: Checksummed addresses, each once.
    """
    voters = rules.voters
    counting = [member for member in voters if member.address in signers]
    named = {member.address for member in counting}
    domains = {member.domain for member in counting}
    required = rules.required_domain if rules.required_domain not in domains else 0
    return RulingCount(
        counting=tuple(member.address for member in counting),
        ignored=tuple(sorted(set(signers) - named)),
        waiting=tuple(member.address for member in voters if member.address not in named),
        signatures=max(rules.need - len(counting), 0),
        domains=max(rules.min_domains - len(domains), 0),
        required_domain=required,
    )
