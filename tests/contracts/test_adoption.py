"""Adoption: a registry takes over the devices of the registry of release 0.5.0 before it.

adopt
├── given an active device: it has the predecessor's key, end, owner and status, and its past
├── given an ended or stolen one: it stays so, and cannot be enrolled here either
├── given a suspended, unknown or known one: it should revert; adoptMany passes over known ones
├── given one without a key: its gateway and the assignment's end are taken over
├── afterwards: what happens at the predecessor counts no more, but an older theft counts for before
└── given a gateway that was adopted within the day: a challenge of what it signed needs a ruling
"""

from __future__ import annotations

import pytest
from eth_abi import encode
from web3 import Web3

from orchestrator.core.assignment import GatewayAssignment
from orchestrator.edges.chain import ethereum
from services.testnet import CHAIN_ID
from tests.support.contracts.challenged import (
    ChallengedClaim,
    ChallengeFault,
    judged,
    moved_rail,
    payload,
    reading,
    signed,
)
from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR, KWH, NONE, facts
from tests.support.contracts.device_keys import DeviceSigner, rotation
from tests.support.contracts.settled import NOBODY
from tests.support.former_contracts import former_artifacts

WATCH, METER, GATEWAY = (Web3.keccak(text=name) for name in ("watch", "meter", "gateway"))
KEY, NEXT, GATEWAY_KEY = (DeviceSigner.p256(secret) for secret in (71, 72, 73))
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(6)


class TwoRegistries:
    """A registry of 0.5.0, the registry that follows it, and what happens at both."""

    def __init__(self, alone) -> None:
        self.alone = alone
        self.artifacts = former_artifacts()
        alone.artifacts |= self.artifacts
        self.before = alone.deploy("DeviceRegistry@0.5.0", alone.registrar, alone.warden)
        self.now = self.follow(self.before)

    def follow(self, predecessor):
        alone = self.alone
        return alone.deploy("DeviceRegistry", alone.access, alone.committee, predecessor)

    def enrol(self, device, key, expires_at=0, registry=None):
        registry, owner = registry or self.before, self.alone.owner
        proof = key.sign(key.enrolment(registry.address, device, owner.address))
        call = [device, key.curve, key.x, key.y, owner, NONE, expires_at, *proof]
        return registry.enrol(*call, sender=self.alone.registrar)

    def rotate(self, device, old, new, registry=None):
        registry = registry or self.before
        digest = rotation(registry.address, device, new, registry.keyCount(device))
        proofs = [*old.sign(digest), *new.sign(digest)]
        call = [device, new.curve, new.x, new.y, 0, *proofs]
        registry.rotate(*call, sender=self.alone.stranger)

    def assign(self, device, gateway, until=0):
        number, owner = self.before.assignmentCount(device), self.alone.owner
        document = GatewayAssignment(device, gateway, 0, until, number).typed_data(
            CHAIN_ID, self.before.address
        )
        signed = ethereum.Account.sign_typed_data(owner.private_key, full_message=document)
        call = [device, owner, gateway, 0, until, bytes(signed.signature)]
        self.before.assign(*call, sender=self.alone.registrar)

    def adopt(self, *devices):
        return self.now.adoptMany(list(devices), sender=self.alone.stranger)

    def refusal(self, function, *arguments, sender=None):
        method = self.now.method(function)
        return self.alone.refusal(method, *arguments, sender=sender or self.alone.stranger)

    def enrol_refusal(self, device, key):
        owner = self.alone.owner
        proof = key.sign(key.enrolment(self.now.address, device, owner.address))
        call = [device, key.curve, key.x, key.y, owner, NONE, 0, *proof]
        return self.refusal("enrol", *call, sender=self.alone.registrar)

    def status(self, device, time, registry=None):
        """Return the status and x at a time; `activeAt` must agree."""
        registry = registry or self.now
        status, _, x, _ = registry.keyAt(device, time)
        assert registry.activeAt(device, time) == (status == ACTIVE)
        return status, bytes(x)


