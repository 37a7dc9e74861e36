"""What a device may still do at each time of its life, and who may end it.

expiry
├── given a key with an end: the device should be Expired from then on, and Active before
├── given its next key, signed by the expired one: Active again, and Expired in between
└── given an end that has passed, at enrolment or rotation: it should revert
warden: it should suspend, whether active or expired, and nothing else
compromise: it should be told by `compromisedSince`, and open disputes to the warden, not before
claims: they should be judged by what held at their events' time
activeAt: for any history and time it should say what keyAt says
"""

from __future__ import annotations

import random
from itertools import count

import pytest
from web3 import Web3

from tests.support.contracts.device_keys import DeviceSigner, rotation
from tests.support.contracts.stage import DAY, DEVICE, HOUR, KWH, facts

NEW = Web3.keccak(text="EVSE-2")
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(6)


def status_at(stage, time, device=NEW):
    """The status at a time; `activeAt` must agree."""
    status = stage.registry.keyAt(device, time)[0]
    assert stage.registry.activeAt(device, time) == (status == ACTIVE)
    return status


def rotate_arguments(stage, new, old, keys=1, expires_at=0, device=NEW):
    digest = rotation(stage.registry.address, device, new, keys, expires_at)
    return [device, new.curve, new.x, new.y, expires_at, *old.sign(digest), *new.sign(digest)]


@pytest.fixture
def ending(stage):
    """NEW is enrolled with a key that ends in ten days."""
    stage.ends = stage.now + 10 * DAY
    stage.old = DeviceSigner.p256(41)
    stage.enrol(NEW, stage.old, expires_at=stage.ends)
    stage.enrolled = stage.now
    return stage


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
    found = [status_at(ending, at) for at in (ending.ends - 1, ending.ends, turned - 1, turned)]
    assert found == [ACTIVE, EXPIRED, EXPIRED, ACTIVE]
    assert status_at(ending, turned + 1_000 * DAY) == ACTIVE  # the new key has no end
    _, _, x, _ = ending.registry.keyAt(NEW, turned - 1)
    assert bytes(x) == ending.old.x


def test_expiry__key_rotated_before_its_end__no_longer_matters(ending):
    new = DeviceSigner.p256(42)
    ending.wait(DAY)
    last = ending.ends + 5 * DAY
    arguments = rotate_arguments(ending, new, ending.old, expires_at=last)
    ending.registry.rotate(*arguments, sender=ending.stranger)
    found = [status_at(ending, at) for at in (ending.ends, last - 1, last)]
    assert found == [ACTIVE, ACTIVE, EXPIRED]


def test_expiry__in_the_past__reverts(stage):
    old, new = DeviceSigner.p256(41), DeviceSigner.p256(42)
    for ends in (1, stage.now - 1):
        arguments = stage.enrolment(NEW, old, expires_at=ends)
        found = stage.refusal(stage.registry.enrol, *arguments, sender=stage.registrar)
        assert found == "KeyExpiryInvalid"
    stage.enrol(NEW, old)
    arguments = rotate_arguments(stage, new, old, expires_at=stage.now - 1)
    found = stage.refusal(stage.registry.rotate, *arguments, sender=stage.registrar)
    assert found == "KeyExpiryInvalid"


def test_rotate__expiry_changed_after_signing__reverts(ending):
    arguments = rotate_arguments(ending, DeviceSigner.p256(42), ending.old)
    arguments[4] = ending.ends + DAY
    found = ending.refusal(ending.registry.rotate, *arguments, sender=ending.registrar)
    assert found == "RotationUnsigned"


def test_expired__device__can_be_suspended_and_then_no_longer_rotates(ending):
    ending.wait(10 * DAY)
    ending.registry.suspend(NEW, sender=ending.warden)
    arguments = rotate_arguments(ending, DeviceSigner.p256(42), ending.old)
    found = ending.refusal(ending.registry.rotate, *arguments, sender=ending.stranger)
    assert found == "DeviceInStatus"
    ending.registry.resume(NEW, sender=ending.registrar)
    assert status_at(ending, ending.now) == EXPIRED


