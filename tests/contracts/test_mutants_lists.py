"""Lists that a contract keeps in a word or in storage, against lists of Python.

counter gaps
└── given any claims, at the edges of each gap and beyond: it should keep what Python's list keeps
assignments of gateways
├── given any assignments in any order: it should keep, and find, what Python's list does
└── given more than 32 of them: it should name the first second of the next one
schedules
└── given any word: it should know those of 58 bits
"""

from __future__ import annotations

import random

import pytest

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT
from services.testnet import Testnet
from tests.support.contracts.contract_rail import DAY
from tests.support.contracts.onchain import Node, OnChain, creation

SOURCES = ["tests/contracts/sources/ListKeeper.sol"]
LONGEST = 2**24 - 1  # counters that one gap keeps
SPAN, MOST = 90 * DAY, 32


@pytest.fixture(scope="module")
def node():
    with Testnet() as chain:
        yield Node(chain.url)


@pytest.fixture
def keeper(node):
    artifacts = current_artifacts(SOURCES, ROOT / ".build" / "contracts")
    artifact, sender = artifacts["ListKeeper"], node.rpc("eth_accounts")[0]
    receipt = node.mined({"from": sender, "data": creation(artifact, ())})
    return OnChain(node, "ListKeeper", receipt["contractAddress"], artifact.abi, {})


# --- counter gaps: (first counter, the one behind the last), the oldest first


def word_of(gaps: list[tuple[int, int]]) -> int:
    word = 0
    for first, end in gaps[-4:]:
        word = word << 64 | first << 24 | (end - first)
    return word


def test_gaps__random_claims__are_those_of_a_list(keeper):
    random_ = random.Random(3)
    for _ in range(12):
        gaps: list[tuple[int, int]] = []
        claimed_to = random_.randrange(100)
        for _ in range(12):
            first = claimed_to + 1 + random_.choice((0, 0, 1, 2, 7, LONGEST, LONGEST + 1, 2**30))
            word = keeper.passed(word_of(gaps), claimed_to, first)
            if first > claimed_to + 1:
                gaps = [*gaps, (max(claimed_to + 1, first - LONGEST), first)][-4:]
            assert word == word_of(gaps)
            claimed_to = first + random_.randrange(3)
            gaps = taken(keeper, gaps, random_)


def taken(keeper, gaps, random_):
    """Take counters at the edges of each gap and beyond; return the gaps without the last ones."""
    left = gaps
    for first, end in gaps:
        middle = random_.randrange(first, end)
        for low, high in (
            *((first, first), (end - 1, end - 1), (first, end - 1), (middle, middle)),
            *((first - 1, first), (end - 1, end), (end, end), (first, end), (middle, end - 1)),
        ):
            left, holds = [], False
            for a, b in gaps:
                inside = a <= low and high < b
                holds = holds or inside
                left += [(a, low), (high + 1, b)] if inside else [(a, b)]
            left = [(a, b) for a, b in left if a != b][-4:]
            assert tuple(keeper.without(word_of(gaps), low, high)) == (holds, word_of(left))
    return left if random_.randrange(2) else gaps


# --- assignments


def test_assignments__random_ones__are_those_of_a_list(keeper, node):
    random_ = random.Random(5)
    rows: list[tuple[bytes, int, int]] = []
    now = 1_800_000_000
    for number in range(60):
        gateway = bytes([0] * 31 + [random_.randrange(3)])
        since = now + random_.choice((0, 0, 1, DAY, 40 * DAY))
        until = random_.choice((0, 0, since + 1, since + DAY))
        rows = [row for row in rows if row[1] < since]
        earliest = rows[-MOST][1] + SPAN if len(rows) >= MOST else 0
        assert earliest_of(keeper, node, gateway, since, until) == earliest
        rows.append((gateway, since, until))
        now += random_.choice((0, 1, DAY)) + number % 2
        assert list(keeper.starts()) == [row[1] for row in rows]
        times = {
            time + step
            for _, since, until in rows[-3:]
            for time in (since, until)
            for step in (-1, 0, 1)
        }
        for time in sorted(time for time in times if time > 0):
            assert keeper.gatewayAt(time) == gateway_at(rows, time)
            for index in range(max(0, len(rows) - 3), len(rows)):
                assert keeper.holdsFrom(index, time) == holds_from(rows, index, time)
                follows = rows[index + 1][1] if index + 1 < len(rows) else None
                for late in (SPAN - 1, SPAN, SPAN + 1):
                    if follows is not None:
                        assert keeper.recent(index, follows + late) == (late <= SPAN)
        assert keeper.recent(len(rows) - 1, now + 1000 * DAY)
    assert len(rows) > MOST, "so many that the oldest one counts"


def earliest_of(keeper, node, *assignment):
    """Put an assignment; return the first second that the library names."""
    request = keeper.put.request(*assignment)
    earliest = int(node.rpc("eth_call", request, "latest"), 16)
    node.mined({**request, "from": node.rpc("eth_accounts")[0]})
    return earliest


def gateway_at(rows, time):
    begun = [row for row in rows if row[1] <= time]
    if not begun or (begun[-1][2] and time >= begun[-1][2]):
        return bytes(32)
    return begun[-1][0]


def holds_from(rows, index, time):
    _, since, until = rows[index]
    start = max(since, time)
    ends = [until] if until else []
    ends += [rows[index + 1][1]] if index + 1 < len(rows) else []
    return 0 if any(start >= end for end in ends) else start


# --- schedules


@pytest.mark.parametrize(
    ("word", "known"),
    [
        (0, True),
        (1, True),
        (1 << 57, True),
        ((1 << 58) - 1, True),
        (1 << 58, False),
        (2**64 - 1, False),
    ],
)
def test_schedule__any_word__is_known_up_to_58_bits(keeper, word, known):
    assert keeper.known(word) is known
