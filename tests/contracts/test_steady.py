"""Steady rows: the rail does not ask about a device of which the registry has said nothing.

the row of a live agreement
├── given an end of the device, of any kind: it should be steady no more, and what is of after that
│   refused
├── given a device whose next agreement began: it should be asked about from then on
└── given a rail that does not watch: it should never be steady
watch: the steward after its delay, contracts alone, each once, eight at most
"""

from __future__ import annotations

from copy import copy

import pytest
from web3 import Web3

from oracles.attest import sign
from oracles.compromises import CompromiseRuling
from orchestrator.edges.chain.plan import Role
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import DAY, DEVICE, EURO, HOUR, KWH, MORE, facts
from tests.support.contracts.device_keys import DeviceSigner, rotation

NOT_ACTIVE = "DeviceNotActive"
MOST_WATCHERS = 8
LATER = 2 * HOUR  # when a device ends at the latest, from the act on


def suspend(contracts):
    contracts.registry.suspend(DEVICE, sender=contracts.warden)


def suspend_for_a_while(contracts):
    """It is active again afterwards; what is of the time between stays refused."""
    contracts.registry.suspend(DEVICE, sender=contracts.warden)
    contracts.wait(LATER + 2 * HOUR)
    contracts.registry.resume(DEVICE, sender=contracts.registrar)


def revoke(contracts):
    contracts.registry.revoke(DEVICE, sender=contracts.owner)


def declare(contracts):
    contracts.registry.declareCompromised(DEVICE, contracts.now, sender=contracts.owner)


def rule(contracts):
    registry, since = contracts.registry, contracts.now
    ruling = CompromiseRuling(registry.address, DEVICE, since, registry.compromiseRulings(DEVICE))
    digest = ruling.digest(CHAIN_ID, contracts.committee.address)
    signatures = [sign(digest, key) for key in contracts.oracles[:3]]
    registry.ruleCompromise(DEVICE, since, signatures, sender=contracts.stranger)


def rotate(contracts):
    """The next key ends after two hours."""
    new, ends = DeviceSigner.p256(43), contracts.now + LATER
    digest = rotation(contracts.registry.address, DEVICE, new, 1, ends)
    signed = (*contracts.key.sign(digest), *new.sign(digest))
    arguments = [DEVICE, new.curve, new.x, new.y, ends, *signed]
    contracts.registry.rotate(*arguments, sender=contracts.stranger)


ENDS = (suspend, suspend_for_a_while, revoke, declare, rule, rotate)


def steady(contracts, agreement=None):
    return contracts.rail.noteOf(agreement or contracts.agreement).steady