def test_expired__device__opens_no_agreement(ending):
    ending.wait(10 * DAY)
    mandate = ending.mandate(device=NEW)
    signature = ending.consent(mandate)
    found = ending.refusal(ending.rail.open, mandate.as_tuple(), signature, sender=ending.payer)
    assert found == "DeviceNotActive"


def test_warden__suspends__and_can_do_nothing_else(stage):
    registry, warden = stage.registry, stage.warden
    assert registry.warden() == warden
    stage.wait(DAY)
    for method, arguments in (
        (registry.revoke, [DEVICE]),
        (registry.declareCompromised, [DEVICE, stage.now - 1]),
    ):
        assert stage.refusal(method, *arguments, sender=warden) == "NotInCharge"
    arguments = stage.enrolment(NEW, DeviceSigner.p256(41))
    assert stage.refusal(registry.enrol, *arguments, sender=warden) == "NotRegistrar"
    registry.suspend(DEVICE, sender=warden)
    assert status_at(stage, stage.now, DEVICE) == SUSPENDED
    assert stage.refusal(registry.resume, DEVICE, sender=warden) == "NotRegistrar"
    assert stage.refusal(registry.suspend, DEVICE, sender=warden) == "DeviceInStatus"
    assert stage.refusal(registry.suspend, NEW, sender=warden) == "DeviceUnknown"


def test_compromise__declared__is_told_with_its_date(stage):
    assert stage.registry.compromisedSince(DEVICE) == 0
    since = stage.now - 5 * DAY
    stage.registry.declareCompromised(DEVICE, since, sender=stage.registrar)
    assert stage.registry.compromisedSince(DEVICE) == since
    stage.registry.declareCompromised(DEVICE, since - DAY, sender=stage.owner)
    assert stage.registry.compromisedSince(DEVICE) == since - DAY
    assert stage.registry.compromisedSince(NEW) == 0


def test_compromise__payment_in_its_window__the_warden_disputes_it_and_only_then(stage):
    done = stage.settle(stage.claim())
    rail, arguments = stage.rail, done.dispute()
    assert stage.refusal(rail.dispute, *arguments, sender=stage.warden) == "NotParty"
    stage.registry.declareCompromised(DEVICE, stage.now - 5 * DAY, sender=stage.registrar)
    for other in (stage.registrar, stage.owner, stage.payee, stage.steward, stage.stranger):
        assert stage.refusal(rail.dispute, *arguments, sender=other) == "NotParty"
    receipt = rail.dispute(*arguments, sender=stage.warden)
    (log,) = receipt.events
    assert (log.event_name, log.payer) == ("PaymentDisputed", stage.payer)
    payment = done.outcomes[0][0]
    for method in (rail.concede, rail.retract):
        assert stage.refusal(method, payment, sender=stage.warden) == "NotParty"
    rail.rule(payment, True, stage.ruling(payment, True), sender=stage.stranger)
    assert stage.rail.totals()[1:4] == (0, 0, 0)
    stage.assert_conserved()


def test_compromise__of_another_device__opens_no_dispute_to_the_warden(stage):
    done = stage.settle(stage.claim())
    stage.enrol(NEW, DeviceSigner.p256(41))
    stage.wait(DAY)
    stage.registry.declareCompromised(NEW, stage.now - 5, sender=stage.registrar)
    found = stage.refusal(stage.rail.dispute, *done.dispute(), sender=stage.warden)
    assert found == "NotParty"


# --- claims, by the time of their events


def settled(stage, ends_at):
    """How a claim is answered whose events end at this time."""
    row = facts(0, KWH, ends_at - HOUR, ends_at)
    (code,) = stage.settle(stage.claim(facts=row)).refusals
    return stage.product.refusalName(code - 100) if code else ""


def test_attack__key_used_after_revocation__is_refused_by_the_time_of_its_events(stage):
    stage.wait(10 * DAY)
    stage.registry.revoke(DEVICE, sender=stage.registrar)
    revoked = stage.now
    stage.wait(DAY)
    assert settled(stage, revoked + HOUR) == "DeviceNotActive"
    assert settled(stage, revoked) == "DeviceNotActive"
    assert settled(stage, revoked - 1) == ""  # honest work of before is paid, however late


