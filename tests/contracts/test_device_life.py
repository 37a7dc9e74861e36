"""What a device may still do at each time of its life, and who may end it.

expiry
├── given a key with an end: the device should be Expired from then on, and Active before
├── given its next key, signed by the expired one: Active again, and Expired in between
└── given an end that has passed, at enrolment or rotation: it should revert
warden: it should suspend, whether active or expired, and nothing else
compromise: `compromisedSince` should return it, and open disputes to the warden, not before
claims: they should be judged by what held at their events' time
activeAt: for any history and time it should say what keyAt says
"""

from __future__ import annotations

import random
from itertools import count

import pytest
from web3 import Web3

from oracles.attest import sign
from oracles.compromises import CompromiseRuling
from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR, KWH, facts
from tests.support.contracts.device_keys import CHAIN_ID, DeviceSigner, rotation

NEW = Web3.keccak(text="EVSE-2")
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(6)


def status_at(alone, time, device=NEW):
    """The status at a time; `activeAt` must agree."""
    status = alone.registry.keyAt(device, time)[0]
    assert alone.registry.activeAt(device, time) == (status == ACTIVE)
    return status


def rotate_arguments(alone, new, old, keys=1, expires_at=0, device=NEW):
    digest = rotation(alone.registry.address, device, new, keys, expires_at)
    return [device, new.curve, new.x, new.y, expires_at, *old.sign(digest), *new.sign(digest)]


@pytest.fixture
def ending(alone):
    """NEW is enrolled with a key that ends in ten days."""
    alone.ends = alone.now + 10 * DAY
    alone.old = DeviceSigner.p256(41)
    alone.enrol(NEW, alone.old, expires_at=alone.ends)
    alone.enrolled = alone.now
    return alone


def test_expiry__of_the_key__holds_from_then_on_and_not_before(ending):
    assert status_at(ending, ending.ends - 1) == ACTIVE
    assert status_at(ending, ending.ends) == EXPIRED
    ending.wait(10 * DAY)
    assert not ending.registry.isActive(NEW)
    assert status_at(ending, ending.ends - 1) == ACTIVE  # what it signed before stays good
    assert status_at(ending, ending.enrolled - 1) == NEVER


def test_expiry__next_key_signed_by_the_expired_one__is_active_from_then_on(ending):
    new = DeviceSigner.p256(42)
    ending.wait(12 * DAY)
    ending.registry.rotate(*rotate_arguments(ending, new, ending.old), sender=ending.stranger)
    turned = ending.now
    statuses = [status_at(ending, at) for at in (ending.ends - 1, ending.ends, turned - 1, turned)]
    assert statuses == [ACTIVE, EXPIRED, EXPIRED, ACTIVE]
    assert status_at(ending, turned + 1_000 * DAY) == ACTIVE  # the new key has no end
    _, _, x, _ = ending.registry.keyAt(NEW, turned - 1)
    assert bytes(x) == ending.old.x


def test_expiry__key_rotated_before_its_end__no_longer_matters(ending):
    new = DeviceSigner.p256(42)
    ending.wait(DAY)
    last = ending.ends + 5 * DAY
    arguments = rotate_arguments(ending, new, ending.old, expires_at=last)
    ending.registry.rotate(*arguments, sender=ending.stranger)
    statuses = [status_at(ending, at) for at in (ending.ends, last - 1, last)]
    assert statuses == [ACTIVE, ACTIVE, EXPIRED]


def test_expiry__in_the_past__reverts(alone):
    old, new = DeviceSigner.p256(41), DeviceSigner.p256(42)
    for ends in (1, alone.now - 1):
        arguments = alone.enrolment(NEW, old, expires_at=ends)
        refusal = alone.refusal(alone.registry.enrol, *arguments, sender=alone.registrar)
        assert refusal == "KeyExpiryInvalid"
    alone.enrol(NEW, old)
    arguments = rotate_arguments(alone, new, old, expires_at=alone.now - 1)
    refusal = alone.refusal(alone.registry.rotate, *arguments, sender=alone.registrar)
    assert refusal == "KeyExpiryInvalid"


