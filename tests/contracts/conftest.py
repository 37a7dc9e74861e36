"""Give each contract test a fresh rail on a real chain.

Contracts are compiled once and deployed once in a run; modules and tests begin from snapshots.
"""

from __future__ import annotations

from copy import copy

import pytest

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT, deployable_files
from services.testnet import Testnet
from tests.support.contracts.contract_rail import ContractRail
from tests.support.contracts.forks import HARDFORKS, Fork
from tests.support.contracts.onchain import Node
from tests.support.contracts.powers_alone import PowersAlone
from tests.support.contracts.registry_alone import RegistryAlone
from tests.support.contracts.registry_fork import RegistryFork
from tests.support.contracts.voucher_contract import SOURCES, VoucherContract


@pytest.fixture(scope="session")
def artifacts():
    """What ships, and what only tests need. test_shipped.py says that it ships as it compiles."""
    files = [*deployable_files(ROOT), *deployable_files(ROOT, "tests/contracts/sources")]
    return current_artifacts(files, ROOT / ".build" / "contracts")


@pytest.fixture(scope="session")
def forks(artifacts, tmp_path_factory):
    """Return a function that returns the rail of a hardfork, deployed at its first use."""
    started: dict[str, Fork] = {}

    def fork_of(hardfork: str) -> Fork:
        if hardfork not in started:
            journal = tmp_path_factory.mktemp(hardfork) / "journal.json"
            chain = Testnet(hardfork=hardfork).start()
            started[hardfork] = Fork(hardfork, chain, artifacts, journal)
        return started[hardfork]

    yield fork_of
    for fork in started.values():
        fork.chain.stop()


@pytest.fixture(scope="module", params=HARDFORKS)
def fork(request, forks):
    """A deployed rail on a chain with the P-256 precompile, then on one without (forks.Fork).

    What a module did is undone after it.
    """
    fork = forks(request.param)
    start = fork.node.snapshot()
    yield fork
    fork.node.restore(start)


@pytest.fixture(scope="session")
def first_contracts(artifacts):
    """The rail that all modules begin from."""
    with Testnet() as chain:
        node = Node(chain.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)  # else fast blocks share a second
        yield ContractRail(artifacts, node)


@pytest.fixture(scope="module")
def deployed(first_contracts):
    """The contracts and accounts of one test module, which may add its own; undone after it."""
    start = first_contracts.node.snapshot()
    yield copy(first_contracts)
    first_contracts.node.restore(start)


@pytest.fixture
def contracts(deployed):
    """A rail with a funded, live agreement on one enrolled device; undone after the test."""
    start = deployed.node.snapshot()
    deployed.reset()
    yield deployed
    deployed.node.restore(start)


@pytest.fixture(scope="session")
def first_registry():
    """The registry that tests about devices alone begin from."""
    with Testnet() as chain:
        node = Node(chain.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        yield RegistryAlone(node)


@pytest.fixture
def alone(first_registry):
    """A registry without a rail, with enrolled devices; undone after the test."""
    start = first_registry.node.snapshot()
    yield first_registry
    first_registry.node.restore(start)


@pytest.fixture(scope="session")
def first_powers():
    """The access manager that tests about seats and roles alone begin from."""
    with Testnet() as chain:
        node = Node(chain.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        yield PowersAlone(node)


@pytest.fixture
def powers(first_powers):
    """An access manager of 48 hours, committee, officers and token; undone after the test."""
    start = first_powers.node.snapshot()
    yield first_powers
    first_powers.node.restore(start)


@pytest.fixture(scope="module", params=HARDFORKS)
def voucher_contract(request):
    """WearableVoucher with test accounts as rail and steward, on both hardforks."""
    with Testnet(hardfork=request.param) as chain:
        yield VoucherContract(RegistryFork(request.param, chain, SOURCES))
