"""Every function that changes something, called by every role: only those named here may.

For each function the table says who passes the check of the caller and what they then get, and
how the others fail. The functions come from the ABIs: one that no row speaks of fails the test, so
that a new one cannot be forgotten. Contracts call as well: the rail, its parts, the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.plan import Role
from orchestrator.products import products
from orchestrator.products.index.leaf import IndexProduct
from tests.support.contracts.challenged import NO_CASE
from tests.support.contracts.contract_rail import ACCOUNT, DAY, DEVICE, EURO, HOUR, _address
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.settled import NOBODY, arguments, plain_facts
from tests.support.contracts.waterfalls import create, terms_of

PEOPLE = (
    "steward",
    "guardian",
    "minter",
    "registrar",
    "warden",
    "deployer",
    "payer",
    "payee",
    "owner",
    "officer",
    "oracle",
    "stranger",
)
CONTRACTS = (
    "access",
    "committee",
    "registry",
    "token",
    "rail",
    "disputes",
    "consents",
    "challenges",
    "product",
)
ROLES = (*PEOPLE, *CONTRACTS)
ANYONE = frozenset(ROLES)
NO_ONE: frozenset[str] = frozenset()
REFUSED = "?"  # refused, and by which error depends on the caller
FRESH = b"\6" * 32
FREE = _address(b"\3" * 32)
SIGNATURE = (27, b"\1" * 32, b"\2" * 32)


@dataclass(frozen=True)
class Row:
    """Who may call a function, what they get ("" is success), and how all others fail."""

    contract: Any
    function: str
    args: list[Any]
    may: frozenset[str] | set[str]
    others: str = ""
    answer: str = ""

    def expected(self, role: str) -> str:
        return self.answer if role in self.may else self.others


def access_rows(c):
    """The access manager; the steward's delay is 0 here, test_access.py has one of 48 hours."""
    access, seat = c.access, c.committee.seat.encode_input(FREE, 1)
    unknown = "AccessManagerUnauthorizedAccount"
    fixed = [
        ("setTargetFunctionRole", [c.committee, [seat[:4]], Role.MINTER]),
        ("setRoleAdmin", [Role.MINTER, Role.MINTER]),
        ("setRoleGuardian", [Role.STEWARD, Role.MINTER]),
        ("setGrantDelay", [Role.MINTER, 1]),
        ("setTargetClosed", [c.committee, True]),
        ("setTargetAdminDelay", [c.committee, 1]),
    ]
    return [
        Row(access, "grantRole", [Role.MINTER, FREE, 0], {"steward"}, unknown),
        Row(access, "revokeRole", [Role.MINTER, c.minter], {"steward", "guardian"}, unknown),
        Row(access, "labelRole", [Role.MINTER, "mint"], {"steward"}, unknown),
        Row(
            access,
            "renounceRole",
            [Role.WARDEN, c.warden],
            {"warden"},
            "AccessManagerBadConfirmation",
        ),
        Row(access, "execute", [c.committee, seat], {"steward"}, "AccessManagerUnauthorizedCall"),
        Row(access, "schedule", [c.committee, seat, 0], NO_ONE, "AccessManagerUnauthorizedCall"),
        Row(access, "cancel", [c.steward, c.committee, seat], NO_ONE, "AccessManagerNotScheduled"),
        Row(access, "consumeScheduledOp", [c.steward, seat], NO_ONE, REFUSED),
        Row(access, "multicall", [[]], ANYONE),
        *(Row(access, name, args, {"steward"}, unknown, "FixedForEver") for name, args in fixed),
    ]


def seat_rows(c):
    """Committee, officers and the authority of what is managed."""
    stranger = "AccessManagedUnauthorized"
    member, testimony = _address(c.oracles[0]), (FREE, [], 0, (FRESH, 1, 1, 2, FRESH, b""), b"")
    managed = (c.committee, c.officers, c.registry, c.rail, c.voucher, c.delivery)
    return [
        Row(c.committee, "seat", [FREE, 1], {"steward"}, stranger),
        Row(c.committee, "unseat", [member], {"steward"}, stranger),
        Row(c.committee, "silence", [member], {"guardian"}, "NotInRole"),
        Row(
            c.committee,
            "reportEquivocation",
            [c.rail, testimony, testimony],
            ANYONE,
            answer="NotEquivocation",
        ),
        Row(
            c.committee,
            "reportRulings",
            [c.rail, FRESH, b"", b""],
            ANYONE,
            answer="ECDSAInvalidSignatureLength",
        ),
        Row(c.committee, "setChallenges", [c.rail, FREE], {"steward"}, stranger),
        Row(c.committee, "stopChallenges", [c.rail], {"guardian"}, "NotInRole"),
        Row(c.committee, "barAttesters", [c.rail, FRESH, 0], {"challenges"}, "NotChallenges"),
        Row(c.officers, "seat", [FREE], {"steward"}, stranger),
        Row(c.officers, "unseat", [c.officer], {"steward"}, stranger),
        Row(c.officers, "silence", [c.officer], {"guardian"}, "NotInRole"),
        # the manager itself never calls it: test_access.py
        *(Row(at, "setAuthority", [c.committee], {"access"}, stranger) for at in managed),
    ]


