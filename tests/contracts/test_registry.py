"""Device keys: proof of possession, rotation, status by time.

enrol
├── given a key that did not sign, or signed for another device, owner, chain, registry: revert
├── given a key or device already enrolled: revert
└── given proof of possession, on either curve, s low or high: it should be active from now on
rotate
├── given no signature of the old key, or none of the new one, or a used signature: revert
├── given both: the new key should be valid from now on, the old one until now
├── given the hour after a rotation, or a fifth within a day: it should revert and name the time
└── given hundreds of keys: a question by time should cost little more than with one
status: suspend, resume, revoke, declareCompromised; it should hold from its time on, not before
compromise
├── given a date more than a week back, or before the last ruling: revert, unless by ruling
└── given a ruling: it should set the date or take it away, once
The rest of a device's life: test_device_life.py; signatures on two hardforks: test_precompile.py.
"""

from __future__ import annotations

import pytest
from web3 import Web3

from tests.support.contracts.contract_rail import DAY, DEVICE, HOUR, MORE, NONE
from tests.support.contracts.device_keys import K1, P256, DeviceSigner
from tests.support.contracts.registry_alone import REGISTRAR_ROLE
from tests.support.contracts.settled import NOBODY

NEW = Web3.keccak(text="EVSE-2")
NEVER, ACTIVE, SUSPENDED, REVOKED, COMPROMISED = range(5)


def refusal(alone, *arguments, sender=None):
    return alone.refusal(alone.registry.enrol, *arguments, sender=sender or alone.registrar)


def key_at(alone, time, device=DEVICE):
    status, curve, x, y = alone.registry.keyAt(device, time)
    return status, curve, bytes(x), bytes(y)


@pytest.mark.parametrize("key", [DeviceSigner.p256(21), DeviceSigner.k1(22)])
@pytest.mark.parametrize("high", [False, True])
def test_enrol__proof_of_possession__is_valid_from_now_on(alone, key, high):
    arguments = alone.enrolment(NEW, key)
    arguments[-2:] = key.sign(key.enrolment(alone.registry.address, NEW, alone.owner.address), high)
    alone.registry.enrol(*arguments, sender=alone.registrar)
    assert key_at(alone, alone.now, NEW) == (ACTIVE, key.curve, key.x, key.y)
    assert key_at(alone, alone.now - 1, NEW) == (NEVER, 0, NONE, NONE)
    assert alone.registry.isActive(NEW) and alone.registry.ownerOf(NEW) == alone.owner


def test_enrol__signed_for_anything_else__reverts(alone):
    key = DeviceSigner.p256(21)
    good = alone.enrolment(NEW, key)
    registry, owner = alone.registry.address, alone.owner.address
    assert refusal(alone, *good) == ""
    wrong = [
        key.enrolment(registry, DEVICE, owner),
        key.enrolment(registry, NEW, alone.payer.address),
        key.enrolment(alone.committee.address, NEW, owner),
        key.enrolment(registry, NEW, owner, chain_id=1),
    ]
    for digest in wrong:
        assert refusal(alone, *good[:7], *key.sign(digest)) == "PossessionUnproven"
    other = DeviceSigner.p256(23).sign(key.enrolment(registry, NEW, owner))
    assert refusal(alone, *good[:7], *other) == "PossessionUnproven"
    assert refusal(alone, good[0], K1, *good[2:]) == "PossessionUnproven"
    assert refusal(alone, *good[:7], NONE, NONE) == "PossessionUnproven"
    assert refusal(alone, *good[:4], NOBODY, *good[5:]) == "OwnerMissing"


def test_enrol__device_or_key_known__reverts(alone):
    again = alone.enrolment(DEVICE, DeviceSigner.p256(21))
    assert refusal(alone, *again) == "DeviceExists"
    assert refusal(alone, *alone.enrolment(NEW, alone.key)) == "KeyTaken"


def test_rotate__signed_by_old_and_new__changes_the_key_from_now_on(alone):
    new, old = DeviceSigner.k1(31), alone.key
    alone.wait(DAY)
    alone.registry.rotate(*alone.rotation(new), sender=alone.stranger)
    assert key_at(alone, alone.now) == (ACTIVE, K1, new.x, new.y)
    assert key_at(alone, alone.now - 1) == (ACTIVE, P256, old.x, old.y)
    assert alone.registry.keyCount(DEVICE) == 2


