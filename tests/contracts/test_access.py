"""Who may do what, and when: the steward's delay, the guardian's no, and the end of the set-up.

Each test is an attack on the access manager. On 0.3.0 one key seated a quorum at once.
RailAccess
├── steward: waits for each restricted call and each role; nothing shortens the wait
├── guardian: cancels all that waits, takes operating roles away at once, gives nothing
├── deployer: acts as steward until it renounces, gives no roles, leaves nothing scheduled
└── constructor: a short delay only on the local chain; three keys for steward, guardian, deployer
"""

from __future__ import annotations

from orchestrator.edges.chain.plan import Role
from services.testnet import Testnet
from tests.support.contracts.contract_rail import DAY, EURO, HOUR, _address
from tests.support.contracts.onchain import Node
from tests.support.contracts.powers_alone import DELAY

FRESH = _address(b"\5" * 32)
SET_AUTHORITY = "0x7a9e5e4b"  # setAuthority(address)


def seats(powers):
    """The functions that only the steward may call, with arguments."""
    committee, officers = powers.committee, powers.officers
    return [
        (committee.seat, FRESH, 1),
        (committee.unseat, _address(powers.oracles[0])),
        (officers.seat, FRESH),
        (officers.unseat, powers.payer),
    ]


def test_attack__steward_seats_a_quorum_at_once__must_wait_two_days(powers):
    """On 0.3.0 a stolen steward key seated a quorum of its own and settled in the same block."""
    for call in seats(powers):
        at_once = powers.refusal(*call, sender=powers.steward)
        assert at_once == "AccessManagerNotScheduled", call
        powers.schedule(*call)
        assert powers.refusal(*call, sender=powers.steward) == "AccessManagerNotReady"
    powers.wait(DELAY - 60)
    early = [powers.refusal(*call, sender=powers.steward) for call in seats(powers)]
    assert early == ["AccessManagerNotReady"] * 4
    powers.wait(60)
    for call in seats(powers):
        call[0](*call[1:], sender=powers.steward)
        assert powers.refusal(*call, sender=powers.steward) == "AccessManagerNotScheduled"


def test_attack__steward_executes_in_the_manager_s_name__waits_as_well(powers):
    data = powers.committee.seat.encode_input(FRESH, 1)
    execute = powers.access.execute
    refusal = powers.refusal(execute, powers.committee, data, sender=powers.steward)
    assert refusal == "AccessManagerNotScheduled"
    powers.schedule(powers.committee.seat, FRESH, 1)
    both = [
        powers.access.schedule.encode_input(powers.committee, data, 0),
        execute.encode_input(powers.committee, data),
    ]
    assert powers.refusal(powers.access.multicall, both, sender=powers.steward) != ""
    powers.wait(DELAY)
    execute(powers.committee, data, sender=powers.steward)
    assert powers.committee.memberOf(FRESH).seated is True


def test_attack__old_schedule_kept_for_later__expires_after_a_week(powers):
    call = (powers.committee.seat, FRESH, 1)
    powers.schedule(*call)
    powers.wait(DELAY + 7 * DAY)
    assert powers.refusal(*call, sender=powers.steward) == "AccessManagerExpired"


def test_guardian__all_that_is_scheduled__can_be_cancelled(powers):
    """Seats, roles, and its own removal: a stolen steward key gets nowhere while it watches."""
    access = powers.access
    calls = [
        *seats(powers),
        (access.grantRole, Role.STEWARD, powers.accomplice, DELAY),
        (access.grantRole, Role.MINTER, powers.accomplice, 0),
        (access.revokeRole, Role.GUARDIAN, powers.guardian),
        (access.revokeRole, Role.REGISTRAR, powers.registrar),
        (access.labelRole, Role.MINTER, "mint"),
    ]
    for call in calls:
        powers.schedule(*call)
        for other in (powers.stranger, powers.deployer, powers.minter, powers.warden):
            assert powers.cancel(*call, sender=other) == "AccessManagerUnauthorizedCancel"
        assert powers.cancel(*call, sender=powers.guardian) == "", call
    powers.wait(DELAY)
    for call in calls:
        assert powers.refusal(*call, sender=powers.steward) == "AccessManagerNotScheduled"