@pytest.fixture
def two(alone):
    return TwoRegistries(alone)


@pytest.mark.parametrize("days", [0, 20])
def test_adopt__active_device__has_key_owner_and_end_of_the_predecessor(two, days):
    alone = two.alone
    end = alone.now + days * DAY if days else 0
    two.enrol(WATCH, KEY, end)
    receipt = two.adopt(WATCH)
    at = alone.now
    enrolled, adopted = receipt.events
    assert (enrolled.event_name, adopted.event_name) == ("DeviceEnrolled", "DeviceAdopted")
    assert (enrolled.owner, enrolled.expiresAt, enrolled["at"]) == (alone.owner, end, at)
    assert (adopted.predecessor, adopted["at"]) == (two.before.address, at)
    assert two.now.ownerOf(WATCH) == alone.owner and two.now.adoptedAt(WATCH) == at
    assert two.status(WATCH, at) == (ACTIVE, KEY.x)
    last = end or 2**40 - 1
    assert two.status(WATCH, last - 1) == (ACTIVE, KEY.x)
    assert two.status(WATCH, last) == (EXPIRED if end else ACTIVE, KEY.x)


def test_adopt__times_before_it__are_asked_at_the_predecessor(two):
    alone = two.alone
    two.enrol(WATCH, KEY)
    enrolled = alone.now
    alone.wait(DAY)
    two.rotate(WATCH, KEY, NEXT)
    rotated = alone.now
    alone.wait(DAY)
    two.adopt(WATCH)
    assert two.status(WATCH, enrolled - 1) == (NEVER, NONE)
    assert two.status(WATCH, rotated - 1) == (ACTIVE, KEY.x)
    assert two.status(WATCH, rotated) == two.status(WATCH, alone.now) == (ACTIVE, NEXT.x)
    two.rotate(WATCH, NEXT, DeviceSigner.p256(74), registry=two.now)
    assert two.status(WATCH, alone.now) == (ACTIVE, DeviceSigner.p256(74).x)
    assert two.status(WATCH, alone.now - 1) == (ACTIVE, NEXT.x)


def test_adopt__ended_device__stays_ended_and_is_not_enrolled_again(two):
    """A registrar who enrols an ended device at the new registry would bring it back to life."""
    two.enrol(WATCH, KEY)
    two.before.revoke(WATCH, sender=two.alone.owner)
    assert two.enrol_refusal(WATCH, KEY) == "DeviceInStatus"
    two.adopt(WATCH)
    assert two.status(WATCH, two.alone.now) == (REVOKED, KEY.x)
    assert two.refusal("resume", WATCH, sender=two.alone.registrar) == "DeviceInStatus"


def test_adopt__stolen_device__stays_stolen_until_a_ruling_and_then_needs_a_new_key(two):
    alone = two.alone
    two.enrol(WATCH, KEY)
    alone.wait(30 * DAY)
    stolen = alone.now - 20 * DAY
    two.before.declareCompromised(WATCH, stolen, sender=alone.owner)
    assert two.enrol_refusal(WATCH, KEY) == "DeviceInStatus"
    two.adopt(WATCH)
    at = alone.now
    assert two.now.compromisedSince(WATCH) == stolen
    assert two.status(WATCH, at) == two.status(WATCH, stolen) == (COMPROMISED, KEY.x)
    assert two.status(WATCH, stolen - 1) == (ACTIVE, KEY.x)
    rule(two, WATCH, 0)
    assert two.status(WATCH, alone.now) == (SUSPENDED, KEY.x)
    two.now.resume(WATCH, sender=alone.registrar)
    assert two.status(WATCH, alone.now) == (EXPIRED, KEY.x)
    assert two.status(WATCH, stolen) == (COMPROMISED, KEY.x)  # the past stays


