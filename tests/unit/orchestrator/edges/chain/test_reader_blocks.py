"""The registry over any sequence of blocks: the same view as a rebuild, at the cost of the news."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.types import ClaimReason
from orchestrator.edges.chain.client import DecodedLog, SeenBlock
from orchestrator.edges.chain.reader import Registry

DEPTH = 3
_NAMES = [bytes([n]) * 32 for n in range(1, 5)]  # of devices, and of agreements
# one log of a block: (event, its device or agreement)
_EVENTS = st.tuples(
    st.sampled_from(
        [
            "DeviceEnrolled",
            "KeyRotated",
            "DeviceSuspended",
            "DeviceResumed",
            "DeviceRevoked",
            "CompromiseDeclared",
            "CompromiseRuled",
            "GatewayAssigned",
            "AgreementOpened",
            "AgreementClosed",
            "EscrowReclaimed",
        ]
    ),
    st.integers(0, 3),
)
_BLOCK = st.lists(_EVENTS, max_size=3)
# a step of the chain: how many of its last blocks vanish, and the blocks that follow
_STEPS = st.lists(st.tuples(st.integers(0, DEPTH), st.lists(_BLOCK, max_size=6)), max_size=12)


@dataclass
class PlainChain:
    """Blocks and logs in memory. `asked` counts calls, `shown` the logs that were read."""

    blocks: list[tuple[SeenBlock, list[DecodedLog]]] = field(default_factory=list)
    asked: int = 0
    shown: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self.mine([])

    def newest(self) -> SeenBlock:
        self.asked += 1
        return self.blocks[-1][0]

    def logs_named(self, events, first: int, last: int) -> list[DecodedLog]:
        self.asked += 1
        logs = [log for block, logs in self.blocks for log in logs if first <= block.number <= last]
        self.shown += len(logs)
        return logs

    def mine(self, events) -> None:
        number = len(self.blocks)
        self.made += 1
        block_hash = sha256(b"%d" % self.made).hexdigest()
        block = SeenBlock(number, block_hash, "", number)
        logs = [
            DecodedLog(name, self._args(name, n, number), "0x", number, block_hash, index)
            for index, (name, n) in enumerate(events)
        ]
        self.blocks.append((block, logs))

    def reorganise(self, depth: int, *blocks) -> None:
        del self.blocks[max(1, len(self.blocks) - depth) :]
        for events in blocks:
            self.mine(events)

    def _args(self, name: str, n: int, at: int) -> dict:
        identity = "0x" + (_NAMES[n] if n < len(_NAMES) else n.to_bytes(32, "big")).hex()
        if name in ("AgreementClosed", "EscrowReclaimed"):
            return {"agreement": identity, "expiry": at}
        if name == "AgreementOpened":
            device = "0x" + _NAMES[n % 2].hex()
            fixed = {"product": "0x", "terms": "0x", "expiry": 99, "firstCounter": 0}
            return {"agreement": identity, "device": device, **fixed}
        key = {"curve": 0, "x": hex(n + 1), "y": hex(self.made), "expiresAt": 0}
        if name == "GatewayAssigned":
            gateway = "0x" + _NAMES[(n + self.made) % len(_NAMES)].hex()
            times = {"since": at + self.made % 7, "until": self.made % 3 * (at + 9)}
            return {"device": identity, "gateway": gateway, "at": at, **times}
        if name == "CompromiseRuled":
            return {"device": identity, "at": at, "since": self.made % 3 * 15, "number": 0}
        return {"device": identity, "at": at, "since": 50 - self.made, **key}

    def is_possible(self, events) -> bool:
        """Whether a contract would let these events happen: what ends was opened, once."""
        happened = [log for _, logs in self.blocks for log in logs]
        opened = {log.args["agreement"] for log in happened if log.name == "AgreementOpened"}
        for name, n in events:
            identity = "0x" + _NAMES[n].hex()
            if name == "AgreementOpened":
                if identity in opened:
                    return False
                opened.add(identity)
            elif name in ("AgreementClosed", "EscrowReclaimed") and identity not in opened:
                return False
        return True


def answers(registry: Registry) -> list:
    """Everything that a registry answers about the names of this file."""
    return [
        [registry.key_at(name, at) for name in _NAMES for at in range(0, 40, 3)],
        [registry.gateway_at(name, at) for name in _NAMES for at in range(0, 40, 3)],
        [registry.compromised_since(name) for name in _NAMES],
        [registry.agreement(name) for name in _NAMES],
        [registry.agreements_of(name) for name in _NAMES],
        dict(registry.devices),
    ]


@given(_STEPS)
@settings(max_examples=300, deadline=None)
def test_refresh__any_blocks_and_reorganisations__is_what_a_rebuild_gives(steps):
    chain = PlainChain()
    registry = Registry(chain, {}, depth=DEPTH)
    highest = 0
    for depth, blocks in steps:
        head = chain.blocks[-1][0].number
        highest = max(highest, head)
        chain.reorganise(min(depth, head - (highest - DEPTH)))  # no deeper than blocks are final
        for events in blocks:
            chain.mine(events if chain.is_possible(events) else [])
        registry.refresh()
        rebuilt = Registry(chain, {}, depth=DEPTH)
        assert answers(registry) == answers(rebuilt)


def test_refresh__with_the_same_newest_block__reads_nothing_more():
    chain = PlainChain()
    chain.mine([("DeviceEnrolled", 0)])
    registry = Registry(chain, {}, depth=DEPTH)
    registry.refresh()
    chain.asked = 0
    assert registry.refresh() == registry.refresh() == chain.blocks[-1][0]
    assert chain.asked == 2
    chain.reorganise(1, [("DeviceSuspended", 1)])  # the same number, another block
    registry.refresh()
    assert registry.devices.keys() == {_NAMES[1]}


@pytest.mark.parametrize("many", [10, 10_000])
def test_refresh__with_any_number_of_devices_and_agreements__costs_what_is_new(many):
    chain = PlainChain()
    chain.mine([("DeviceEnrolled", n) for n in range(10, 10 + many)])
    chain.mine([("AgreementOpened", n) for n in range(10, 10 + many)])
    registry = Registry(chain, {}, depth=DEPTH)
    for _ in range(DEPTH + 1):
        chain.mine([])
    registry.refresh()
    chain.mine([("DeviceEnrolled", 0), ("AgreementOpened", 1), ("DeviceSuspended", 12)])
    chain.asked = chain.shown = 0
    # every line that runs in the reader is counted, so that no loop over all devices goes unseen
    lines = _lines_of(registry.refresh)
    assert (chain.asked, chain.shown) == (3, 3)
    assert lines < 200
    assert registry.key_at((12).to_bytes(32, "big"), 99) == ClaimReason.DEVICE_SUSPENDED
    assert len(registry.devices) == many + 1


def _lines_of(work) -> int:
    """Count the lines of reader.py that a call runs, with those of its loops and comprehensions."""
    count = 0

    def trace(frame, event, _argument):
        nonlocal count
        if not frame.f_code.co_filename.endswith("reader.py"):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_refresh__reorganised_while_it_reads__is_read_again_at_the_same_block():
    """The logs are of the branch that vanished; the newest block is the one of before."""
    chain = PlainChain()
    chain.mine([("DeviceEnrolled", 0)])
    registry = Registry(chain, {}, depth=DEPTH)
    kept = list(chain.blocks)

    chain.reorganise(1, [("DeviceEnrolled", 1)])
    wrong = list(chain.blocks)
    chain.blocks = kept

    def swap(to):
        chain.blocks = to

    # newest() of the first branch, logs of the second, newest() of the second
    real = chain.logs_named
    chain.logs_named = lambda *a: (swap(wrong), real(*a))[1]
    registry.refresh()
    chain.logs_named = real
    swap(kept)
    registry.refresh()
    assert registry.devices.keys() == {_NAMES[0]}


def test_forget__above_what_is_final__keeps_what_older_blocks_say():
    chain = PlainChain()
    chain.mine([("DeviceEnrolled", n) for n in range(10, 500)])
    for _ in range(DEPTH + 1):
        chain.mine([])
    registry = Registry(chain, {}, depth=DEPTH)
    registry.refresh()
    chain.shown = 0
    chain.reorganise(2, [("DeviceEnrolled", 0)])
    registry.forget(len(chain.blocks) - 2)
    assert registry.compromised_since(_NAMES[0]) is None
    assert (chain.shown, len(registry.devices)) == (1, 491)
    registry.forget(0)
    registry.refresh()
    assert chain.shown == 492


def test_forget__before_the_next_refresh__keeps_the_view_of_before():
    """A reader that runs at that moment must not take a known device for unknown."""
    chain = PlainChain()
    chain.mine([("DeviceEnrolled", 0)])
    for _ in range(DEPTH + 1):
        chain.mine([])
    registry = Registry(chain, {}, depth=DEPTH)
    registry.refresh()
    registry.forget()
    assert registry.devices.keys() == {_NAMES[0]}
    registry.refresh()
    assert registry.devices.keys() == {_NAMES[0]}


def test_adopted_device__what_its_former_registry_says_later__counts_for_the_past_alone():
    """A registrar of before, or a thief with its key, stops no device that was taken over."""
    chain, device = PlainChain(), "0x" + _NAMES[0].hex()
    old, new = "0x" + "0a" * 20, "0x" + "0b" * 20
    key = {"device": device, "curve": 0, "x": "0x1", "y": "0x1", "expiresAt": 0}

    def log(name: str, address: str, at: int, **args: object) -> None:
        block = SeenBlock(at, f"0x{at}", "", at)
        said = DecodedLog(name, key | {"at": at} | args, "0x", at, block.hash, 0, address)
        chain.blocks.append((block, [said]))

    log("DeviceEnrolled", old, 10)
    log("DeviceEnrolled", new, 20, x="0x2")
    log("DeviceAdopted", new, 21, predecessor=old.upper().replace("0X", "0x"))
    log("DeviceSuspended", old, 30)
    log("CompromiseDeclared", old, 31, since=15)
    registry = Registry(chain, {}, depth=DEPTH)
    registry.refresh()
    keys = {at: registry.key_at(_NAMES[0], at) for at in (9, 12, 15, 20, 40)}
    assert keys[9] is ClaimReason.DEVICE_NOT_YET_ENROLLED
    assert keys[12].x == 1 and keys[40].x == 2 and keys[21 - 1] is ClaimReason.DEVICE_COMPROMISED
    assert keys[15] is ClaimReason.DEVICE_COMPROMISED
    assert registry.compromised_since(_NAMES[0]) is None


def test_product_version__that_another_took_the_place_of__is_the_same_product():
    former = Registry(PlainChain(), {"metered_energy@0.5.0": ("0xAB", None)})
    assert former._products == {"0xab": ("metered_energy", None)}
