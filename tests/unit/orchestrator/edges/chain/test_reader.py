"""The registry as read from the chain: as the contract has it, with few reads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from device_adapters.types import device_id
from oracles.types import ClaimReason
from orchestrator.edges.chain import reader
from orchestrator.edges.chain.client import Call, SeenBlock
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.errors import Retry
from tests.support.real_chain import has_anvil
from tests.support.registry_chain import DAY, STATUSES, RegistryOnChain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def registry(tmp_path):
    on_chain = RegistryOnChain(tmp_path)
    yield on_chain
    on_chain.store.close()


class Counting:
    """The real client, with its reads counted; `silent` makes it fail after it gave the head."""

    def __init__(self, chain) -> None:
        self.chain, self.looks, self.reads, self.silent = chain, 0, 0, False

    def newest(self) -> SeenBlock:
        self.looks += 1
        return self.chain.newest()

    def logs_named(self, events, first: int, last: int):
        if self.silent:
            raise Retry("the node is silent")
        self.reads += 1
        return self.chain.logs_named(events, first, last)


@pytest.fixture
def clock(monkeypatch):
    """The reader's clock, standing still."""
    now = [1_000.0]
    monkeypatch.setattr(reader.time, "monotonic", lambda: now[0])
    return now


def test_key_at__whole_life_of_devices__is_what_the_contract_says_at_any_time(registry):
    first, two, three = (
        registry.device("life-1"),
        registry.device("life-2"),
        registry.device("life-3"),
    )
    new, newer = registry.device("life-1-new"), registry.device("life-1-newer")
    registry.agreement_ops.enrol([registry.enrolment(d) for d in (first, two, three)])
    moments = [registry.chain.now()]
    for act in (
        lambda: registry.do("suspend", device_id("life-1")),
        lambda: registry.do("resume", device_id("life-1")),
        lambda: registry.rotate(
            "life-1", first, new, 1, expires_at=registry.chain.now() + DAY + DAY // 2
        ),
        lambda: None,  # the new key expires
        lambda: registry.rotate("life-1", new, newer, 2),
        lambda: registry.do("suspend", device_id("life-1")),
        lambda: registry.do("revoke", device_id("life-2")),
        lambda: registry.do("declareCompromised", device_id("life-3"), moments[5] + 5),
        lambda: registry.do("declareCompromised", device_id("life-3"), moments[4] + 5),
        lambda: registry.do("declareCompromised", device_id("life-2"), moments[6] + 5),
        lambda: registry.rule("life-3", moments[0] + 5),
        lambda: registry.rule("life-2", 0),
    ):
        registry.chain.later(DAY)
        moments.append(act() or registry.chain.now())
    registry.reader.refresh()
    seen = set()
    for moment in moments:
        for at in (moment - 1, moment, moment + 1, moment + 5, moment + DAY // 2):
            for name in ("life-1", "life-2", "life-3"):
                wanted = registry.contract_says(name, at)
                assert registry.reader.key_at(device_id(name), at) == wanted, (name, at)
                seen.add(wanted)
    assert {first.public, new.public, newer.public, two.public, *STATUSES.values()} - seen == {None}
    since = [registry.reader.compromised_since(device_id(d.name)) for d in (first, two, three)]
    assert since == [None, None, moments[0] + 5]
    assert registry.reader.compromised_since(device_id("nobody")) is None


def test_gateway_at__assignments_over_time__are_what_the_contract_says_at_any_time(registry):
    """A meter without a key, one with a key, and a word that takes back what had not begun."""
    devices = [registry.device(f"gate-{n}") for n in (1, 2, 3)]
    registry.agreement_ops.enrol([registry.enrolment(device) for device in devices])
    one, two, keyed = (device_id(device.name) for device in devices)
    meter, owner = device_id("gate-meter"), registry.registrar.account.address
    moments = [registry.chain.now()]

    def assign(gateway: bytes, since: int = 0, until: int = 0, device: bytes = meter) -> None:
        registry.do("assign", device, owner, gateway, since, until, b"")

    for act in (
        lambda: assign(one),
        lambda: assign(two, since=moments[-1] + 5 * DAY),
        lambda: assign(two, until=moments[-1] + 3 * DAY),
        lambda: registry.do("suspend", one),
        lambda: registry.do("suspend", meter),
        lambda: registry.do("resume", meter),
        lambda: assign(one),
        lambda: registry.do("resume", one),
        lambda: assign(bytes(32)),
    ):
        act()
        moments.append(registry.chain.now())
        registry.chain.later(DAY)
    registry.reader.refresh()
    seen = set()
    for at in sorted({moment + shift for moment in moments for shift in (-1, 0, DAY // 2)}):
        for device in (meter, keyed):
            said = registry.chain.client.view("DeviceRegistry", "gatewayAt", device, at)
            assert (registry.reader.gateway_at(device, at) or bytes(32)) == said, at
        gateway = registry.reader.gateway_at(meter, at)
        answer = registry.reader.key_at(meter, at)
        if answer is ClaimReason.DEVICE_WITHOUT_KEY:
            not_enrolled = ClaimReason.DEVICE_NOT_YET_ENROLLED  # the contract's word for no gateway
            answer = registry.reader.key_at(gateway, at) if gateway else not_enrolled
        assert answer == registry.contract_says("gate-meter", at), at
        seen.add(answer)
    assert {devices[0].public, devices[1].public, ClaimReason.DEVICE_SUSPENDED} < seen
    assert registry.reader.key_at(keyed, registry.chain.now()) == devices[2].public
    assert registry.reader.gateway_at(device_id("nobody"), moments[0]) is None


def test_key_at__changes_within_one_block__stand_in_their_order(registry):
    device, new = registry.device("same-block"), registry.device("same-block-new")
    registry.agreement_ops.enrol([registry.enrolment(device)])
    registry.chain.testnet.rpc("evm_setAutomine", False)
    registry.chain.testnet.rpc("anvil_setBlockTimestampInterval", 0)
    try:
        quotes = {}
        for function in ("suspend", "revoke"):
            call = Call("DeviceRegistry", function, (device_id(device.name),))
            quotes[function] = registry.registrar.quote(call)
        with registry.store.write() as session:
            for function, quote in quotes.items():
                registry.registrar.prepare(session, function, "block", quote, 0)
        registry.registrar.broadcast()
        registry.chain.testnet.mine()
    finally:
        registry.chain.testnet.rpc("anvil_removeBlockTimestampInterval")
        registry.chain.testnet.rpc("evm_setAutomine", True)
    registry.reader.refresh()
    now = registry.chain.now()
    assert registry.contract_says(device.name, now) == ClaimReason.DEVICE_RETIRED
    assert registry.reader.key_at(device_id(device.name), now) == ClaimReason.DEVICE_RETIRED
    assert new.public != device.public


def test_agreement__opened_closed_and_reclaimed__is_followed(registry):
    device = registry.device("agreed")
    registry.agreement_ops.enrol([registry.enrolment(device)])
    mandate, identity = registry.agree("agreed", 13, first_counter=7)
    [agreement] = registry.reader.agreements_of(device_id("agreed"))
    assert agreement == registry.reader.agreement(identity)
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
    payer = registry.chain.sender(registry.store, 13)
    send_and_wait(
        payer, [ChainCall("close", "a", Call("PaymentRail", "close", (identity,)))], 0, lambda: None
    )
    registry.reader.refresh()
    closed = registry.reader.agreement(identity)
    assert closed.expires_at == registry.chain.now() and closed.live
    registry.chain.later(closed.grace + 1)
    send_and_wait(
        payer,
        [ChainCall("reclaim", "a", Call("PaymentRail", "reclaim", (identity,)))],
        0,
        lambda: None,
    )
    registry.reader.refresh()
    assert not registry.reader.agreement(identity).live
    _, second = registry.agree("agreed", 13)
    registry.reader.refresh()
    newest_first = [entry.agreement for entry in registry.reader.agreements_of(device_id("agreed"))]
    assert newest_first == [second, identity]


def test_agreement__that_hears_devices__is_read_by_each_of_them_but_its_own(registry):
    names = ("listening", "listening-too")
    registry.agreement_ops.enrol([registry.enrolment(registry.device(name)) for name in names])
    address, rules = registry.known["metered_energy"]
    heard = frozenset(map(device_id, ("st-1", "st-2", "listening")))
    terms = rules.encode_terms(rules.EnergyTerms(300_007, 22_000))
    hears = {"hears": lambda raw: heard if raw == terms else frozenset()}
    hearing = SimpleNamespace(**vars(rules) | hears)
    opened = [registry.agree(name, 13, terms=terms)[1] for name in names]
    chain_reader = Registry(registry.chain.client, {"metered_energy": (address, hearing)})
    for station in ("st-1", "st-2"):
        rows = chain_reader.agreements_hearing(device_id(station))
        assert [row.agreement for row in rows] == opened[::-1]
    other = chain_reader.agreements_hearing(device_id("listening"))
    assert [row.agreement for row in other] == opened[1:]  # its own is not among them
    assert chain_reader.agreements_hearing(device_id("st-3")) == []
    registry.reader.refresh()
    assert registry.reader.agreements_hearing(device_id("st-1")) == []  # energy hears nothing


def test_strangers__any_number_of_requests__cause_one_read_in_half_a_second(registry, clock):
    client = Counting(registry.chain.client)
    registry = Registry(client, {})
    for number in range(500):
        assert (
            registry.key_at(bytes([1]) * 31 + bytes([number % 256]), 0)
            == ClaimReason.DEVICE_UNKNOWN
        )
        assert registry.agreements_of(bytes(32)) == []
        assert registry.agreements_about(bytes([2]) * 32) == []
        assert registry.agreements_hearing(bytes([3]) * 32) == []
    assert (client.looks, client.reads) == (2, 1)  # the newest block, before and after the logs
    clock[0] += 0.49
    registry.agreement(bytes(32))
    assert client.looks == 2
    clock[0] += 0.02
    registry.agreement(bytes(32))
    registry.agreement(bytes(32))
    assert (client.looks, client.reads) == (3, 1)  # no block is new


def test_forget__right_after_a_read__reads_again_before_it_answers(registry, clock):
    """A rewind within half a second of the last look must not make a known device unknown."""
    device = registry.device("rewound")
    registry.agreement_ops.enrol([registry.enrolment(device)])
    client = Counting(registry.chain.client)
    registry, now = Registry(client, {}), registry.chain.now()
    assert registry.key_at(device_id("rewound"), now) == device.public
    registry.forget()
    assert registry.key_at(device_id("rewound"), now) == device.public
    assert client.reads == 2


def test_silence__in_the_middle_of_a_look__is_a_retry_each_time_and_no_answer(registry, clock):
    device = registry.device("quiet")
    registry.agreement_ops.enrol([registry.enrolment(device)])
    client = Counting(registry.chain.client)
    client.silent = True
    reader = Registry(client, {})
    for _ in range(3):
        with pytest.raises(Retry):
            reader.key_at(device_id("quiet"), registry.chain.now())
    client.silent = False
    assert reader.key_at(device_id("quiet"), registry.chain.now()) == device.public


def test_refresh__in_pieces__comes_to_the_same_as_at_once(registry):
    names = [f"piece-{n}" for n in range(3)]
    step_by_step = Registry(registry.chain.client, {}, depth=2)
    for name in names:
        registry.agreement_ops.enrol([registry.enrolment(registry.device(name))])
        step_by_step.refresh()
        registry.chain.later(1)
    step_by_step.refresh()
    at_once = Registry(registry.chain.client, {}, depth=2)
    at_once.refresh()
    assert step_by_step.devices == at_once.devices
    assert {device_id(name) for name in names} <= set(at_once.devices)