def registry_rows(c):
    """Devices: registrar, warden, and each device's owner."""
    registry, key, in_charge = c.registry, DeviceSigner.p256(61), {"registrar", "owner"}
    new_key = [0, key.x, key.y, 0, *[b"\1" * 32] * 4]
    return [
        Row(registry, "enrol", c.enrolment(FRESH, key), {"registrar"}, "NotInRole"),
        Row(registry, "suspend", [DEVICE], in_charge | {"warden"}, "NotInCharge"),
        Row(registry, "resume", [c.idle], {"registrar"}, "NotInRole"),
        Row(registry, "revoke", [DEVICE], in_charge, "NotInCharge"),
        Row(registry, "declareCompromised", [DEVICE, c.now], in_charge, "NotInCharge"),
        Row(registry, "rotate", [DEVICE, *new_key], ANYONE, answer="RotationUnsigned"),
        Row(registry, "ruleCompromise", [DEVICE, 5, []], ANYONE, answer="QuorumMissing"),
        Row(
            registry, "watch", [c.rail], {"steward"}, "AccessManagedUnauthorized", "WatcherInvalid"
        ),
        Row(registry, "adopt", [FRESH], ANYONE, answer="DeviceUnknown"),
        Row(registry, "adoptMany", [[FRESH]], ANYONE, answer="DeviceUnknown"),
        Row(
            registry,
            "assign",
            [DEVICE, c.owner, c.idle, 0, 0, b""],
            {"owner"},
            "AssignmentUnsigned",
        ),
        Row(c.consents, "revokeConsents", [DEVICE], {"owner"}, "NotOwner"),
    ]


def token_rows(c):
    """The token: minting needs the role, all else the caller's own money or a signature."""
    token, short, unsigned = c.token, "ERC20InsufficientBalance", "ERC3009InvalidSignature"
    transfer = [c.payer, c.payee, 1, 0, 1, FRESH, *SIGNATURE]
    rich = {"payer"}
    return [
        Row(token, "mint", [b"\1" * 32, c.payer, 1], {"minter"}, "NotInRole"),
        Row(
            token,
            "mintToEscrow",
            [b"\1" * 32, c.rail, c.agreement, 1],
            {"minter"},
            "NotInRole",
        ),
        Row(token, "redeem", [c.payee, ACCOUNT, EURO], rich | {"rail", "disputes"}, short),
        Row(token, "transfer", [c.payee, EURO], rich | {"rail", "disputes"}, short),
        Row(token, "approve", [c.payee, EURO], ANYONE),
        Row(
            token,
            "transferFrom",
            [c.payer, c.payee, EURO],
            {"rail", "disputes"},
            "ERC20InsufficientAllowance",
        ),
        Row(
            token,
            "permit",
            [c.payer, c.payee, 1, 0, *SIGNATURE],
            ANYONE,
            answer="ERC2612ExpiredSignature",
        ),
        Row(token, "transferWithAuthorization", transfer, ANYONE, answer=unsigned),
        Row(token, "receiveWithAuthorization", transfer, ANYONE, answer=unsigned),
        Row(
            token,
            "cancelAuthorization",
            [c.payer, FRESH, *SIGNATURE],
            ANYONE,
            answer=unsigned,
        ),
    ]