def test_attack__event_back_dated_into_a_compromise__is_refused(stage):
    stage.wait(10 * DAY)
    since = stage.now - 5 * DAY
    stage.registry.declareCompromised(DEVICE, since, sender=stage.registrar)
    assert settled(stage, since + HOUR) == "DeviceNotActive"
    assert settled(stage, since) == "DeviceNotActive"
    assert settled(stage, since - 1) == ""  # the rest of that defence is the oracles'


def test_claim__of_an_expired_key__is_refused_from_the_expiry_on(stage):
    new = DeviceSigner.p256(43)
    ends = stage.now + DAY
    arguments = rotate_arguments(stage, new, stage.key, expires_at=ends, device=DEVICE)
    stage.registry.rotate(*arguments, sender=stage.stranger)
    stage.wait(3 * DAY)
    assert settled(stage, ends) == "DeviceNotActive"
    assert settled(stage, ends - 1) == ""


# --- any history

LIVES, STEPS = 5, 14


def test_active_at__any_history_and_time__is_what_key_at_says(stage):
    seen = set()
    for seed in range(LIVES):
        life = History(stage, random.Random(seed), number=seed)
        for step in range(STEPS):
            life.step(near_the_end=step > STEPS - 4)
            stage.wait(life.dice.randrange(1, 3 * DAY))
        moments = {at + shift for at in life.moments for shift in (-1, 0, 1)}
        for at in sorted(moments | {stage.now + 400 * DAY}):
            expected = life.status_at(at)
            assert status_at(stage, at, life.device) == expected, (seed, at)
            seen.add(expected)
    assert seen == set(range(6)), "lives in which too little happened prove little"


class History:
    """A device led through a random life; what must be true of it is worked out from a list."""

    def __init__(self, stage, dice: random.Random, number: int) -> None:
        self.stage, self.dice = stage, dice
        self.device, self.numbers = bytes([90 + number]) * 32, count(9_000 + 100 * number)
        self.key, ends = self._key()
        stage.enrol(self.device, self.key, expires_at=ends)
        self.keys, self.changes = [(stage.now, ends)], [(stage.now, ACTIVE)]
        self.stolen, self.moments = 0, {stage.now, ends or stage.now}

    def _key(self) -> tuple[DeviceSigner, int]:
        ends = self.stage.now + self.dice.randrange(DAY, 12 * DAY)
        return DeviceSigner.p256(next(self.numbers)), self.dice.choice([0, ends, ends])

    def step(self, near_the_end: bool) -> None:
        acts = [self.rotate, self.rotate, self.suspend, self.resume, self.resume]
        act = self.dice.choice(acts + [self.revoke, self.steal] * near_the_end)
        if act():
            self.moments |= {self.stage.now, self.keys[-1][1] or self.stage.now}

    def send(self, method, *args) -> bool:
        if self.stage.refusal(method, *args, sender=self.stage.registrar):
            return False
        method(*args, sender=self.stage.registrar)
        return True

    def rotate(self) -> bool:
        new, ends = self._key()
        arguments = rotate_arguments(self.stage, new, self.key, len(self.keys), ends, self.device)
        if not self.send(self.stage.registry.rotate, *arguments):
            return False
        self.key = new
        self.keys.append((self.stage.now, ends))
        return True

    def _change(self, method, status: int) -> bool:
        done = self.send(method, self.device)
        if done:
            self.changes.append((self.stage.now, status))
        return done

    def suspend(self) -> bool:
        return self._change(self.stage.registry.suspend, SUSPENDED)

    def resume(self) -> bool:
        return self._change(self.stage.registry.resume, ACTIVE)

    def revoke(self) -> bool:
        return self._change(self.stage.registry.revoke, REVOKED)

    def steal(self) -> bool:
        since = self.stage.now - self.dice.randrange(1, 3 * DAY)
        if not self.send(self.stage.registry.declareCompromised, self.device, since):
            return False
        self.stolen = since
        self.moments.add(since)
        return True

    def status_at(self, time: int) -> int:
        known = [status for since, status in self.changes if since <= time]
        if not known:
            return NEVER
        if self.stolen and time >= self.stolen:
            return COMPROMISED
        ends = [ends for since, ends in self.keys if since <= time][-1]
        if known[-1] == ACTIVE and ends and time >= ends:
            return EXPIRED
        return known[-1]
