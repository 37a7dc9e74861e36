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

from tests.support.contracts.contract_rail import DAY, DEVICE, NONE
from tests.support.contracts.device_keys import K1, P256, DeviceSigner, rotation
from tests.support.contracts.settled import NOBODY

NEW = Web3.keccak(text="EVSE-2")
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED = range(5)


def refusal(contracts, *arguments, sender=None):
    return contracts.refusal(
        contracts.registry.enrol, *arguments, sender=sender or contracts.registrar
    )


def key_at(contracts, time, device=DEVICE):
    status, curve, x, y = contracts.registry.keyAt(device, time)
    return status, curve, bytes(x), bytes(y)


@pytest.mark.parametrize("key", [DeviceSigner.p256(21), DeviceSigner.k1(22)])
@pytest.mark.parametrize("high", [False, True])
def test_enrol__proof_of_possession__is_valid_from_now_on(contracts, key, high):
    arguments = contracts.enrolment(NEW, key)
    arguments[-2:] = key.sign(
        key.enrolment(contracts.registry.address, NEW, contracts.owner.address), high
    )
    contracts.registry.enrol(*arguments, sender=contracts.registrar)
    assert key_at(contracts, contracts.now, NEW) == (ACTIVE, key.curve, key.x, key.y)
    assert key_at(contracts, contracts.now - 1, NEW) == (NEVER, 0, NONE, NONE)
    assert contracts.registry.isActive(NEW) and contracts.registry.ownerOf(NEW) == contracts.owner


def test_enrol__signed_for_anything_else__reverts(contracts):
    key = DeviceSigner.p256(21)
    good = contracts.enrolment(NEW, key)
    registry, owner = contracts.registry.address, contracts.owner.address
    assert refusal(contracts, *good) == ""
    wrong = [
        key.enrolment(registry, DEVICE, owner),
        key.enrolment(registry, NEW, contracts.payee.address),
        key.enrolment(contracts.token.address, NEW, owner),
        key.enrolment(registry, NEW, owner, chain_id=1),
    ]
    for digest in wrong:
        assert refusal(contracts, *good[:7], *key.sign(digest)) == "PossessionUnproven"
    other = DeviceSigner.p256(23).sign(key.enrolment(registry, NEW, owner))
    assert refusal(contracts, *good[:7], *other) == "PossessionUnproven"
    assert refusal(contracts, good[0], K1, *good[2:]) == "PossessionUnproven"
    assert refusal(contracts, *good[:7], NONE, NONE) == "PossessionUnproven"
    assert refusal(contracts, *good[:4], NOBODY, *good[5:]) == "OwnerMissing"


def test_enrol__device_or_key_known__reverts(contracts):
    again = contracts.enrolment(DEVICE, DeviceSigner.p256(21))
    assert refusal(contracts, *again) == "DeviceExists"
    assert refusal(contracts, *contracts.enrolment(NEW, contracts.key)) == "KeyTaken"


def rotate_arguments(contracts, new, old=None, keys=1):
    digest = rotation(contracts.registry.address, DEVICE, new, keys)
    return [
        DEVICE,
        new.curve,
        new.x,
        new.y,
        0,
        *(old or contracts.key).sign(digest),
        *new.sign(digest),
    ]


def test_rotate__signed_by_old_and_new__changes_the_key_from_now_on(contracts):
    new, old = DeviceSigner.k1(31), contracts.key
    contracts.wait(DAY)
    contracts.registry.rotate(*rotate_arguments(contracts, new), sender=contracts.stranger)
    assert key_at(contracts, contracts.now) == (ACTIVE, K1, new.x, new.y)
    assert key_at(contracts, contracts.now - 1) == (ACTIVE, P256, old.x, old.y)
    assert contracts.registry.keyCount(DEVICE) == 2


