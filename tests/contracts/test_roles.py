"""Every function that changes something, called by every role: only those named here may.

For each function the table says who passes the check of the caller, and how the others fail. A
function that no row speaks of fails the test, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import pytest

from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.settled import plain_facts
from tests.support.contracts.stage import ACCOUNT, DAY, DEVICE, EURO, _address

ROLES = (
    "steward",
    "guardian",
    "minter",
    "registrar",
    "warden",
    "payer",
    "payee",
    "owner",
    "stranger",
)
ANYONE = set(ROLES)
FRESH = b"\6" * 32


def table(stage):
    """contract, function, arguments, who may, error of those who may not."""
    member = _address(b"\3" * 32)
    key = DeviceSigner.p256(61)
    rail, token, registry = stage.rail, stage.token, stage.registry
    enrolment = stage.enrolment(FRESH, key)
    return [
        (rail, "allowProduct", [stage.product, False], {"steward"}, "NotSteward"),
        (rail, "pause", [], {"guardian"}, "NotGuardian"),
        (rail, "unpause", [], {"steward"}, "NotSteward"),
        (rail, "close", [stage.agreement], {"payer", "owner"}, "NotParty"),
        (rail, "reclaim", [stage.over], ANYONE, ""),
        (rail, "repay", [1], {"payee"}, "NothingDue"),
        (rail, "onMint", [stage.agreement, EURO], set(), "NotToken"),
        (rail, "dispute", stage.open_dispute, {"payer"}, "NotParty"),
        (rail, "concede", [stage.disputed], {"payee"}, "NotParty"),
        (rail, "retract", [stage.disputed], {"payer"}, "NotParty"),
        (rail, "rule", [stage.disputed, True, stage.ruling(stage.disputed, True)], ANYONE, ""),
        (rail, "setPayoutAccount", [ACCOUNT], ANYONE, ""),
        (rail, "withdraw", [stage.stranger, 1], {"payee"}, "BalanceShort"),
        (token, "mint", [b"\1" * 32, stage.payer, 1], {"minter"}, "NotMinter"),
        (token, "mintToEscrow", [b"\1" * 32, rail, stage.agreement, 1], {"minter"}, "NotMinter"),
        (stage.committee, "seat", [member, 1], {"steward"}, "NotSteward"),
        (stage.committee, "unseat", [_address(stage.oracles[0])], {"steward"}, "NotSteward"),
        (registry, "enrol", enrolment, {"registrar"}, "NotRegistrar"),
        (registry, "suspend", [DEVICE], {"registrar", "owner", "warden"}, "NotInCharge"),
        (registry, "resume", [stage.idle], {"registrar"}, "NotRegistrar"),
        (registry, "revoke", [DEVICE], {"registrar", "owner"}, "NotInCharge"),
        (registry, "declareCompromised", [DEVICE, 5], {"registrar", "owner"}, "NotInCharge"),
        (stage.product, "open", [FRESH, DEVICE, b""], set(), "NotTheRail"),
        (stage.product, "price", [[]], set(), "NotTheRail"),
    ]


# Open to all by design: the authority is a signature (or the caller's own balance), tested in the
# files of those functions.
BY_SIGNATURE = {
    "open",
    "settle",
    "fund",
    "release",
    "rotate",
    "reportEquivocation",
    "redeem",
    "approve",
    "transfer",
    "transferFrom",
    "permit",
    "transferWithAuthorization",
    "receiveWithAuthorization",
    "cancelAuthorization",
}


def owe(stage):
    """The payee owes two cents to an agreement, and lets the rail take them."""
    plain = stage.add_product("PlainProduct", 0)
    (mine,) = stage.agreements(1, product=plain.address, window=90 * DAY)
    stage.settle(stage.claim(mine, facts=plain_facts(-2)), product=plain)
    stage.mint(2, to=stage.payee)
    stage.token.approve(stage.rail, 2, sender=stage.payee)


@pytest.fixture
def busy(stage):
    """A rail on which every function of the table has something to do."""
    first, second, over = stage.agreements(3, window=30 * DAY)
    disputed, open_ = stage.settle(stage.claim(first)), stage.settle(stage.claim(second))
    stage.rail.dispute(*disputed.dispute(), sender=stage.payer)
    stage.disputed, stage.open_dispute = disputed.outcomes[0][0], open_.dispute()
    paid = stage.settle(stage.claim())
    stage.idle = b"\7" * 32
    stage.enrol(stage.idle, DeviceSigner.p256(62))
    stage.registry.suspend(stage.idle, sender=stage.registrar)
    stage.rail.close(over, sender=stage.payer)
    stage.wait(DAY)
    stage.rail.release(stage.payee, [paid.release_at], sender=stage.stranger)
    owe(stage)
    short = stage.mandate(device=b"\x08" * 32, expiry=stage.now + DAY)
    stage.enrol(short.device, DeviceSigner.p256(63))
    stage.over = stage.open(short)
    stage.wait(2 * DAY)
    return stage


def test_roles__every_function_and_role__only_the_named_pass(busy):
    wrong = []
    for contract, function, args, allowed, error in table(busy):
        for role in ROLES:
            found = busy.refusal(getattr(contract, function), *args, sender=getattr(busy, role))
            if found != ("" if role in allowed else error):
                wrong.append((function, role, found))
    assert wrong == []


def test_roles__every_state_changing_function__is_in_the_table(busy):
    spoken = {(row[0].address, row[1]) for row in table(busy)}
    forgotten = [
        (contract.contract_name, method.name)
        for contract in (busy.rail, busy.token, busy.committee, busy.registry, busy.product)
        for method in contract.mutable_methods
        if (contract.address, method.name) not in spoken and method.name not in BY_SIGNATURE
    ]
    assert forgotten == []
