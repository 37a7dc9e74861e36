"""Device keys: proof of possession, rotation, status by time.

enrol
├── given a key that did not sign, or signed for another device, owner, chain, registry: revert
├── given a key or device already enrolled: revert
└── given proof of possession, on either curve, s low or high: it should be active from now on
rotate
├── given no signature of the old key, or none of the new one, or a used signature: revert
└── given both: the new key should be valid from now on, the old one until now
status: suspend, resume, revoke, declareCompromised; it should hold from its time on, not before
The rest of a device's life: test_device_life.py; signatures on two hardforks: test_precompile.py.
"""

from __future__ import annotations

import pytest
from web3 import Web3

from tests.support.contracts.device_keys import K1, P256, DeviceSigner, rotation
from tests.support.contracts.settled import NOBODY
from tests.support.contracts.stage import DAY, DEVICE, NONE

NEW = Web3.keccak(text="EVSE-2")
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED = range(5)


def refusal(stage, *arguments, sender=None):
    return stage.refusal(stage.registry.enrol, *arguments, sender=sender or stage.registrar)


def key_at(stage, time, device=DEVICE):
    status, curve, x, y = stage.registry.keyAt(device, time)
    return status, curve, bytes(x), bytes(y)


@pytest.mark.parametrize("key", [DeviceSigner.p256(21), DeviceSigner.k1(22)])
@pytest.mark.parametrize("high", [False, True])
def test_enrol__proof_of_possession__is_valid_from_now_on(stage, key, high):
    arguments = stage.enrolment(NEW, key)
    arguments[-2:] = key.sign(key.enrolment(stage.registry.address, NEW, stage.owner.address), high)
    stage.registry.enrol(*arguments, sender=stage.registrar)
    assert key_at(stage, stage.now, NEW) == (ACTIVE, key.curve, key.x, key.y)
    assert key_at(stage, stage.now - 1, NEW) == (NEVER, 0, NONE, NONE)
    assert stage.registry.isActive(NEW) and stage.registry.ownerOf(NEW) == stage.owner


def test_enrol__signed_for_anything_else__reverts(stage):
    key = DeviceSigner.p256(21)
    good = stage.enrolment(NEW, key)
    registry, owner = stage.registry.address, stage.owner.address
    assert refusal(stage, *good) == ""
    wrong = [
        key.enrolment(registry, DEVICE, owner),
        key.enrolment(registry, NEW, stage.payee.address),
        key.enrolment(stage.token.address, NEW, owner),
        key.enrolment(registry, NEW, owner, chain_id=1),
    ]
    for digest in wrong:
        assert refusal(stage, *good[:7], *key.sign(digest)) == "PossessionUnproven"
    other = DeviceSigner.p256(23).sign(key.enrolment(registry, NEW, owner))
    assert refusal(stage, *good[:7], *other) == "PossessionUnproven"
    assert refusal(stage, good[0], K1, *good[2:]) == "PossessionUnproven"
    assert refusal(stage, *good[:7], NONE, NONE) == "PossessionUnproven"
    assert refusal(stage, *good[:4], NOBODY, *good[5:]) == "OwnerMissing"


def test_enrol__device_or_key_known__reverts(stage):
    again = stage.enrolment(DEVICE, DeviceSigner.p256(21))
    assert refusal(stage, *again) == "DeviceExists"
    assert refusal(stage, *stage.enrolment(NEW, stage.key)) == "KeyTaken"


def rotate_arguments(stage, new, old=None, keys=1):
    digest = rotation(stage.registry.address, DEVICE, new, keys)
    return [DEVICE, new.curve, new.x, new.y, 0, *(old or stage.key).sign(digest), *new.sign(digest)]


def test_rotate__signed_by_old_and_new__changes_the_key_from_now_on(stage):
    new, old = DeviceSigner.k1(31), stage.key
    stage.wait(DAY)
    stage.registry.rotate(*rotate_arguments(stage, new), sender=stage.stranger)
    assert key_at(stage, stage.now) == (ACTIVE, K1, new.x, new.y)
    assert key_at(stage, stage.now - 1) == (ACTIVE, P256, old.x, old.y)
    assert stage.registry.keyCount(DEVICE) == 2