def test_guardian__more_power__has_no_way_to_it(powers):
    access = powers.access
    calls = [
        *seats(powers),
        (access.grantRole, Role.STEWARD, powers.accomplice, DELAY),
        (access.grantRole, Role.MINTER, powers.guardian, 0),
        (access.revokeRole, Role.STEWARD, powers.steward),
        (access.revokeRole, Role.ADMIN, powers.steward),
    ]
    for call in calls:
        refusal = powers.refusal(*call, sender=powers.guardian)
        assert refusal in ("AccessManagedUnauthorized", "AccessManagerUnauthorizedAccount"), call
        assert powers.may_schedule(*call, sender=powers.guardian) == "AccessManagerUnauthorizedCall"


def test_guardian__stolen_operating_key__loses_its_role_at_once(powers):
    """A stolen minter key would mint for two days while the steward waits."""
    holders = {
        Role.MINTER: powers.minter,
        Role.REGISTRAR: powers.registrar,
        Role.WARDEN: powers.warden,
    }
    for role, holder in holders.items():
        call = (powers.access.revokeRole, role, holder)
        assert powers.refusal(*call, sender=powers.steward) == "AccessManagerNotScheduled"
        stranger = powers.refusal(*call, sender=powers.stranger)
        assert stranger == "AccessManagerUnauthorizedAccount"
        powers.access.revokeRole(role, holder, sender=powers.guardian)
        assert powers.access.hasRole(role, holder)[0] is False
    mint = (powers.token.mint, b"\1" * 32, powers.minter, EURO)
    assert powers.refusal(*mint, sender=powers.minter) == "NotInRole"


def test_grant__a_new_minter__mints_only_after_the_delay(powers):
    grant = (powers.access.grantRole, Role.MINTER, powers.accomplice, 0)
    mint = (powers.token.mint, b"\1" * 32, powers.accomplice, EURO)
    assert powers.refusal(*grant, sender=powers.steward) == "AccessManagerNotScheduled"
    powers.schedule(*grant)
    assert powers.refusal(*mint, sender=powers.accomplice) == "NotInRole"
    powers.wait(DELAY)
    grant[0](*grant[1:], sender=powers.steward)
    assert powers.refusal(*mint, sender=powers.accomplice) == ""


def test_attack__accomplice_without_delay__is_refused_for_ever(powers):
    """A patient thief waits once, for an accomplice that never waits again."""
    for role in (Role.ADMIN, Role.STEWARD):
        for account in (powers.accomplice, powers.steward):
            for delay in (0, DELAY - 1):
                call = (powers.access.grantRole, role, account, delay)
                assert powers.after_delay(*call) == "DelayTooShort", call
    grant = (Role.STEWARD, powers.accomplice, DELAY)
    powers.do(powers.access.grantRole, *grant)
    call = (powers.committee.seat, FRESH, 1)
    assert powers.refusal(*call, sender=powers.accomplice) == "AccessManagerNotScheduled"


def test_attack__rules_of_the_manager_rewritten__nobody_can(powers):
    """Whoever says which role a function needs, or who grants a role, needs no delay any more."""
    access, seat = powers.access, bytes.fromhex("00000000")
    calls = [
        (access.setTargetFunctionRole, powers.committee, [seat], Role.MINTER),
        (access.setRoleAdmin, Role.STEWARD, Role.MINTER),
        (access.setRoleGuardian, Role.STEWARD, Role.MINTER),
        (access.setGrantDelay, Role.STEWARD, 0),
        (access.setTargetClosed, powers.committee, True),
        (access.setTargetAdminDelay, powers.committee, 0),
    ]
    for call in calls:
        assert powers.after_delay(*call) == "FixedForEver", call
    update = (access.updateAuthority, powers.committee, powers.accomplice)
    assert powers.after_delay(*update) == "FixedForEver"


def test_attack__contract_moved_to_another_manager__cannot_even_be_scheduled(powers):
    """`execute` reaches setAuthority past updateAuthority: a manager without delay would rule."""
    other = powers.deploy_access(0)
    data = bytes.fromhex(SET_AUTHORITY[2:]) + bytes(12) + bytes.fromhex(other.address[2:])
    for call in (powers.access.execute, powers.access.schedule):
        args = (powers.committee, data, 0) if call.name == "schedule" else (powers.committee, data)
        refusal = powers.refusal(call, *args, sender=powers.steward)
        assert refusal == "AccessManagerUnauthorizedCall"
    direct = powers.refusal(powers.committee.setAuthority, other, sender=powers.steward)
    assert direct == "AccessManagedUnauthorized"