def test_rotate__without_both_signatures__reverts(alone):
    new, thief = DeviceSigner.p256(31), DeviceSigner.p256(32)
    good = alone.rotation(new)

    def refusal(arguments):
        return alone.refusal(alone.registry.rotate, *arguments, sender=alone.registrar)

    assert refusal(good) == ""
    assert refusal(alone.rotation(new, old=thief)) == "RotationUnsigned"
    assert refusal([*good[:7], *thief.sign(NONE)]) == "PossessionUnproven"
    assert refusal(alone.rotation(new, keys=2)) == "RotationUnsigned"
    assert refusal(alone.rotation(alone.key)) == "KeyTaken"
    unknown = alone.rotation(new)
    unknown[0] = NEW
    assert refusal(unknown) == "DeviceUnknown"


def test_rotate__back_to_an_earlier_key__reverts(alone):
    new = DeviceSigner.p256(31)
    alone.registry.rotate(*alone.rotation(new), sender=alone.stranger)
    alone.wait(HOUR)
    back = alone.rotation(alone.key, old=new, keys=2)
    refusal = alone.refusal(alone.registry.rotate, *back, sender=alone.stranger)
    assert refusal == "KeyTaken"


def rotated(alone, numbers, spacing=6 * HOUR, old=None):
    """Rotate DEVICE's key as often as there are numbers; return the times."""
    times, old, keys = [], old or alone.key, alone.registry.keyCount(DEVICE)
    for secret in numbers:
        new = DeviceSigner.p256(secret)
        arguments = alone.rotation(new, old, keys)
        alone.registry.rotate(*arguments, sender=alone.stranger)
        times.append(alone.now)
        old, keys = new, keys + 1
        alone.wait(spacing)
    return times


def test_attack__key_rotated_again_and_again__is_refused_and_the_error_names_the_time(alone):
    """On 0.3.0 a key was rotated as often as gas allowed, and each claim paid for all of it."""
    registry = alone.registry
    assert registry.nextRotation(DEVICE) == 0
    times = rotated(alone, range(200, 204), spacing=HOUR)
    fifth = alone.rotation(DeviceSigner.p256(210), DeviceSigner.p256(203), 5)

    def refusal():
        return alone.refusal_args(registry.rotate, *fifth, sender=alone.stranger)

    day_over = times[0] + DAY
    assert refusal() == ("RotationTooSoon", (DEVICE, day_over))
    assert registry.nextRotation(DEVICE) == day_over
    alone.node.mine_at(day_over - 1)
    assert refusal()[0] == "RotationTooSoon"
    alone.node.mine_at(day_over)
    registry.rotate(*fifth, sender=alone.stranger)


def test_rotate__within_the_hour__reverts_but_not_right_after_the_enrolment(alone):
    key, first, second = (DeviceSigner.p256(number) for number in (220, 221, 222))
    alone.enrol(NEW, key)
    alone.registry.rotate(*alone.rotation(first, key, device=NEW), sender=alone.stranger)
    turned = alone.now
    again = alone.rotation(second, first, 2, device=NEW)
    alone.node.mine_at(turned + HOUR - 1)
    refusal = alone.refusal_args(alone.registry.rotate, *again, sender=alone.stranger)
    assert refusal == ("RotationTooSoon", (NEW, turned + HOUR))
    alone.node.mine_at(turned + HOUR)
    alone.registry.rotate(*again, sender=alone.stranger)


def test_attack__many_keys__a_question_by_time_stays_cheap(alone):
    """On 0.3.0 each key more cost each claim of an earlier time 2,200 gas, without an end."""
    registry = alone.registry
    long_ago = alone.now - 20 * DAY
    times = rotated(alone, [300])
    with_two = alone.gas(registry.activeAt, DEVICE, long_ago)
    times += rotated(alone, range(301, 364), old=DeviceSigner.p256(300))
    for index in (0, 20, 63):  # in the middle of the life of that key
        at = times[index] + HOUR
        expected = DeviceSigner.p256(300 + index)
        assert key_at(alone, at) == (ACTIVE, P256, expected.x, expected.y)
        assert key_at(alone, times[index] - 1)[2] != expected.x
    with_many = alone.gas(registry.activeAt, DEVICE, long_ago)
    assert with_many - with_two < 12 * 2_500  # eleven reads more, not 63


def test_rotate__device_not_active__reverts(alone):
    good = alone.rotation(DeviceSigner.p256(31))
    alone.registry.suspend(DEVICE, sender=alone.owner)
    refusal = alone.refusal(alone.registry.rotate, *good, sender=alone.stranger)
    assert refusal == "DeviceInStatus"