def rule(two, device, since):
    """Undo or set a compromise by the registry's only oracle."""
    alone = two.alone
    kinds = ["address", "bytes32", "uint40", "uint256"]
    number = two.now.compromiseRulings(device)
    digest = Web3.keccak(encode(kinds, [two.now.address, device, since, number]))
    signed = ethereum.Account.unsafe_sign_hash(digest, alone.ruler.private_key)
    two.now.ruleCompromise(device, since, [bytes(signed.signature)], sender=alone.stranger)


def test_adopt__expired_device__is_expired_and_may_sign_its_next_key(two):
    alone = two.alone
    two.enrol(WATCH, KEY, alone.now + HOUR)
    alone.wait(DAY)
    two.adopt(WATCH)
    assert two.status(WATCH, alone.now) == (EXPIRED, KEY.x)
    two.rotate(WATCH, KEY, NEXT, registry=two.now)
    assert two.status(WATCH, alone.now) == (ACTIVE, NEXT.x)


def test_adopt__suspended_device__waits_so_that_no_stranger_can_end_its_key(two):
    """A stranger who took over a suspended device would choose what its key's end is."""
    two.enrol(WATCH, KEY, two.alone.now + 30 * DAY)
    two.before.suspend(WATCH, sender=two.alone.warden)
    assert two.refusal("adopt", WATCH) == "DeviceInStatus"
    two.before.resume(WATCH, sender=two.alone.registrar)
    assert two.refusal("adopt", WATCH) == ""


def test_adopt__unknown_or_known_device__reverts_and_nothing_is_taken_over_twice(two):
    alone = two.alone
    assert two.refusal("adopt", WATCH) == "DeviceUnknown"
    assert alone.refusal(alone.registry.adopt, WATCH, sender=alone.stranger) == "DeviceUnknown"
    two.enrol(WATCH, KEY)
    two.enrol(METER, GATEWAY_KEY)
    two.enrol(WATCH, NEXT, registry=two.now)  # enrolled here with another key
    assert two.refusal("adopt", WATCH) == "DeviceExists"
    two.adopt(WATCH, METER, WATCH)
    assert two.status(WATCH, alone.now) == (ACTIVE, NEXT.x)
    assert two.now.adoptedAt(WATCH) == 0
    assert two.status(METER, alone.now) == (ACTIVE, GATEWAY_KEY.x)


def test_adopt__key_that_another_device_has_here__reverts(two):
    two.enrol(WATCH, KEY)
    two.enrol(METER, KEY, registry=two.now)
    assert two.refusal("adopt", WATCH) == "KeyTaken"


@pytest.mark.parametrize("days", [0, 20])
def test_adopt__device_without_a_key__keeps_its_gateway_until_the_end(two, days):
    alone = two.alone
    end = alone.now + days * DAY if days else 0
    two.enrol(GATEWAY, GATEWAY_KEY)
    two.assign(METER, GATEWAY, end)
    alone.wait(DAY)
    two.adopt(METER)
    at = alone.now
    assert two.status(METER, at) == (NEVER, NONE)  # its gateway is not known here yet
    two.adopt(GATEWAY)
    at = alone.now
    assert two.status(METER, at - DAY) == two.status(METER, at) == (ACTIVE, GATEWAY_KEY.x)
    assert bytes(two.now.gatewayAt(METER, at - DAY)) == GATEWAY
    last = end or 2**40 - 1
    assert bytes(two.now.gatewayAt(METER, last - 1)) == GATEWAY
    assert bytes(two.now.gatewayAt(METER, last)) == (NONE if end else GATEWAY)
    assert two.now.assignmentCount(METER) == 1


def test_adopt__device_behind_an_ended_gateway__waits_for_another_gateway(two):
    """A stranger who took it over then would end the device itself for ever."""
    alone = two.alone
    two.enrol(GATEWAY, GATEWAY_KEY)
    two.assign(METER, GATEWAY)
    two.before.revoke(GATEWAY, sender=alone.owner)
    assert two.refusal("adopt", METER) == "GatewayInvalid"
    two.assign(METER, NONE)
    two.adopt(METER)
    assert two.status(METER, alone.now) == (NEVER, NONE)
    assert two.now.ownerOf(METER) == alone.owner


