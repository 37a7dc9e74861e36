"""Every function that changes something, called by every role: only those named here may.

For each function the table says who passes the check of the caller, and how the others fail. A
function that no row speaks of fails the test, so that a new one cannot be forgotten.
"""

from __future__ import annotations

import pytest

from tests.support.contracts.contract_rail import ACCOUNT, DAY, DEVICE, EURO, _address
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.settled import plain_facts

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


def table(contracts):
    """contract, function, arguments, who may, error of those who may not."""
    member = _address(b"\3" * 32)
    key = DeviceSigner.p256(61)
    rail, token, registry = contracts.rail, contracts.token, contracts.registry
    enrolment = contracts.enrolment(FRESH, key)
    return [
        (rail, "allowProduct", [contracts.product, False], {"steward"}, "NotSteward"),
        (rail, "pause", [], {"guardian"}, "NotGuardian"),
        (rail, "unpause", [], {"steward"}, "NotSteward"),
        (rail, "close", [contracts.agreement], {"payer", "owner"}, "NotParty"),
        (rail, "reclaim", [contracts.over], ANYONE, ""),
        (rail, "repay", [1], {"payee"}, "NothingDue"),
        (rail, "onMint", [contracts.agreement, EURO], set(), "NotToken"),
        (rail, "dispute", contracts.open_dispute, {"payer"}, "NotParty"),
        (rail, "concede", [contracts.disputed], {"payee"}, "NotParty"),
        (rail, "retract", [contracts.disputed], {"payer"}, "NotParty"),
        (
            rail,
            "rule",
            [contracts.disputed, True, contracts.ruling(contracts.disputed, True)],
            ANYONE,
            "",
        ),
        (rail, "setPayoutAccount", [ACCOUNT], ANYONE, ""),
        (rail, "withdraw", [contracts.stranger, 1], {"payee"}, "BalanceShort"),
        (token, "mint", [b"\1" * 32, contracts.payer, 1], {"minter"}, "NotMinter"),
        (
            token,
            "mintToEscrow",
            [b"\1" * 32, rail, contracts.agreement, 1],
            {"minter"},
            "NotMinter",
        ),
        (contracts.committee, "seat", [member, 1], {"steward"}, "NotSteward"),
        (
            contracts.committee,
            "unseat",
            [_address(contracts.oracles[0])],
            {"steward"},
            "NotSteward",
        ),
        (registry, "enrol", enrolment, {"registrar"}, "NotRegistrar"),
        (registry, "suspend", [DEVICE], {"registrar", "owner", "warden"}, "NotInCharge"),
        (registry, "resume", [contracts.idle], {"registrar"}, "NotRegistrar"),
        (registry, "revoke", [DEVICE], {"registrar", "owner"}, "NotInCharge"),
        (registry, "declareCompromised", [DEVICE, 5], {"registrar", "owner"}, "NotInCharge"),
        (
            registry,
            "assign",
            [DEVICE, contracts.owner, contracts.idle, 0, 0, b""],
            {"owner"},
            "AssignmentUnsigned",
        ),
        (contracts.product, "open", [FRESH, DEVICE, b""], set(), "NotTheRail"),
        (contracts.product, "price", [[]], set(), "NotTheRail"),
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


def owe(contracts):
    """The payee owes two cents to an agreement, and lets the rail take them."""
    plain = contracts.add_product("PlainProduct", 0)
    (mine,) = contracts.agreements(1, product=plain.address, window=90 * DAY)
    contracts.settle(contracts.claim(mine, facts=plain_facts(-2)), product=plain)
    contracts.mint(2, to=contracts.payee)
    contracts.token.approve(contracts.rail, 2, sender=contracts.payee)


@pytest.fixture
def busy(contracts):
    """A rail on which every function of the table has something to do."""
    first, second, over = contracts.agreements(3, window=30 * DAY)
    disputed, open_ = (
        contracts.settle(contracts.claim(first)),
        contracts.settle(contracts.claim(second)),
    )
    contracts.rail.dispute(*disputed.dispute(), sender=contracts.payer)
    contracts.disputed, contracts.open_dispute = disputed.outcomes[0][0], open_.dispute()
    paid = contracts.settle(contracts.claim())
    contracts.idle = b"\7" * 32
    contracts.enrol(contracts.idle, DeviceSigner.p256(62))
    contracts.registry.suspend(contracts.idle, sender=contracts.registrar)
    contracts.rail.close(over, sender=contracts.payer)
    contracts.wait(DAY)
    contracts.rail.release(contracts.payee, [paid.release_at], sender=contracts.stranger)
    owe(contracts)
    short = contracts.mandate(device=b"\x08" * 32, expiry=contracts.now + DAY)
    contracts.enrol(short.device, DeviceSigner.p256(63))
    contracts.over = contracts.open(short)
    contracts.wait(2 * DAY)
    return contracts


def test_roles__every_function_and_role__only_the_named_pass(busy):
    wrong = []
    for contract, function, args, allowed, error in table(busy):
        for role in ROLES:
            refusal = busy.refusal(getattr(contract, function), *args, sender=getattr(busy, role))
            if refusal != ("" if role in allowed else error):
                wrong.append((function, role, refusal))
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
