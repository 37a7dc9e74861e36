"""Gateways: devices that sign for other devices, because their owner said so.

assign
├── given an unknown device: only the registrar, with the owner's signature, enrols it without a key
├── given a known one: anyone with the owner's signature, or the owner without
└── given another signer, a used signature, a high s, other times or gateways: revert
gatewayAt, for any history: the newest assignment that began, until its end
a device without a key: its gateway's key of the time, and the worse of both statuses
a device with a key: its own key, no matter what its gateway is
"""

from __future__ import annotations

import random

import pytest
from web3 import Web3

from orchestrator.core.assignment import GatewayAssignment
from orchestrator.edges.chain import ethereum
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR, KWH, MORE, NONE, facts
from tests.support.contracts.device_keys import K1_N, DeviceSigner, rotation

METER, PLAIN = Web3.keccak(text="a meter without a key"), Web3.keccak(text="another")
GATEWAY, OTHER = MORE[0], MORE[1]  # enrolled with keys
GATEWAY_KEY, OTHER_KEY = DeviceSigner.p256(1_000), DeviceSigner.p256(1_001)
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(6)


def signature(alone, gateway, since=0, until=0, number=0, device=METER, **changes) -> bytes:
    """The owner's signature of an assignment; `changes`: another signer, contract or chain."""
    document = GatewayAssignment(device, gateway, since, until, number).typed_data(
        changes.get("chain_id", CHAIN_ID), changes.get("registry", alone.registry.address)
    )
    key = changes.get("signer", alone.owner).private_key
    return bytes(ethereum.Account.sign_typed_data(key, full_message=document).signature)


def arguments(alone, gateway, since=0, until=0, device=METER, owner=None):
    """A good call, signed by the owner with the number that is next."""
    number = alone.registry.assignmentCount(device)
    signed = signature(alone, gateway, since, until, number, device)
    return [device, owner or alone.owner, gateway, since, until, signed]


def assign(alone, gateway, since=0, until=0, device=METER):
    call = arguments(alone, gateway, since, until, device)
    return alone.registry.assign(*call, sender=alone.registrar)


def refusal(alone, call, sender=None):
    return alone.refusal(alone.registry.assign, *call, sender=sender or alone.registrar)


def status_and_key(alone, time, device=METER):
    """Status and x of the key at a time; `activeAt` must agree."""
    status, _, x, _ = alone.registry.keyAt(device, time)
    assert alone.registry.activeAt(device, time) == (status == ACTIVE)
    return status, bytes(x)


@pytest.fixture
def metered(alone):
    """METER has no key and is behind GATEWAY since `since`."""
    assign(alone, GATEWAY)
    alone.since = alone.now
    alone.wait(DAY)
    return alone


def test_assign__unknown_device__is_enrolled_without_a_key_and_has_its_gateways(alone):
    receipt = assign(alone, GATEWAY)
    now, registry = alone.now, alone.registry
    (log,) = receipt.events
    assert (bytes(log.device), bytes(log.gateway), log.owner) == (METER, GATEWAY, alone.owner)
    assert (log.since, log.until, log["at"]) == (now, 0, now)
    assert status_and_key(alone, now) == (ACTIVE, GATEWAY_KEY.x)
    assert status_and_key(alone, now - 1) == (NEVER, NONE)
    assert registry.isActive(METER) and registry.ownerOf(METER) == alone.owner
    assert (registry.keyCount(METER), registry.assignmentCount(METER)) == (0, 1)
    again = alone.enrolment(METER, DeviceSigner.p256(21))
    assert alone.refusal(registry.enrol, *again, sender=alone.registrar) == "DeviceExists"


def test_assign__unknown_device__only_the_registrar_and_only_with_owner_and_gateway(alone):
    good = arguments(alone, GATEWAY)
    assert refusal(alone, good) == ""
    for sender in (alone.owner, alone.stranger, alone.warden):
        assert refusal(alone, good, sender) == "NotInRole"
    nobody = [METER, "0x" + "00" * 20, *good[2:]]
    assert refusal(alone, nobody) == "OwnerMissing"
    assert refusal(alone, arguments(alone, NONE)) == "GatewayInvalid"
    assert refusal(alone, [*good[:5], b""]) == "AssignmentUnsigned"


