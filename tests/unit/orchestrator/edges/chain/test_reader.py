"""The registry as read from the chain: as the contract has it, with few reads."""

from __future__ import annotations

import pytest

from device_adapters.types import device_id
from oracles.types import ClaimReason
from orchestrator.edges.chain import reader
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.errors import Retry
from tests.support.real_chain import has_anvil
from tests.support.registry_town import DAY, STATUSES, RegistryTown

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def town(tmp_path):
    registry_town = RegistryTown(tmp_path)
    yield registry_town
    registry_town.store.close()


class Counting:
    """The real client, with its reads counted; `silent` makes it fail after it gave the head."""

    def __init__(self, chain) -> None:
        self.chain, self.looks, self.silent = chain, 0, False

    def head(self) -> int:
        self.looks += 1
        return self.chain.head()

    def logs_between(self, contract: str, first: int, last: int):
        if self.silent:
            raise Retry("the node is silent")
        return self.chain.logs_between(contract, first, last)


@pytest.fixture
def clock(monkeypatch):
    """The reader's clock, standing still."""
    now = [1_000.0]
    monkeypatch.setattr(reader.time, "monotonic", lambda: now[0])
    return now


def test_key_at__whole_life_of_devices__is_what_the_contract_says_at_any_time(town):
    first, two, three = town.device("life-1"), town.device("life-2"), town.device("life-3")
    new, newer = town.device("life-1-new"), town.device("life-1-newer")
    town.office.enrol([town.enrolment(d) for d in (first, two, three)])
    moments = [town.chain.now()]
    for act in (
        lambda: town.do("suspend", device_id("life-1")),
        lambda: town.do("resume", device_id("life-1")),
        lambda: town.rotate("life-1", first, new, 1, expires_at=town.chain.now() + DAY + DAY // 2),
        lambda: None,  # the new key expires
        lambda: town.rotate("life-1", new, newer, 2),
        lambda: town.do("suspend", device_id("life-1")),
        lambda: town.do("revoke", device_id("life-2")),
        lambda: town.do("declareCompromised", device_id("life-3"), moments[1] + 5),
        lambda: town.do("declareCompromised", device_id("life-3"), moments[0] + 5),
    ):
        town.chain.later(DAY)
        moments.append(act() or town.chain.now())
    town.registry.refresh()
    seen = set()
    for moment in moments:
        for at in (moment - 1, moment, moment + 1, moment + 5, moment + DAY // 2):
            for name in ("life-1", "life-2", "life-3"):
                wanted = town.contract_says(name, at)
                assert town.registry.key_at(device_id(name), at) == wanted, (name, at)
                seen.add(wanted)
    assert {first.public, new.public, newer.public, two.public, *STATUSES.values()} - seen == {None}
    since = [town.registry.compromised_since(device_id(d.name)) for d in (first, three)]
    assert since == [None, moments[0] + 5]
    assert town.registry.compromised_since(device_id("nobody")) is None


def test_key_at__changes_within_one_block__stand_in_their_order(town):
    device, new = town.device("same-block"), town.device("same-block-new")
    town.office.enrol([town.enrolment(device)])
    town.chain.testnet.rpc("evm_setAutomine", False)
    town.chain.testnet.rpc("anvil_setBlockTimestampInterval", 0)
    try:
        quotes = {}
        for function in ("suspend", "revoke"):
            call = Call("DeviceRegistry", function, (device_id(device.name),))
            quotes[function] = town.registrar.quote(call)
        with town.store.write() as session:
            for function, quote in quotes.items():
                town.registrar.prepare(session, function, "block", quote, 0)
        town.registrar.broadcast()
        town.chain.testnet.mine()
    finally:
        town.chain.testnet.rpc("anvil_removeBlockTimestampInterval")
        town.chain.testnet.rpc("evm_setAutomine", True)
    town.registry.refresh()
    now = town.chain.now()
    assert town.contract_says(device.name, now) == ClaimReason.DEVICE_RETIRED
    assert town.registry.key_at(device_id(device.name), now) == ClaimReason.DEVICE_RETIRED
    assert new.public != device.public


def test_agreement__opened_closed_and_reclaimed__is_followed(town):
    device = town.device("agreed")
    town.office.enrol([town.enrolment(device)])
    mandate, identity = town.agree("agreed", 13, first_counter=7)
    [agreement] = town.registry.agreements_of(device_id("agreed"))
    assert agreement == town.registry.agreement(identity)
    assert (agreement.agreement, agreement.product, agreement.terms) == (
        identity,
        "metered_energy",
        mandate.terms,
    )
    assert (agreement.expires_at, agreement.first_counter, agreement.live) == (
        mandate.expiry,
        7,
        True,
    )
    payer = town.chain.sender(town.store, 13)
    send_and_wait(
        payer, [ChainCall("close", "a", Call("PaymentRail", "close", (identity,)))], 0, lambda: None
    )
    town.registry.refresh()
    closed = town.registry.agreement(identity)
    assert closed.expires_at == town.chain.now() + 60 and closed.live
    town.chain.later(61)
    send_and_wait(
        payer,
        [ChainCall("reclaim", "a", Call("PaymentRail", "reclaim", (identity,)))],
        0,
        lambda: None,
    )
    town.registry.refresh()
    assert not town.registry.agreement(identity).live
    _, second = town.agree("agreed", 13)
    town.registry.refresh()
    newest_first = [entry.agreement for entry in town.registry.agreements_of(device_id("agreed"))]
    assert newest_first == [second, identity]


def test_strangers__any_number_of_requests__cause_one_read_in_half_a_second(town, clock):
    client = Counting(town.chain.client)
    registry = Registry(client, {})
    for number in range(500):
        assert (
            registry.key_at(bytes([1]) * 31 + bytes([number % 256]), 0)
            == ClaimReason.DEVICE_UNKNOWN
        )
        assert registry.agreements_of(bytes(32)) == []
        assert registry.agreements_about(bytes([2]) * 32) == []
    assert client.looks == 1
    clock[0] += 0.49
    registry.agreement(bytes(32))
    assert client.looks == 1
    clock[0] += 0.02
    registry.agreement(bytes(32))
    registry.agreement(bytes(32))
    assert client.looks == 2


def test_forget__right_after_a_read__reads_again_before_it_answers(town, clock):
    """A rewind within half a second of the last look must not make a known device unknown."""
    device = town.device("rewound")
    town.office.enrol([town.enrolment(device)])
    client = Counting(town.chain.client)
    registry, now = Registry(client, {}), town.chain.now()
    assert registry.key_at(device_id("rewound"), now) == device.public
    registry.forget()
    assert registry.key_at(device_id("rewound"), now) == device.public
    assert client.looks == 2


def test_silence__in_the_middle_of_a_look__is_a_retry_each_time_and_no_answer(town, clock):
    device = town.device("quiet")
    town.office.enrol([town.enrolment(device)])
    client = Counting(town.chain.client)
    client.silent = True
    registry = Registry(client, {})
    for _ in range(3):
        with pytest.raises(Retry):
            registry.key_at(device_id("quiet"), town.chain.now())
    client.silent = False
    assert registry.key_at(device_id("quiet"), town.chain.now()) == device.public


def test_refresh__in_pieces__comes_to_the_same_as_at_once(town):
    names = [f"piece-{n}" for n in range(3)]
    step_by_step = Registry(town.chain.client, {}, depth=2)
    for name in names:
        town.office.enrol([town.enrolment(town.device(name))])
        step_by_step.refresh()
        town.chain.later(1)
    step_by_step.refresh()
    at_once = Registry(town.chain.client, {}, depth=2)
    at_once.refresh()
    assert step_by_step.devices == at_once.devices
    assert {device_id(name) for name in names} <= set(at_once.devices)