def test_set_up__deployer__acts_at_once_until_it_renounces_and_gives_no_role(powers):
    """What a thief of the deployer's key could leave behind is visible, or impossible."""
    holders = (powers.steward, powers.guardian, powers.minter, powers.registrar, powers.warden)
    access = powers.deploy("RailAccess", powers.deployer, DELAY, holders)
    officers = powers.deploy("OfficerRegistry", access, [])
    assert access.setUpOpen() is True
    officers.seat(powers.payer, sender=powers.deployer)
    grants = [
        (access.grantRole, Role.STEWARD, powers.accomplice, DELAY),
        (access.grantRole, Role.ADMIN, powers.accomplice, DELAY),
        (access.grantRole, Role.MINTER, powers.accomplice, 0),
        (access.revokeRole, Role.GUARDIAN, powers.guardian),
    ]
    for call in grants:
        refusal = powers.refusal(*call, sender=powers.deployer)
        assert refusal == "AccessManagerUnauthorizedAccount"
    seat = officers.seat.encode_input(powers.accomplice)
    later = powers.refusal(access.schedule, officers, seat, 0, sender=powers.deployer)
    assert later == "AccessManagerUnauthorizedCall"  # nothing waits for the end of the set-up
    assert powers.refusal(officers.seat, FRESH, sender=powers.steward) != ""
    access.renounceRole(Role.STEWARD, powers.deployer, sender=powers.deployer)
    assert access.setUpOpen() is False
    after = powers.refusal(officers.seat, FRESH, sender=powers.deployer)
    assert after == "AccessManagedUnauthorized"
    execute = powers.refusal(access.execute, officers, seat, sender=powers.deployer)
    assert execute == "AccessManagerUnauthorizedCall"


def test_constructor__holders_missing_or_shared__refused(powers):
    good = [powers.steward, powers.guardian, powers.minter, powers.registrar, powers.warden]
    zero = "0x" + "00" * 20

    def refusal(deployer, *holders):
        return powers.creation_refusal("RailAccess", deployer, DELAY, holders)

    assert refusal(powers.deployer, *good) == ""
    assert refusal(zero, *good) == "HoldersInvalid"
    for index in range(1, 5):
        missing = [*good[:index], zero, *good[index + 1 :]]
        assert refusal(powers.deployer, *missing) == "HoldersInvalid", index
    assert refusal(powers.deployer, zero, *good[1:]) == "AccessManagerInvalidInitialAdmin"
    assert refusal(powers.steward, *good) == "HoldersInvalid"
    assert refusal(powers.guardian, *good) == "HoldersInvalid"
    assert refusal(powers.deployer, good[0], good[0], *good[2:]) == "HoldersInvalid"


def test_constructor__delay_below_a_day__only_on_the_local_chain(powers):
    holders = (powers.steward, powers.guardian, powers.minter, powers.registrar, powers.warden)
    assert powers.creation_refusal("RailAccess", powers.deployer, 0, holders) == ""
    with Testnet(chain_id=5_151) as chain:
        local, powers.node = powers.node, Node(chain.url)
        try:
            args = (powers.deployer, 24 * HOUR - 1, holders)
            assert powers.creation_refusal("RailAccess", *args) == "DelayTooShort"
            args = (powers.deployer, 24 * HOUR, holders)
            assert powers.creation_refusal("RailAccess", *args) == ""
        finally:
            powers.node = local


def test_officers__leaving_and_rejoining__work(powers):
    """On 0.3.0 who wrote the database seated officers, and a former one never came back."""
    officers = powers.officers
    assert set(officers.officers()) == {powers.payer, powers.warden}
    powers.do(officers.unseat, powers.payer)
    assert officers.isOfficer(powers.payer) is False
    assert powers.after_delay(officers.unseat, powers.payer) == "NotAnOfficer"
    powers.do(officers.seat, powers.payer)
    assert officers.isOfficer(powers.payer) is True
    for invalid in (powers.payer, "0x" + "00" * 20):
        assert powers.after_delay(officers.seat, invalid) == "OfficerInvalid"


def test_officers__silenced_by_the_guardian__at_once_until_seated_again(powers):
    officers = powers.officers
    for other in (powers.stranger, powers.steward, powers.payer):
        assert powers.refusal(officers.silence, powers.payer, sender=other) == "NotInRole"
    receipt = officers.silence(powers.payer, sender=powers.guardian)
    (log,) = receipt.events
    assert (log.event_name, log.officer, log.seated) == ("OfficerSilenced", powers.payer, 1)
    assert officers.isOfficer(powers.payer) is False
    again = powers.refusal(officers.silence, powers.payer, sender=powers.guardian)
    assert again == "NotAnOfficer"
    powers.do(officers.seat, powers.payer)
    assert officers.isOfficer(powers.payer) is True