def test_assign__anything_but_the_owners_own_signature__reverts(metered):
    good = arguments(metered, OTHER)
    assert refusal(metered, good, metered.stranger) == ""
    r, s, v = good[5][:32], int.from_bytes(good[5][32:64]), good[5][64]
    cases = {
        "another signer": signature(metered, OTHER, number=1, signer=metered.payer),
        "of another gateway": signature(metered, GATEWAY, number=1),
        "of another device": signature(metered, OTHER, number=1, device=PLAIN),
        "of other times": signature(metered, OTHER, until=metered.now + DAY, number=1),
        "of another chain": signature(metered, OTHER, number=1, chain_id=1),
        "of another contract": signature(
            metered, OTHER, number=1, registry=metered.committee.address
        ),
        "used before": signature(metered, GATEWAY, number=0),
        "of the next number": signature(metered, OTHER, number=2),
        "high s": r + (K1_N - s).to_bytes(32) + bytes([55 - v]),
        "short": good[5][:64],
        "long": good[5] + b"\0",
        "zero": bytes(65),
        "none": b"",
    }
    for case, signed in cases.items():
        call = [*good[:5], signed]
        assert refusal(metered, call, metered.stranger) == "AssignmentUnsigned", case
    stranger = [METER, metered.payer, *good[2:]]
    assert refusal(metered, stranger, metered.payer) == "NotInCharge"
    assert refusal(metered, [*good[:5], b""], metered.owner) == ""  # the owner calls by itself


def test_assign__a_signature_that_counted__never_counts_again(metered):
    """Who keeps an old signature could else bring an old gateway back."""
    first = arguments(metered, OTHER)
    metered.registry.assign(*first, sender=metered.stranger)
    assert refusal(metered, first, metered.stranger) == "AssignmentUnsigned"
    assign(metered, GATEWAY)
    assert refusal(metered, first, metered.stranger) == "AssignmentUnsigned"


@pytest.mark.parametrize(
    ("since", "until", "error"),
    [
        (-1, None, "AssignmentTimesInvalid"),
        (DAY, DAY, "AssignmentTimesInvalid"),
        (DAY, DAY - 1, "AssignmentTimesInvalid"),
        (None, -1, "AssignmentTimesInvalid"),
        (91 * DAY, None, "AssignmentTimesInvalid"),
        (89 * DAY, None, ""),
        (DAY, DAY + 1, ""),
        (DAY, None, ""),
        (None, DAY, ""),
    ],
)
def test_assign__times__begin_now_or_later_and_end_after_that(metered, since, until, error):
    now = metered.node.timestamp()
    times = [0 if shift is None else now + shift for shift in (since, until)]
    assert refusal(metered, arguments(metered, OTHER, *times)) == error


def test_assign__what_is_no_gateway__reverts(metered):
    assign(metered, GATEWAY, device=PLAIN)
    for gateway in (PLAIN, METER, Web3.keccak(text="nobody")):  # without a key, itself, unknown
        assert refusal(metered, arguments(metered, gateway)) == "GatewayInvalid", gateway
    assert refusal(metered, arguments(metered, DEVICE, device=DEVICE)) == "GatewayInvalid"


def test_assign__ended_device__reverts_and_a_suspended_one_may_change_its_gateway(metered):
    registry = metered.registry
    registry.suspend(METER, sender=metered.warden)
    assert refusal(metered, arguments(metered, OTHER)) == ""
    for act in (
        lambda: registry.revoke(METER, sender=metered.owner),
        lambda: registry.declareCompromised(METER, metered.now - 5, sender=metered.owner),
    ):
        start = metered.node.snapshot()
        act()
        assert refusal(metered, arguments(metered, OTHER)) == "DeviceInStatus"
        metered.node.restore(start)


def test_attack__assignments_without_number__are_bounded_within_90_days(metered):
    """On 0.3.0 an owner made so many that no warden could pay for the walk over all of them."""
    registry = metered.registry
    few = metered.gas(registry.compromisedSince, METER)
    for _ in range(31):
        assign(metered, OTHER)
        metered.wait(HOUR)
    next_ = metered.since + 90 * DAY
    refused = metered.refusal_args(
        registry.assign, *arguments(metered, GATEWAY), sender=metered.stranger
    )
    assert refused == ("AssignmentTooSoon", (METER, next_))
    assert metered.gas(registry.compromisedSince, METER) - few < 32 * 8_000
    later = arguments(metered, GATEWAY, since=next_)  # and what begins then may be said now
    registry.assign(*later, sender=metered.stranger)
    assert registry.gatewayAt(METER, next_) == GATEWAY