def test_rotate__expiry_changed_after_signing__reverts(ending):
    arguments = rotate_arguments(ending, DeviceSigner.p256(42), ending.old)
    arguments[4] = ending.ends + DAY
    refusal = ending.refusal(ending.registry.rotate, *arguments, sender=ending.registrar)
    assert refusal == "RotationUnsigned"


def test_expired__device__can_be_suspended_and_then_no_longer_rotates(ending):
    ending.wait(10 * DAY)
    ending.registry.suspend(NEW, sender=ending.warden)
    arguments = rotate_arguments(ending, DeviceSigner.p256(42), ending.old)
    refusal = ending.refusal(ending.registry.rotate, *arguments, sender=ending.stranger)
    assert refusal == "DeviceInStatus"
    ending.registry.resume(NEW, sender=ending.registrar)
    assert status_at(ending, ending.now) == EXPIRED


def test_expired__device__opens_no_agreement(contracts):
    contracts.enrol(NEW, DeviceSigner.p256(41), expires_at=contracts.now + 10 * DAY)
    contracts.wait(10 * DAY)
    mandate = contracts.mandate(device=NEW)
    call = contracts.opening(mandate)
    refusal = contracts.refusal(contracts.rail.open, *call, sender=contracts.payer)
    assert refusal == "DeviceNotActive"


def test_warden__suspends__and_can_do_nothing_else(alone):
    registry, warden = alone.registry, alone.warden
    alone.wait(DAY)
    for method, arguments in (
        (registry.revoke, [DEVICE]),
        (registry.declareCompromised, [DEVICE, alone.now - 1]),
    ):
        assert alone.refusal(method, *arguments, sender=warden) == "NotInCharge"
    arguments = alone.enrolment(NEW, DeviceSigner.p256(41))
    assert alone.refusal(registry.enrol, *arguments, sender=warden) == "NotInRole"
    registry.suspend(DEVICE, sender=warden)
    assert status_at(alone, alone.now, DEVICE) == SUSPENDED
    assert alone.refusal(registry.resume, DEVICE, sender=warden) == "NotInRole"
    assert alone.refusal(registry.suspend, DEVICE, sender=warden) == "DeviceInStatus"
    assert alone.refusal(registry.suspend, NEW, sender=warden) == "DeviceUnknown"


def test_compromise__declared__is_readable_with_its_date(alone):
    assert alone.registry.compromisedSince(DEVICE) == 0
    since = alone.now - 5 * DAY
    alone.registry.declareCompromised(DEVICE, since, sender=alone.registrar)
    assert alone.registry.compromisedSince(DEVICE) == since
    alone.registry.declareCompromised(DEVICE, since - DAY, sender=alone.owner)
    assert alone.registry.compromisedSince(DEVICE) == since - DAY
    assert alone.registry.compromisedSince(NEW) == 0


def test_compromise__payment_in_its_window__the_warden_disputes_it_and_only_then(contracts):
    settlement = contracts.settle(contracts.claim())
    disputes, arguments = contracts.disputes, settlement.dispute()
    assert contracts.refusal(disputes.dispute, *arguments, sender=contracts.warden) == "NotParty"
    contracts.registry.declareCompromised(
        DEVICE, contracts.now - 5 * DAY, sender=contracts.registrar
    )
    for other in (
        contracts.registrar,
        contracts.owner,
        contracts.payee,
        contracts.steward,
        contracts.stranger,
    ):
        assert contracts.refusal(disputes.dispute, *arguments, sender=other) == "NotParty"
    receipt = disputes.dispute(*arguments, sender=contracts.warden)
    assert "PaymentDisputed" in [log.event_name for log in receipt.events]
    payment = settlement.outcomes[0][0]
    assert contracts.refusal(disputes.concede, payment, sender=contracts.warden) == "NotParty"
    disputes.rule(payment, True, contracts.ruling(payment, True), sender=contracts.stranger)
    assert contracts.rail.totals()[1:4] == (0, 0, 0)
    contracts.assert_conserved()