def test_rotate__without_both_signatures__reverts(stage):
    new, thief = DeviceSigner.p256(31), DeviceSigner.p256(32)
    good = rotate_arguments(stage, new)

    def found(arguments):
        return stage.refusal(stage.registry.rotate, *arguments, sender=stage.registrar)

    assert found(good) == ""
    assert found(rotate_arguments(stage, new, old=thief)) == "RotationUnsigned"
    assert found([*good[:7], *thief.sign(NONE)]) == "PossessionUnproven"
    assert found(rotate_arguments(stage, new, keys=2)) == "RotationUnsigned"
    assert found(rotate_arguments(stage, stage.key)) == "KeyTaken"
    unknown = rotate_arguments(stage, new)
    unknown[0] = NEW
    assert found(unknown) == "DeviceUnknown"


def test_rotate__back_to_an_earlier_key__reverts(stage):
    new = DeviceSigner.p256(31)
    stage.registry.rotate(*rotate_arguments(stage, new), sender=stage.stranger)
    back = rotate_arguments(stage, stage.key, old=new, keys=2)
    found = stage.refusal(stage.registry.rotate, *back, sender=stage.stranger)
    assert found == "KeyTaken"


def test_rotate__device_not_active__reverts(stage):
    good = rotate_arguments(stage, DeviceSigner.p256(31))
    stage.registry.suspend(DEVICE, sender=stage.owner)
    found = stage.refusal(stage.registry.rotate, *good, sender=stage.stranger)
    assert found == "DeviceInStatus"


def test_status__suspended_and_resumed__holds_for_that_time_alone(stage):
    registry = stage.registry
    stage.wait(DAY)
    registry.suspend(DEVICE, sender=stage.owner)
    from_ = stage.now
    assert not registry.isActive(DEVICE)
    stage.wait(DAY)
    registry.resume(DEVICE, sender=stage.registrar)
    to = stage.now
    assert [key_at(stage, t)[0] for t in (from_ - 1, from_, to - 1, to)] == [
        ACTIVE,
        SUSPENDED,
        SUSPENDED,
        ACTIVE,
    ]


def test_status__revoked__is_final(stage):
    registry = stage.registry
    stage.wait(DAY)
    registry.suspend(DEVICE, sender=stage.registrar)
    registry.revoke(DEVICE, sender=stage.owner)
    assert key_at(stage, stage.now)[0] == REVOKED
    assert key_at(stage, stage.now - DAY // 2)[0] == ACTIVE
    for method in (registry.suspend, registry.resume, registry.revoke):
        assert stage.refusal(method, DEVICE, sender=stage.registrar) == "DeviceInStatus"


def test_compromise__dated_back__holds_from_then_and_may_only_move_back(stage):
    registry = stage.registry
    stage.wait(10 * DAY)
    since = stage.now - 5 * DAY

    def found(date):
        return stage.refusal(registry.declareCompromised, DEVICE, date, sender=stage.registrar)

    assert found(0) == found(stage.now + 60) == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since, sender=stage.owner)
    assert [key_at(stage, t)[0] for t in (since - 1, since)] == [ACTIVE, COMPROMISED]
    assert not registry.isActive(DEVICE)
    assert found(since) == found(since + 1) == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since - DAY, sender=stage.registrar)
    assert key_at(stage, since - 1)[0] == COMPROMISED
    good = rotate_arguments(stage, DeviceSigner.p256(31))
    assert stage.refusal(registry.rotate, *good, sender=stage.owner) == "DeviceInStatus"


def test_history__logs__rebuild_what_the_registry_answers(stage):
    new = DeviceSigner.p256(31)
    for action in ("suspend", "resume"):
        stage.wait(DAY)
        getattr(stage.registry, action)(DEVICE, sender=stage.registrar)
    stage.wait(DAY)
    receipt = stage.registry.rotate(*rotate_arguments(stage, new), sender=stage.owner)
    (log,) = receipt.events
    assert (bytes(log.x), bytes(log.y), log.curve, log["at"]) == (new.x, new.y, P256, stage.now)