def test_compromise__of_a_gateway_that_did_not_speak_yet_or_not_for_90_days__does_not_count(
    metered,
):
    """Nothing that it made can be in a dispute window: the warden has nothing to dispute."""
    registry = metered.registry
    change = metered.now + DAY
    assign(metered, OTHER, since=change)
    registry.declareCompromised(OTHER, metered.now, sender=metered.owner)
    assert registry.compromisedSince(METER) == 0
    metered.node.mine_at(change)
    assert registry.compromisedSince(METER) == change
    assign(metered, GATEWAY)
    left = metered.now
    metered.node.mine_at(left + 90 * DAY)
    assert registry.compromisedSince(METER) == change
    metered.node.mine_at(left + 90 * DAY + 1)
    assert registry.compromisedSince(METER) == 0
    assert status_and_key(metered, change)[0] == COMPROMISED  # and is refused for ever


def test_ruling__undoes_a_gateways_compromise__its_meters_are_active_again(metered):
    registry = metered.registry
    registry.declareCompromised(GATEWAY, metered.now, sender=metered.owner)
    assert status_and_key(metered, metered.now)[0] == COMPROMISED
    metered.rule(GATEWAY, 0)
    assert status_and_key(metered, metered.now)[0] == ACTIVE
    assert registry.compromisedSince(METER) == 0


def test_exchange__of_the_gateway__the_old_key_until_then_and_the_new_one_from_then_on(metered):
    change = metered.now + DAY
    assign(metered, OTHER, since=change)
    assert status_and_key(metered, change - 1) == (ACTIVE, GATEWAY_KEY.x)
    assert status_and_key(metered, change) == (ACTIVE, OTHER_KEY.x)
    metered.wait(2 * DAY)
    assign(metered, NONE)
    ended = metered.now
    assert status_and_key(metered, ended - 1) == (ACTIVE, OTHER_KEY.x)
    assert status_and_key(metered, ended) == (NEVER, NONE)
    assert not metered.registry.isActive(METER)
    assign(metered, GATEWAY, until=ended + DAY)
    back = metered.now
    assert status_and_key(metered, back) == (ACTIVE, GATEWAY_KEY.x)
    assert status_and_key(metered, ended + DAY) == (NEVER, NONE)
    assert status_and_key(metered, back - 1) == (NEVER, NONE)


def test_exchange__of_the_gateways_key__its_meters_follow(metered):
    new, ends = DeviceSigner.p256(77), metered.now + 10 * DAY
    digest = rotation(metered.registry.address, GATEWAY, new, 1, ends)
    proofs = [*GATEWAY_KEY.sign(digest), *new.sign(digest)]
    metered.registry.rotate(
        GATEWAY, new.curve, new.x, new.y, ends, *proofs, sender=metered.stranger
    )
    turned = metered.now
    assert status_and_key(metered, turned - 1) == (ACTIVE, GATEWAY_KEY.x)
    assert status_and_key(metered, turned) == (ACTIVE, new.x)
    assert status_and_key(metered, ends) == (EXPIRED, new.x)


def test_rotate__of_a_device_without_a_key__reverts(metered):
    key = DeviceSigner.p256(78)
    words = [NONE] * 4
    call = [METER, key.curve, key.x, key.y, 0, *words]
    refused = metered.refusal(metered.registry.rotate, *call, sender=metered.registrar)
    assert refused == "DeviceWithoutKey"


# status of the device, of the gateway -> what counts
WORSE = [
    ("", "suspend", SUSPENDED),
    ("suspend", "", SUSPENDED),
    ("", "revoke", REVOKED),
    ("revoke", "", REVOKED),
    ("suspend", "revoke", SUSPENDED),
    ("", "steal", COMPROMISED),
    ("steal", "", COMPROMISED),
    ("suspend", "steal", COMPROMISED),
    ("revoke", "steal", COMPROMISED),
]