def test_compromise__of_another_device__opens_no_dispute_to_the_warden(contracts):
    settlement = contracts.settle(contracts.claim())
    contracts.enrol(NEW, DeviceSigner.p256(41))
    contracts.wait(DAY)
    contracts.registry.declareCompromised(NEW, contracts.now - 5, sender=contracts.registrar)
    refusal = contracts.refusal(
        contracts.disputes.dispute, *settlement.dispute(), sender=contracts.warden
    )
    assert refusal == "NotParty"


# --- claims, by the time of their events


def settled(contracts, ends_at):
    """How a claim is answered whose events end at this time."""
    row = facts(0, KWH, ends_at - HOUR, ends_at)
    (code,) = contracts.settle(contracts.claim(facts=row)).refusals
    return contracts.product.refusalName(code - 100) if code else ""


def test_attack__key_used_after_revocation__is_refused_by_the_time_of_its_events(contracts):
    contracts.wait(10 * DAY)
    contracts.registry.revoke(DEVICE, sender=contracts.registrar)
    revoked = contracts.now
    contracts.wait(DAY)
    assert settled(contracts, revoked + HOUR) == "DeviceNotActive"
    assert settled(contracts, revoked) == "DeviceNotActive"
    assert settled(contracts, revoked - 1) == ""  # honest work of before is paid, however late


def test_attack__event_back_dated_into_a_compromise__is_refused(contracts):
    contracts.wait(10 * DAY)
    since = contracts.now - 5 * DAY
    contracts.registry.declareCompromised(DEVICE, since, sender=contracts.registrar)
    assert settled(contracts, since + HOUR) == "DeviceNotActive"
    assert settled(contracts, since) == "DeviceNotActive"
    assert settled(contracts, since - 1) == ""  # the rest of that defence is the oracles'


def undone(contracts):
    """The committee's ruling that DEVICE's key is not stolen, as its oracles sign it."""
    registry, committee = contracts.registry, contracts.committee.address
    ruling = CompromiseRuling(registry.address, DEVICE, 0, registry.compromiseRulings(DEVICE))
    digest = ruling.digest(CHAIN_ID, committee)
    return [sign(digest, key) for key in contracts.oracles[:3]]


def test_attack__owner_declares_its_own_key_stolen__no_honest_payee_stays_unpaid(contracts):
    """On 0.3.0 an owner that was also the payer got its power for nothing: since 1970, for good."""
    registry, rule = contracts.registry, contracts.registry.ruleCompromise
    long_ago, lately = contracts.now - 8 * DAY, contracts.now - 5 * DAY
    declare = registry.declareCompromised
    for date in (1, long_ago):
        refused = contracts.refusal(declare, DEVICE, date, sender=contracts.owner)
        assert refused == "CompromiseNeedsRuling"
    declare(DEVICE, contracts.now - 6 * DAY, sender=contracts.owner)
    assert settled(contracts, lately) == "DeviceNotActive"
    signatures = undone(contracts)
    too_few = contracts.refusal(rule, DEVICE, 0, signatures[:2], sender=contracts.stranger)
    assert too_few == "QuorumMissing"
    rule(DEVICE, 0, signatures, sender=contracts.payee)
    again = contracts.refusal(rule, DEVICE, 0, signatures, sender=contracts.payee)
    assert again == "QuorumMissing"  # each ruling counts once
    redeclared = contracts.refusal(declare, DEVICE, lately, sender=contracts.owner)
    assert redeclared == "CompromiseNeedsRuling"
    assert settled(contracts, lately) == ""


def test_attack__compromise_declared__what_is_older_is_still_paid(contracts):
    contracts.registry.declareCompromised(
        DEVICE, contracts.now - 7 * DAY + 60, sender=contracts.owner
    )
    assert settled(contracts, contracts.now - 7 * DAY - HOUR) == ""