def rail_rows(c):
    """The rail and its disputes."""
    rail, disputes, managed = c.rail, c.disputes, "AccessManagedUnauthorized"
    batch = c.batch(c.claim(sequence=9))
    ruling = [c.disputed, True, c.ruling(c.disputed, True)]
    return [
        Row(rail, "allowProduct", [c.product], {"steward"}, managed),
        Row(rail, "disallowProduct", [c.product], {"guardian"}, "NotInRole"),
        Row(rail, "pause", [], {"guardian"}, "NotInRole"),
        Row(rail, "unpause", [], {"steward"}, managed, "NotYetDue"),  # it is not paused
        Row(rail, "sweep", [c.steward], {"steward"}, managed),
        Row(rail, "open", c.opening(c.mandate(device=c.spare)), ANYONE),
        Row(rail, "close", [c.agreement], {"payer", "owner"}, "NotParty"),
        Row(rail, "skip", [c.agreement, 2, 30, b"", b""], ANYONE, answer="SkipUnsigned"),
        Row(rail, "reclaim", [c.over], ANYONE),
        Row(rail, "fund", [c.agreement, 1], {"payer", "payee"}, "ERC20InsufficientAllowance"),
        Row(rail, "deviceChanged", [DEVICE], {"registry"}, "NotRegistry"),
        Row(rail, "onMint", [c.agreement, EURO], {"token"}, "NotToken"),
        Row(rail, "settle", [*(arguments(batch),), []], ANYONE, answer="QuorumMissing"),
        Row(rail, "release", [c.payee, [c.due]], ANYONE),
        Row(rail, "repay", [1], {"payee"}, "NothingDue"),
        Row(rail, "withdraw", [c.stranger, 1], {"payee"}, "BalanceShort"),
        Row(rail, "setPayoutAccount", [ACCOUNT, 0], ANYONE),
        Row(rail, "freeze", c.open_dispute, {"disputes"}, "NotDisputes"),
        Row(rail, "unfreeze", [c.disputed, True], {"disputes"}, "NotDisputes"),
        Row(disputes, "dispute", c.open_dispute, {"payer"}, "NotParty"),
        Row(disputes, "concede", [c.disputed], {"payee"}, "NotParty"),
        Row(disputes, "retract", [c.disputed], {"payer"}, "NotParty"),
        Row(disputes, "rule", ruling, ANYONE),
        Row(disputes, "expire", [c.disputed], ANYONE, answer="NotExpired"),
        Row(disputes, "uphold", c.open_dispute, {"challenges"}, "NotChallenges"),
        Row(c.challenges, "challenge", [NO_CASE], ANYONE, answer="UnknownAgreement"),
    ]


def product_rows(c):
    """Products answer the rail alone; vouchers are linked by the steward."""
    managed, voucher = "AccessManagedUnauthorized", c.voucher
    signed = empty_voucher(c)
    rows = [
        Row(voucher, "setPredecessor", [NOBODY], {"steward"}, managed, "LinkInvalid"),
        Row(c.delivery, "setPredecessor", [NOBODY], {"steward"}, managed, "PredecessorInvalid"),
        Row(voucher, "setSuccessor", [NOBODY], {"steward"}, managed, "LinkInvalid"),
        Row(voucher, "passOn", [FRESH], NO_ONE, "NotSuccessor"),
        Row(
            voucher,
            "reportDoubleSpend",
            [voucher, signed, b"", signed, b""],
            ANYONE,
            answer="NotDoubleSpend",
        ),
    ]
    for product in (c.product, c.fleet, c.delivery, voucher, *c.leaves):
        rows += [
            Row(product, "open", [FRESH, DEVICE, 0, b""], {"rail"}, "NotTheRail", REFUSED),
            Row(product, "price", [[], 0, b""], {"rail"}, "NotTheRail"),
            Row(product, "refunded", [FRESH, 1], {"rail"}, "NotTheRail"),
            Row(product, "skipped", [FRESH, 0], {"rail"}, "NotTheRail"),
        ]
    proof, cover = [c.agreement, *c.open_dispute[1:]], c.leaves[2]
    return [*rows, Row(cover, "provePremium", proof, {"payee"}, "NotInsured", "PremiumInvalid")]


def empty_voucher(c):
    """Return a voucher with nothing in it."""
    abi = c.artifacts["WearableVoucher"].abi
    report = next(item for item in abi if item.get("name") == "reportDoubleSpend")
    empty = {"bytes32": bytes(32), "address": NOBODY}
    return tuple(empty.get(part["type"], 0) for part in report["inputs"][1]["components"])


def waterfall_rows(c):
    """A waterfall has no roles: its holders take, and anyone may help them."""
    waterfall, fresh = c.waterfall, terms_of({c.payer: 10_000}).as_tuple()
    return [
        Row(c.waterfalls, "create", [fresh], ANYONE),
        Row(waterfall, "take", [], {"payee", "owner"}, "NothingToTake"),
        Row(waterfall, "payOut", [c.owner], ANYONE),
        Row(waterfall, "pull", [c.rail], ANYONE),
    ]


POWERS = (access_rows, seat_rows, registry_rows)
TABLES = (*POWERS, token_rows, rail_rows, product_rows, waterfall_rows)


def owe(contracts):
    """The payee owes two cents to an agreement, and lets the rail take them."""
    plain = contracts.add_product("PlainProduct", 0)
    (mine,) = contracts.agreements(1, product=plain.address, window=90 * DAY)
    contracts.settle(contracts.claim(mine, facts=plain_facts(3)), product=plain)
    owed = contracts.claim(mine, sequence=2, facts=plain_facts(-2))
    contracts.settle(owed, product=plain)
    contracts.mint(2, to=contracts.payee)
    contracts.token.approve(contracts.rail, 2, sender=contracts.payee)