def test_status__suspended_and_resumed__holds_for_that_time_alone(alone):
    registry = alone.registry
    alone.wait(DAY)
    registry.suspend(DEVICE, sender=alone.owner)
    from_ = alone.now
    assert not registry.isActive(DEVICE)
    alone.wait(DAY)
    registry.resume(DEVICE, sender=alone.registrar)
    to = alone.now
    assert [key_at(alone, t)[0] for t in (from_ - 1, from_, to - 1, to)] == [
        ACTIVE,
        SUSPENDED,
        SUSPENDED,
        ACTIVE,
    ]


def test_status__revoked__is_final(alone):
    registry = alone.registry
    alone.wait(DAY)
    registry.suspend(DEVICE, sender=alone.registrar)
    registry.revoke(DEVICE, sender=alone.owner)
    assert key_at(alone, alone.now)[0] == REVOKED
    assert key_at(alone, alone.now - DAY // 2)[0] == ACTIVE
    for method in (registry.suspend, registry.resume, registry.revoke):
        assert alone.refusal(method, DEVICE, sender=alone.registrar) == "DeviceInStatus"


def declaration(alone, date, sender=None):
    """Error name and arguments of a declaration, "" if it would succeed."""
    method = alone.registry.declareCompromised
    return alone.refusal_args(method, DEVICE, date, sender=sender or alone.registrar)


def test_compromise__dated_back__holds_from_then_and_may_only_move_back(alone):
    registry = alone.registry
    since = alone.now - 5 * DAY
    for date in (0, alone.now + 60):
        assert declaration(alone, date)[0] == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since, sender=alone.owner)
    assert [key_at(alone, t)[0] for t in (since - 1, since)] == [ACTIVE, COMPROMISED]
    assert not registry.isActive(DEVICE)
    for date in (since, since + 1):
        assert declaration(alone, date)[0] == "CompromiseDateInvalid"
    registry.declareCompromised(DEVICE, since - DAY, sender=alone.registrar)
    assert key_at(alone, since - 1)[0] == COMPROMISED
    good = alone.rotation(DeviceSigner.p256(31))
    assert alone.refusal(registry.rotate, *good, sender=alone.owner) == "DeviceInStatus"


def test_attack__compromise_since_1970__reaches_a_week_back_at_most(alone):
    """On 0.3.0 an owner made everything worthless that its device had ever signed, at no cost."""
    registry = alone.registry
    for sender in (alone.owner, alone.registrar):
        name, (since, earliest) = declaration(alone, 1, sender)
        assert (name, since) == ("CompromiseNeedsRuling", 1)
        assert abs(earliest - (alone.now - 7 * DAY)) <= 1
    assert registry.declarableFrom(DEVICE) == alone.now - 7 * DAY
    assert declaration(alone, alone.now - 7 * DAY - 5)[0] == "CompromiseNeedsRuling"
    honest = alone.now - 8 * DAY
    registry.declareCompromised(DEVICE, alone.now - 7 * DAY + 5, sender=alone.owner)
    assert key_at(alone, honest)[0] == ACTIVE
    assert key_at(alone, alone.now - 6 * DAY)[0] == COMPROMISED


def test_attack__compromise_declared_falsely__a_ruling_undoes_it_and_the_owner_cannot_repeat_it(
    alone,
):
    """On 0.3.0 nobody could undo it; now honest work is good again, and stays so."""
    registry = alone.registry
    since = alone.now - 6 * DAY
    registry.declareCompromised(DEVICE, since, sender=alone.owner)
    (log,) = alone.rule(DEVICE, 0).events
    assert (log.event_name, bytes(log.device)) == ("CompromiseRuled", DEVICE)
    assert (log.since, log.number, log["at"]) == (0, 0, alone.now)
    ruled = alone.now
    assert registry.compromisedSince(DEVICE) == 0 and registry.isActive(DEVICE)
    assert key_at(alone, since)[0] == ACTIVE
    assert registry.declarableFrom(DEVICE) == ruled
    assert declaration(alone, ruled - 1) == ("CompromiseNeedsRuling", (ruled - 1, ruled))
    alone.wait(DAY)
    registry.declareCompromised(DEVICE, ruled, sender=alone.owner)
    assert [key_at(alone, t)[0] for t in (ruled - 1, ruled)] == [ACTIVE, COMPROMISED]