@pytest.mark.parametrize(("own", "gateway", "expected"), WORSE)
def test_status__of_device_and_gateway__the_worse_one_counts(metered, own, gateway, expected):
    registry, owner = metered.registry, metered.owner
    before = metered.now
    for act, device in ((own, METER), (gateway, GATEWAY)):
        if act == "steal":
            registry.declareCompromised(device, metered.now, sender=owner)
        elif act:
            getattr(registry, act)(device, sender=owner)
    assert status_and_key(metered, metered.now)[0] == expected
    assert status_and_key(metered, before - 1)[0] == ACTIVE
    if own == "suspend" and not gateway:
        registry.resume(METER, sender=metered.registrar)
        assert status_and_key(metered, metered.now)[0] == ACTIVE


def test_compromise__of_a_gateway__dates_each_of_its_meters_from_when_it_spoke_for_them(metered):
    """The warden may dispute what a stolen gateway made, and nothing of other gateways."""
    registry = metered.registry
    start = metered.now
    assign(metered, OTHER)  # METER leaves GATEWAY
    left = metered.now
    metered.wait(DAY)
    assign(metered, GATEWAY, device=PLAIN)
    came = metered.now
    metered.wait(DAY)
    assert (registry.compromisedSince(METER), registry.compromisedSince(PLAIN)) == (0, 0)
    registry.declareCompromised(GATEWAY, left, sender=metered.owner)
    assert registry.compromisedSince(METER) == 0  # it had left by then
    assert registry.compromisedSince(PLAIN) == came
    registry.declareCompromised(GATEWAY, start, sender=metered.owner)
    assert registry.compromisedSince(METER) == start
    registry.declareCompromised(METER, start - 5, sender=metered.owner)
    assert registry.compromisedSince(METER) == start - 5
    assert registry.compromisedSince(GATEWAY) == start


def test_device_with_a_key__next_to_a_gateway__keeps_its_own_key_and_status(alone):
    assign(alone, GATEWAY, device=DEVICE)
    now, registry = alone.now, alone.registry
    assert registry.gatewayAt(DEVICE, now) == GATEWAY
    assert registry.gatewayAt(DEVICE, now - 1) == NONE
    registry.declareCompromised(GATEWAY, now, sender=alone.owner)
    assert status_and_key(alone, now, DEVICE) == (ACTIVE, alone.key.x)
    assert registry.compromisedSince(DEVICE) == 0


def test_agreement__of_a_device_without_a_key__is_opened_and_paid_by_the_time_of_its_events(
    contracts,
):
    metered = contracts
    assign(metered, GATEWAY)
    metered.wait(12 * DAY)
    metered.reset()
    agreement = metered.open(metered.mandate(device=METER))
    metered.mint(10_000_000, agreement)
    assign(metered, NONE)
    ended = metered.now
    metered.wait(DAY)

    def refused(ends_at, sequence):
        row = facts(0, KWH, ends_at - HOUR, ends_at)
        settlement = metered.settle(metered.claim(agreement, sequence=sequence, facts=row))
        (code,) = settlement.refusals
        return metered.product.refusalName(code - 100) if code else ""

    assert refused(ended, 1) == "DeviceNotActive"
    assert refused(ended - 1, 1) == ""
    other = metered.mandate(device=METER)
    call = metered.opening(other)
    assert metered.refusal(metered.rail.open, *call, sender=metered.payer) == "DeviceNotActive"


def test_gateway_at__any_history__is_the_newest_assignment_that_began(alone):
    """Compared with a plain list: a later word ends earlier ones, also those not begun yet."""
    assign(alone, GATEWAY)
    words = [(alone.now, 0, GATEWAY)]
    dice = random.Random(9)
    for _ in range(16):
        now = alone.now + 1
        since = dice.choice([0, now + dice.randrange(1, 5 * DAY)])
        until = dice.choice([0, (since or now) + dice.randrange(2, 4 * DAY)])
        gateway = dice.choice([GATEWAY, OTHER, NONE])
        assign(alone, gateway, since, until)
        words.append((since or alone.now, until, gateway))
        alone.wait(dice.randrange(1, 2 * DAY))
    moments = {at + shift for word in words for at in word[:2] if at for shift in (-1, 0)}

    def expected(at):
        for since, until, gateway in reversed(words):
            if since <= at:
                return gateway if not until or at < until else NONE
        return NONE

    answers = {at: alone.registry.gatewayAt(METER, at) for at in sorted(moments)}
    assert answers == {at: expected(at) for at in sorted(moments)}
    assert set(answers.values()) == {GATEWAY, OTHER, NONE}
