"""What every development rail has in common: its accounts, its oracles, its plan of deployment.

The keys are those of the public development mnemonic. Chains other than the local one refuse them.
"""

from __future__ import annotations

from typing import Literal

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import product_contracts
from orchestrator.edges.chain.plan import DeploymentPlan

# (name, trust domain): two oracles of one utility, one of a bank, one of an auditor
ORACLES = (("utility-a", 1), ("utility-b", 1), ("bank", 2), ("auditor", 3))
# the trust domains whose oracles read with a library alone: half of the oracles, so that neither
# reader has a quorum by itself
LIBRARY_DOMAINS = (2, 3)
DOMAINS = {1: "utility", 2: "bank", 3: "auditor"}
DEVELOPMENT_WARDEN = 30  # after the accounts that the demo's parties use
# role -> index of its development account; the oracles have the accounts 5 to 8
ROLES = {
    "deployer": 0,
    "steward": 1,
    "guardian": 2,
    "minter": 3,
    "registrar": 4,
    "sender": 9,
    "warden": DEVELOPMENT_WARDEN,
}
FIRST_ORACLE = 5
OFFICERS = {"Ines Roth": 38, "Jan Vogel": 39}  # who approves payouts -> development account


def reader_of(domain: int) -> Literal["own", "library"]:
    """Return how the oracles of a trust domain read records (`oracles.readers`)."""
    return "library" if domain in LIBRARY_DOMAINS else "own"


def development_plan(first: int = 0) -> DeploymentPlan:
    """Return the plan of a development chain, whose keys are public; other chains refuse them.

    Args:
        first: index of the deployer's account. Then follow steward, guardian, minter, registrar
            and four oracles; account `first` + 30 is the warden, + 38 and + 39 are the officers.
    """
    account = [keystore.development_account(first + index) for index in range(9)]
    oracles = [oracle.address for oracle in account[FIRST_ORACLE:]]
    return DeploymentPlan(
        deployer=account[0],
        steward=account[1].address,
        guardian=account[2].address,
        minter=account[3].address,
        registrar=account[4].address,
        warden=keystore.development_account(first + DEVELOPMENT_WARDEN).address,
        members=tuple(zip(oracles, (domain for _, domain in ORACLES), strict=True)),
        products=product_contracts(),
        officers=tuple(keystore.development_account(first + n).address for n in OFFICERS.values()),
        delay_s=0,
    )