def test_ruling__further_back__holds_and_only_the_next_ruling_moves_it(alone):
    registry = alone.registry
    long_ago = alone.now - 29 * DAY
    alone.rule(DEVICE, long_ago)
    assert [key_at(alone, t)[0] for t in (long_ago - 1, long_ago)] == [ACTIVE, COMPROMISED]
    assert declaration(alone, long_ago - 1)[0] == "CompromiseNeedsRuling"
    alone.rule(DEVICE, long_ago + 9 * DAY)
    assert key_at(alone, long_ago)[0] == ACTIVE
    assert registry.compromiseRulings(DEVICE) == 2


def test_ruling__used_twice_or_not_for_exactly_this__reverts(alone):
    """Who keeps an old ruling could else bring its date back, or take a newer one away."""
    rule, since = alone.registry.ruleCompromise, alone.now - DAY
    first = alone.ruling(DEVICE, since)

    def refusal(device, date, signed):
        return alone.refusal(rule, device, date, signed, sender=alone.stranger)

    assert refusal(DEVICE, since, first) == ""
    assert refusal(DEVICE, since, []) == "QuorumMissing"
    assert refusal(DEVICE, since - 1, first) == "QuorumMissing"
    assert refusal(DEVICE, 0, first) == "QuorumMissing"
    assert refusal(MORE[0], since, first) == "QuorumMissing"
    future = alone.now + DAY
    assert refusal(DEVICE, future, alone.ruling(DEVICE, future)) == "CompromiseDateInvalid"
    assert refusal(NEW, since, alone.ruling(NEW, since)) == "DeviceUnknown"
    alone.registry.ruleCompromise(DEVICE, since, first, sender=alone.stranger)
    assert refusal(DEVICE, since, first) == "QuorumMissing"
    alone.rule(DEVICE, 0)
    assert refusal(DEVICE, since, first) == "QuorumMissing"


def test_ruling__undone__what_was_stopped_before_stays_stopped(alone):
    alone.registry.suspend(DEVICE, sender=alone.warden)
    alone.registry.declareCompromised(DEVICE, alone.now - 5, sender=alone.owner)
    alone.rule(DEVICE, 0)
    assert key_at(alone, alone.now)[0] == SUSPENDED
    alone.registry.resume(DEVICE, sender=alone.registrar)
    assert key_at(alone, alone.now)[0] == ACTIVE


def test_roles__enrol_resume_and_what_the_owner_may__name_the_role_that_is_missing(alone):
    registry = alone.registry
    assert registry.authority() == alone.access.address
    assert registry.committee() == alone.committee.address
    enrolment = alone.enrolment(NEW, DeviceSigner.p256(21))
    for sender in (alone.owner, alone.stranger, alone.warden, alone.steward):
        missing = ("NotInRole", (sender.lower(), REGISTRAR_ROLE))
        assert alone.refusal_args(registry.enrol, *enrolment, sender=sender) == missing
        assert alone.refusal_args(registry.resume, DEVICE, sender=sender) == missing
    for method, arguments in (
        (registry.revoke, [DEVICE]),
        (registry.declareCompromised, [DEVICE, alone.now]),
        (registry.suspend, [DEVICE]),
    ):
        assert alone.refusal(method, *arguments, sender=alone.stranger) == "NotInCharge"
        for sender in (alone.owner, alone.registrar):
            assert alone.refusal(method, *arguments, sender=sender) == ""


def test_roles__changed_in_the_access_manager__count_at_once(alone):
    """On 0.3.0 the registrar was fixed for ever: a stolen key of it could not be replaced."""
    registry, access = alone.registry, alone.access
    call = alone.enrolment(NEW, DeviceSigner.p256(21))
    access.revokeRole(REGISTRAR_ROLE, alone.registrar, sender=alone.steward)
    assert alone.refusal(registry.enrol, *call, sender=alone.registrar) == "NotInRole"
    access.grantRole(REGISTRAR_ROLE, alone.stranger, 0, sender=alone.steward)
    registry.enrol(*call, sender=alone.stranger)


def test_history__logs__rebuild_what_the_registry_answers(alone):
    new = DeviceSigner.p256(31)
    for action in ("suspend", "resume"):
        alone.wait(DAY)
        getattr(alone.registry, action)(DEVICE, sender=alone.registrar)
    alone.wait(DAY)
    receipt = alone.registry.rotate(*alone.rotation(new), sender=alone.owner)
    (log,) = receipt.events
    assert (bytes(log.x), bytes(log.y), log.curve, log["at"]) == (new.x, new.y, P256, alone.now)