def read(contracts, sequence, ended, agreement=None):
    """How a claim is answered whose reading ended then; a kilowatt-hour each."""
    row = facts((sequence - 1) * KWH, sequence * KWH, ended - HOUR // 2, ended)
    settlement = contracts.settle(contracts.claim(agreement, sequence, facts=row))
    (code,) = settlement.refusals
    return contracts.product.refusalName(code - 100) if code else ""


@pytest.mark.parametrize("end", ENDS)
def test_device__that_ends__is_asked_about_and_later_claims_are_refused(contracts, end):
    contracts.wait(10 * DAY)
    began = contracts.now
    assert steady(contracts)
    assert read(contracts, 1, began - HOUR) == ""
    end(contracts)
    assert not steady(contracts)
    contracts.node.mine_at(max(contracts.now, began) + DAY)
    assert read(contracts, 2, began + LATER + HOUR) == NOT_ACTIVE
    assert read(contracts, 2, began - 1) == ""  # of before: paid, however late
    assert not steady(contracts)


def test_device__that_goes_on__stays_steady(contracts):
    """A rotation to a key without an end, and a second ruling that nothing was stolen."""
    new = DeviceSigner.p256(43)
    digest = rotation(contracts.registry.address, DEVICE, new, 1, 0)
    signed = (*contracts.key.sign(digest), *new.sign(digest))
    arguments = [DEVICE, new.curve, new.x, new.y, 0, *signed]
    contracts.registry.rotate(*arguments, sender=contracts.stranger)
    assert steady(contracts)
    assert read(contracts, 1, contracts.now) == ""


def test_device__suspended_and_resumed__is_steady_in_its_next_agreement_alone(contracts):
    (other,) = contracts.agreements(1)
    device = contracts.rail.agreementTerms(other).device
    contracts.registry.suspend(device, sender=contracts.warden)
    contracts.registry.resume(device, sender=contracts.registrar)
    assert not steady(contracts, other) and steady(contracts)
    contracts.rail.close(other, sender=contracts.payer)
    contracts.wait(HOUR)
    backdated = contracts.registry.steadySince
    assert backdated(device) == (1 << 40) - 1  # whoever does not watch hears nothing
    following = contracts.open(contracts.mandate(device=device, start=0))
    assert steady(contracts, following)


def test_agreement__that_begins_before_its_device_resumed__is_not_steady(contracts):
    device = next(contracts._spare)
    contracts.registry.suspend(device, sender=contracts.warden)
    contracts.registry.resume(device, sender=contracts.registrar)
    backdated = contracts.open(contracts.mandate(device=device))
    assert not steady(contracts, backdated)


@pytest.mark.parametrize(("seconds", "expected"), [(0, True), (-1, False)])
def test_agreement__that_begins_when_its_device_resumed__is_steady(contracts, seconds, expected):
    device = next(contracts._spare)
    contracts.registry.suspend(device, sender=contracts.warden)
    contracts.registry.resume(device, sender=contracts.registrar)
    begun = contracts.now + seconds
    agreement = contracts.open(contracts.mandate(device=device, start=begun))
    assert steady(contracts, agreement) is expected


@pytest.mark.parametrize(("stolen", "answer"), [(True, NOT_ACTIVE), (False, "")])
def test_attack__stolen_device__former_agreement_hears_of_it_too(contracts, stolen, answer):
    """Attack: the thief has the old agreement's grace to claim in, since the rail only informs the
    device's present agreement."""
    former = contracts.agreement
    contracts.wait(10 * DAY)
    contracts.rail.close(former, sender=contracts.payer)
    closed = contracts.now
    contracts.wait(HOUR)
    assert steady(contracts, former)
    present = contracts.open(contracts.mandate(start=0))
    contracts.mint(9 * EURO, present)
    assert bytes(contracts.rail.agreementOf(DEVICE)) == present
    assert (steady(contracts, former), steady(contracts, present)) == (False, True)
    if stolen:
        since = closed - 3 * HOUR
        contracts.registry.declareCompromised(DEVICE, since, sender=contracts.owner)
    assert read(contracts, 1, closed - HOUR, former) == answer
    assert steady(contracts, present) != stolen


# --- who watches


def another_rail(contracts):
    """A rail on the same devices, which nobody has named to the registry."""
    other = copy(contracts)
    other.rail = other.deploy_rail(other.committee, other.registry)
    other.consents = other.at("Consents", other.rail.consents())
    other.product = other.add_product("MeteredEnergy")
    return other


def test_rail__that_does_not_watch__has_no_steady_rows_and_asks_each_time(contracts):
    other = another_rail(contracts)
    first, second = MORE[:2]
    agreement = other.open(other.mandate(device=first))
    other.mint(9 * EURO, agreement)
    assert not steady(other, agreement)
    assert read(other, 1, other.now - HOUR, agreement) == ""
    other.registry.suspend(first, sender=other.warden)
    suspended = other.now
    other.wait(DAY)
    assert read(other, 2, suspended + HOUR, agreement) == NOT_ACTIVE
    other.registry.watch(other.rail, sender=other.steward)
    assert not steady(other, agreement)
    assert steady(other, other.open(other.mandate(device=second)))


def test_watchers__all_of_them__hear_of_each_end(contracts):
    other = another_rail(contracts)
    other.registry.watch(other.rail, sender=other.steward)
    both = [(rail, rail.open(rail.mandate(device=MORE[0]))) for rail in (contracts, other)]
    assert [steady(*one) for one in both] == [True, True]
    contracts.registry.revoke(MORE[0], sender=contracts.owner)
    assert [steady(*one) for one in both] == [False, False]


def test_watch__accounts_and_those_that_watch__are_refused_by_name(contracts):
    def refusal(watcher, sender=None):
        sender = sender or contracts.steward
        return contracts.refusal(contracts.registry.watch, watcher, sender=sender)

    assert refusal(contracts.stranger) == "WatcherInvalid"
    assert refusal(contracts.rail) == "WatcherInvalid"
    assert refusal(contracts.token) == ""
    for other in (contracts.registrar, contracts.warden, contracts.guardian, contracts.stranger):
        assert refusal(contracts.token, other) == "AccessManagedUnauthorized"
    watchers = [contracts.deploy("Trees") for _ in range(MOST_WATCHERS)]
    for watcher in watchers[1:]:
        assert refusal(watcher) == ""
        contracts.registry.watch(watcher, sender=contracts.steward)
    assert refusal(watchers[0]) == "WatcherInvalid"
    named = [contracts.registry.watchers(index) for index in range(MOST_WATCHERS)]
    assert named == [contracts.rail.address, *(watcher.address for watcher in watchers[1:])]


def test_watch__steward_with_a_delay__waits_for_it(contracts):
    other, access, steward = another_rail(contracts), contracts.access, contracts.steward
    for role in (Role.STEWARD, Role.ADMIN):
        access.grantRole(role, steward, 48 * HOUR, sender=steward)
    watch = contracts.registry.watch
    assert contracts.refusal(watch, other.rail, sender=steward) == "AccessManagerNotScheduled"
    call = watch.encode_input(other.rail)
    access.schedule(contracts.registry, call, 0, sender=steward)
    contracts.wait(47 * HOUR)
    assert contracts.refusal(watch, other.rail, sender=steward) == "AccessManagerNotReady"
    contracts.wait(HOUR)
    watch(other.rail, sender=steward)
    assert Web3.to_checksum_address(contracts.registry.watchers(1)) == other.rail.address
