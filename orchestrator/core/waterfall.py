"""Divides what a waterfall took in among its holders, exactly as contracts/Waterfall.sol does.

What a holder has earned is a function of the sum of all that ever came in: neither the number of
payments nor the order of calls changes it. Amounts are micro-euro, shares basis points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.party_call import WaterfallReason

ALL = 10_000  # basis points
MOST_HOLDERS = 16
NOBODY = "0x" + "0" * 40
_MOST_LIMIT = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class WaterfallTerms:
    """Who gets what; nobody can change it.

    Attributes:
        label: 32 bytes that distinguish waterfalls with the same holders.
        holders: (address, share of the rest) by address, ascending; the shares sum to 10,000.
        senior: Who is served first; NOBODY for no one.
        senior_share: Of what comes in, until the limit is reached.
        senior_limit: In micro-euro.
    """

    label: bytes
    holders: tuple[tuple[str, int], ...]
    senior: str = NOBODY
    senior_share: int = 0
    senior_limit: int = 0

    def as_tuple(self) -> tuple[Any, ...]:
        """Return what the contract takes."""
        addresses, shares = zip(*self.holders, strict=True)
        senior = (self.senior, self.senior_share, self.senior_limit)
        return (self.label, *senior, list(addresses), list(shares))

    @property
    def everyone(self) -> tuple[str, ...]:
        """Return the addresses that get something, the senior first, each once."""
        first = [self.senior] if self.senior_share else []
        return tuple(dict.fromkeys([*first, *(address for address, _ in self.holders)]))

    def earned(self, received: int) -> dict[str, int]:
        """Return what each holder has earned of all that came in.

        The parts never sum to more than it, and none falls as it grows.
        """
        first = min(received * self.senior_share // ALL, self.senior_limit)
        parts = dict.fromkeys(self.everyone, 0)
        if self.senior_share:
            parts[self.senior] += first
        for address, share in self.holders:
            parts[address] += (received - first) * share // ALL
        return parts


def terms_of_log(terms: Mapping[str, Any]) -> WaterfallTerms:
    """Return the terms in the arguments of a `WaterfallCreated` log."""
    return WaterfallTerms(
        bytes.fromhex(terms["label"][2:]),
        tuple(zip(terms["holders"], terms["shares"], strict=True)),
        terms["senior"],
        terms["seniorShare"],
        terms["seniorLimit"],
    )


def checked(terms: WaterfallTerms) -> WaterfallTerms:
    """Return terms that the contract takes, the holders in its order.

    Raises:
        Rejected: With a WaterfallReason, if the contract would refuse them.
    """
    addresses = [address.lower() for address, _ in terms.holders]
    shares = [share for _, share in terms.holders]
    if not 0 < len(addresses) <= MOST_HOLDERS:
        raise Rejected(
            WaterfallReason.HOLDERS,
            f"a waterfall has 1 to {MOST_HOLDERS} holders, and not {len(addresses)}",
        )
    if len(set(addresses)) < len(addresses) or NOBODY in addresses:
        raise Rejected(WaterfallReason.HOLDERS, "a holder is listed twice, or is no address")
    if min(shares) <= 0 or sum(shares) != ALL:
        raise Rejected(
            WaterfallReason.SHARES,
            f"the shares are above zero and sum to {ALL} basis points (100 percent), and not to "
            f"{sum(shares)}",
        )
    parts = (terms.senior != NOBODY, terms.senior_share, terms.senior_limit)
    is_whole = all(parts) and 0 < terms.senior_share <= ALL
    if any(parts) and not (is_whole and 0 < terms.senior_limit <= _MOST_LIMIT):
        raise Rejected(
            WaterfallReason.SENIOR,
            "a senior has an address, a share of at most 100 percent and a limit, all three",
        )
    in_order = sorted(terms.holders, key=lambda holder: int(holder[0], 16))
    return WaterfallTerms(
        terms.label, tuple(in_order), terms.senior, terms.senior_share, terms.senior_limit
    )