def test_adopt__ended_device_without_a_key__stays_ended(two):
    alone = two.alone
    two.enrol(GATEWAY, GATEWAY_KEY)
    two.assign(METER, GATEWAY)
    two.before.revoke(METER, sender=alone.owner)
    two.adopt(METER, GATEWAY)
    assert two.status(METER, alone.now) == (REVOKED, GATEWAY_KEY.x)


def test_adopt__changes_at_the_predecessor_afterwards__count_no_more(two):
    """Whoever holds a power at the old registry alone must not have it over the new one."""
    alone = two.alone
    two.enrol(WATCH, KEY)
    alone.wait(30 * DAY)
    two.adopt(WATCH)
    at = alone.now
    alone.wait(DAY)
    two.rotate(WATCH, KEY, NEXT)
    two.before.declareCompromised(WATCH, at - 20 * DAY, sender=alone.owner)
    assert two.status(WATCH, alone.now) == two.status(WATCH, at) == (ACTIVE, KEY.x)
    assert two.status(WATCH, at - 1) == (COMPROMISED, KEY.x)
    assert two.status(WATCH, at - 21 * DAY) == (ACTIVE, KEY.x)


def test_adopt__theft_declared_here__counts_for_the_days_before_it(two):
    alone = two.alone
    two.enrol(WATCH, KEY)
    two.enrol(GATEWAY, GATEWAY_KEY)
    two.assign(METER, GATEWAY)
    alone.wait(30 * DAY)
    two.adopt(WATCH, GATEWAY, METER)
    at = alone.now
    for device in (WATCH, GATEWAY):
        two.now.declareCompromised(device, at - 2 * DAY, sender=alone.owner)
    for device in (WATCH, METER):
        assert two.status(device, at - 2 * DAY)[0] == COMPROMISED
        assert two.status(device, at - 2 * DAY - 1)[0] == ACTIVE
        assert two.status(device, alone.now)[0] == COMPROMISED


def test_adopt__registry_that_was_adopted_from_itself__is_a_predecessor_like_any_other(two):
    two.enrol(WATCH, KEY, two.alone.now + 20 * DAY)
    two.adopt(WATCH)
    third = two.follow(two.now)
    third.adopt(WATCH, sender=two.alone.stranger)
    two.now, second = third, two.now
    end = two.alone.now + 30 * DAY
    for time in (two.alone.now - DAY, two.alone.now, end):
        assert two.status(WATCH, time) == two.status(WATCH, time, second)
    assert third.predecessor() == second.address != NOBODY


@pytest.mark.parametrize(
    ("after", "answer"), [(HOUR, "NeedsRuling"), (26 * HOUR, "SignatureValid")]
)
def test_challenge__of_a_gateway_that_was_adopted_within_the_day__needs_a_ruling(
    contracts, after, answer
):
    """Attack: a key that oracles saw replaced comes back with the next registry, and what it signs
    is called forged, or genuine: two registries know no common history of keys."""
    gateway = bytes([7]) * 32
    contracts.enrol(gateway, GATEWAY_KEY)
    contracts.registry.assign(DEVICE, contracts.owner, gateway, 0, 0, b"", sender=contracts.owner)
    moved = moved_rail(contracts)
    moved.wait(30 * HOUR)  # the device's own adoption is long ago
    moved.registry.adopt(gateway, sender=moved.stranger)
    moved.wait(after)
    readings = reading(100, moved.now - HOUR // 2, "B"), reading(110, moved.now, "E")
    sessions = facts(100 * KWH, 110 * KWH, moved.now - HOUR // 2, moved.now)
    claim = ChallengedClaim(moved, [signed(payload(11, *readings), GATEWAY_KEY)], facts=sessions)
    assert judged(moved, claim.case(ChallengeFault.SIGNATURE)) == answer