def test_rotate__without_both_signatures__reverts(contracts):
    new, thief = DeviceSigner.p256(31), DeviceSigner.p256(32)
    good = rotate_arguments(contracts, new)

    def refusal(arguments):
        return contracts.refusal(contracts.registry.rotate, *arguments, sender=contracts.registrar)

    assert refusal(good) == ""
    assert refusal(rotate_arguments(contracts, new, old=thief)) == "RotationUnsigned"
    assert refusal([*good[:7], *thief.sign(NONE)]) == "PossessionUnproven"
    assert refusal(rotate_arguments(contracts, new, keys=2)) == "RotationUnsigned"
    assert refusal(rotate_arguments(contracts, contracts.key)) == "KeyTaken"
    unknown = rotate_arguments(contracts, new)
    unknown[0] = NEW
    assert refusal(unknown) == "DeviceUnknown"


def test_rotate__back_to_an_earlier_key__reverts(contracts):
    new = DeviceSigner.p256(31)
    contracts.registry.rotate(*rotate_arguments(contracts, new), sender=contracts.stranger)
    back = rotate_arguments(contracts, contracts.key, old=new, keys=2)
    refusal = contracts.refusal(contracts.registry.rotate, *back, sender=contracts.stranger)
    assert refusal == "KeyTaken"


def test_rotate__device_not_active__reverts(contracts):
    good = rotate_arguments(contracts, DeviceSigner.p256(31))
    contracts.registry.suspend(DEVICE, sender=contracts.owner)
    refusal = contracts.refusal(contracts.registry.rotate, *good, sender=contracts.stranger)
    assert refusal == "DeviceInStatus"


def test_status__suspended_and_resumed__holds_for_that_time_alone(contracts):
    registry = contracts.registry
    contracts.wait(DAY)
    registry.suspend(DEVICE, sender=contracts.owner)
    from_ = contracts.now
    assert not registry.isActive(DEVICE)
    contracts.wait(DAY)
    registry.resume(DEVICE, sender=contracts.registrar)
    to = contracts.now
    assert [key_at(contracts, t)[0] for t in (from_ - 1, from_, to - 1, to)] == [
        ACTIVE,
        SUSPENDED,
        SUSPENDED,
        ACTIVE,
    ]


def test_status__revoked__is_final(contracts):
    registry = contracts.registry
    contracts.wait(DAY)
    registry.suspend(DEVICE, sender=contracts.registrar)
    registry.revoke(DEVICE, sender=contracts.owner)
    assert key_at(contracts, contracts.now)[0] == REVOKED
    assert key_at(contracts, contracts.now - DAY // 2)[0] == ACTIVE
    for method in (registry.suspend, registry.resume, registry.revoke):
        assert contracts.refusal(method, DEVICE, sender=contracts.registrar) == "DeviceInStatus"


def test_compromise__dated_back__holds_from_then_and_may_only_move_back(contracts):
    registry = contracts.registry
    contracts.wait(10 * DAY)
    since = contracts.now - 5 * DAY

    def refusal(date):
        return contracts.refusal(
            registry.declareCompromised, DEVICE, date, sender=contracts.registrar
        )

    assert refusal(0) == refusal(contracts.now + 60) == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since, sender=contracts.owner)
    assert [key_at(contracts, t)[0] for t in (since - 1, since)] == [ACTIVE, COMPROMISED]
    assert not registry.isActive(DEVICE)
    assert refusal(since) == refusal(since + 1) == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since - DAY, sender=contracts.registrar)
    assert key_at(contracts, since - 1)[0] == COMPROMISED
    good = rotate_arguments(contracts, DeviceSigner.p256(31))
    assert contracts.refusal(registry.rotate, *good, sender=contracts.owner) == "DeviceInStatus"


def test_history__logs__rebuild_what_the_registry_answers(contracts):
    new = DeviceSigner.p256(31)
    for action in ("suspend", "resume"):
        contracts.wait(DAY)
        getattr(contracts.registry, action)(DEVICE, sender=contracts.registrar)
    contracts.wait(DAY)
    receipt = contracts.registry.rotate(*rotate_arguments(contracts, new), sender=contracts.owner)
    (log,) = receipt.events
    assert (bytes(log.x), bytes(log.y), log.curve, log["at"]) == (new.x, new.y, P256, contracts.now)
