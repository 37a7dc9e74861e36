"""A plan of a deployment: what is refused before anything is sent, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.address import to_checksum_address

from orchestrator.edges.chain.ethereum import Account
from orchestrator.edges.chain.keystore import LOCAL_CHAIN, development_account
from orchestrator.edges.chain.plan import DeploymentPlan, Role, refuse_unsafe
from orchestrator.errors import Halt
from services.development import development_plan

ELSEWHERE = 5_151
HOUR = 3_600


def address(number: int) -> str:
    return to_checksum_address(f"0x{number:040x}")


def plan_of_strangers(**changes) -> DeploymentPlan:
    """Return a plan without public keys."""
    plain = DeploymentPlan(
        deployer=Account.from_key(b"\7" * 32),
        steward=address(1),
        guardian=address(2),
        minter=address(3),
        registrar=address(4),
        warden=address(5),
        members=tuple((address(10 + n), 1 + n % 3) for n in range(4)),
        products=("MeteredEnergy",),
        officers=(address(20), address(21)),
    )
    return replace(plain, **changes)


def test_refuse__good_plan_or_development_plan_at_home__passes():
    refuse_unsafe(plan_of_strangers(), ELSEWHERE)
    refuse_unsafe(plan_of_strangers(delay_s=24 * HOUR), ELSEWHERE)
    refuse_unsafe(development_plan(), LOCAL_CHAIN)


PUBLIC = development_account(39).address
UNSAFE = {
    "known to everybody": {"officers": (PUBLIC,)},
    "the steward's delay is 0 hours": {"delay_s": 0},
    "the steward's delay is 23": {"delay_s": 24 * HOUR - 60},
    "takes 24 to 720 hours": {"delay_s": 721 * HOUR},
    "share a key": {"guardian": address(1)},
    "is listed twice": {"officers": (address(20), address(20))},
    "or an officer is listed twice": {"members": ((address(10), 1), (address(10), 2))},
    "fewer than 2 trust domains": {"members": ((address(10), 1), (address(11), 1))},
}


@pytest.mark.parametrize(("problem", "changes"), UNSAFE.items())
def test_refuse__unsafe_plan_off_the_local_chain__names_the_problem(problem, changes):
    with pytest.raises(Halt, match=problem) as refused:
        refuse_unsafe(plan_of_strangers(**changes), ELSEWHERE)
    assert "Nothing was sent" in str(refused.value)


def test_lines__name_every_role_contract_and_the_delay():
    plan = plan_of_strangers()
    text = "\n".join(plan.lines())
    assert all(account in text for account in plan.addresses())
    assert all(f"create {contract}" in text for contract in plan.contracts)
    assert "each action waits 48 hours" in text
    assert set(plan.holders()) == set(Role) and plan.holders()[Role.ADMIN] == plan.steward