def test_claim__of_an_expired_key__is_refused_from_the_expiry_on(contracts):
    new = DeviceSigner.p256(43)
    ends = contracts.now + DAY
    arguments = rotate_arguments(contracts, new, contracts.key, expires_at=ends, device=DEVICE)
    contracts.registry.rotate(*arguments, sender=contracts.stranger)
    contracts.wait(3 * DAY)
    assert settled(contracts, ends) == "DeviceNotActive"
    assert settled(contracts, ends - 1) == ""


# --- any history

LIVES, STEPS = 6, 16


def test_active_at__any_history_and_time__is_what_key_at_says(alone):
    seen = set()
    for seed in range(LIVES):
        life = DeviceLife(alone, random.Random(seed), number=seed)
        for step in range(STEPS):
            life.step(near_the_end=step > STEPS - 6)
            alone.wait(life.dice.randrange(1, 3 * DAY))
        moments = {at + shift for at in life.moments for shift in (-1, 0, 1)}
        for at in sorted(moments | {alone.now + 400 * DAY}):
            expected = life.status_at(at)
            assert status_at(alone, at, life.device) == expected, (seed, at)
            seen.add(expected)
    assert seen == set(range(6)), "lives in which too little happened prove little"


class DeviceLife:
    """A device with a random life; its expected statuses are computed from plain lists."""

    def __init__(self, alone, dice: random.Random, number: int) -> None:
        self.alone, self.dice = alone, dice
        self.device, self.numbers = bytes([90 + number]) * 32, count(9_000 + 100 * number)
        self.key, ends = self._key()
        alone.enrol(self.device, self.key, expires_at=ends)
        self.keys, self.changes = [(alone.now, ends)], [(alone.now, ACTIVE)]
        self.stolen, self.moments = 0, {alone.now, ends or alone.now}

    def _key(self) -> tuple[DeviceSigner, int]:
        ends = self.alone.now + self.dice.randrange(DAY, 12 * DAY)
        return DeviceSigner.p256(next(self.numbers)), self.dice.choice([0, ends, ends])

    def step(self, near_the_end: bool) -> None:
        acts = [self.rotate, self.rotate, self.suspend, self.resume, self.resume]
        act = self.dice.choice(acts + [self.revoke, self.steal, self.rule] * near_the_end)
        if act():
            self.moments |= {self.alone.now, self.keys[-1][1] or self.alone.now}

    def send(self, method, *args) -> bool:
        if self.alone.refusal(method, *args, sender=self.alone.registrar):
            return False
        method(*args, sender=self.alone.registrar)
        return True

    def rotate(self) -> bool:
        new, ends = self._key()
        arguments = rotate_arguments(self.alone, new, self.key, len(self.keys), ends, self.device)
        if not self.send(self.alone.registry.rotate, *arguments):
            return False
        self.key = new
        self.keys.append((self.alone.now, ends))
        return True

    def _change(self, method, status: int) -> bool:
        taken = self.send(method, self.device)
        if taken:
            self.changes.append((self.alone.now, status))
        return taken

    def suspend(self) -> bool:
        return self._change(self.alone.registry.suspend, SUSPENDED)

    def resume(self) -> bool:
        return self._change(self.alone.registry.resume, ACTIVE)

    def revoke(self) -> bool:
        return self._change(self.alone.registry.revoke, REVOKED)

    def steal(self) -> bool:
        since = self.alone.now - self.dice.randrange(1, 3 * DAY)
        if not self.send(self.alone.registry.declareCompromised, self.device, since):
            return False
        self.stolen = since
        self.moments.add(since)
        return True

    def rule(self) -> bool:
        since = self.dice.choice([0, 0, self.alone.now - self.dice.randrange(1, 20 * DAY)])
        self.alone.rule(self.device, since)
        self.stolen = since
        self.moments.add(since or self.alone.now)
        return True

    def status_at(self, time: int) -> int:
        statuses = [status for since, status in self.changes if since <= time]
        if not statuses:
            return NEVER
        if self.stolen and time >= self.stolen:
            return COMPROMISED
        ends = [ends for since, ends in self.keys if since <= time][-1]
        if statuses[-1] == ACTIVE and ends and time >= ends:
            return EXPIRED
        return statuses[-1]