@pytest.fixture
def busy(contracts):
    """A rail on which every function of the tables has something to do."""
    c = contracts
    c.delivery, c.voucher = c.add_product("ProofOfDelivery"), c.add_product("WearableVoucher")
    c.fleet = c.add_product("MeteredFleet")
    index = (rules for rules in products().values() if isinstance(rules, IndexProduct))
    c.leaves = [c.add_product(rules.CONTRACT) for rules in index]
    c.officer, c.oracle = _address(b"\4" * 32), _address(c.oracles[0])
    c.officers.seat(c.officer, sender=c.steward)
    short = c.mandate(device=b"\x08" * 32, expiry=c.now + DAY)
    c.enrol(short.device, DeviceSigner.p256(63))
    c.over = c.open(short)
    c.node.mine_at(c.rail.agreementEnd(c.over)[0] + 1)
    c.now0 = c.now
    first, second = c.agreements(2, window=30 * DAY)
    (third,) = c.agreements(1)
    c.disputed = c.dispute(c.settle(c.claim(first)))
    c.open_dispute = c.settle(c.claim(second)).dispute()
    paid, later = c.settle(c.claim()), c.settle(c.claim(third))
    c.due = later.release_at
    c.idle, c.spare = b"\7" * 32, b"\x09" * 32
    c.enrol(c.idle, DeviceSigner.p256(62))
    c.registry.suspend(c.idle, sender=c.registrar)
    c.enrol(c.spare, DeviceSigner.p256(64))
    c.wait(2 * DAY)
    c.rail.release(c.payee, [paid.release_at], sender=c.stranger)
    owe(c)
    c.mint(6 * EURO)
    c.token.transfer(c.rail, 1, sender=c.payer)  # belongs to nobody
    for spender in (c.rail, c.disputes):
        c.token.approve(spender, 2 * EURO, sender=c.payer)
    c.waterfalls = c.deploy("Waterfalls", c.rail, c.token)
    c.waterfall = create(c, terms_of({c.payee: 5_000, c.owner: 5_000}))
    c.mint(EURO, to=c.waterfall)
    c.rail.setPayoutAccount(ACCOUNT, 0, sender=c.owner)
    return c


def sender_of(contracts, role):
    account = getattr(contracts, role)
    return getattr(account, "address", account)


def test_roles__every_function_and_role__only_the_named_pass(busy, record_property):
    wrong = []
    every_row = [row for rows in TABLES for row in rows(busy)]
    record_property("functions", len(every_row))  # a line of `make assurance`
    record_property("roles", len(ROLES))
    for row in every_row:
        for role in ROLES:
            method = row.contract.method(row.function)
            refusal = busy.refusal(method, *row.args, sender=sender_of(busy, role))
            expected = row.expected(role)
            if refusal != expected and not (expected == REFUSED and refusal):
                wrong.append((row.contract.contract_name, row.function, role, refusal))
    assert wrong == []


def test_roles__every_state_changing_function__is_in_a_table(busy):
    spoken = {(row.contract.address, row.function) for rows in TABLES for row in rows(busy)}
    parts = (busy.access, busy.committee, busy.officers, busy.registry, busy.consents, busy.token)
    priced = (busy.product, busy.fleet, busy.delivery, busy.voucher, *busy.leaves)
    shared = (busy.waterfalls, busy.waterfall)
    everything = (*parts, busy.rail, busy.disputes, busy.challenges, *priced, *shared)
    forgotten = [
        (contract.contract_name, method.name)
        for contract in everything
        for method in contract.mutable_methods
        if (contract.address, method.name) not in spoken
    ]
    assert forgotten == []


def test_roles__every_contract_that_ships__is_in_a_table(busy):
    """A contract is not forgotten either: the artifacts say which there are."""
    spoken = {row.contract.contract_name for rows in TABLES for row in rows(busy)}
    assert {name for name in load_artifacts() if "@" not in name} == spoken


def test_roles__steward_with_a_delay__waits_for_each_restricted_function(busy):
    """On 0.3.0 the steward alone seated a quorum and listed products, at once."""
    access, steward = busy.access, busy.steward
    rows = [row for rows in TABLES for row in rows(busy) if row.may == {"steward"}]
    for role in (Role.STEWARD, Role.ADMIN):
        access.grantRole(role, steward, 48 * HOUR, sender=steward)
    at_once = {
        (row.contract.contract_name, row.function)
        for row in rows
        if busy.refusal(row.contract.method(row.function), *row.args, sender=steward)
        != "AccessManagerNotScheduled"
    }
    assert at_once == set() and len(rows) >= 17
