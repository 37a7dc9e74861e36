"""Promises each contract test a fresh rail on a real chain.

Contracts are compiled once and deployed once in a run; modules and tests begin from snapshots.
"""

from __future__ import annotations

from copy import copy

import pytest

from orchestrator.edges.chain.compiler import build
from scripts.testnet import ROOT, Testnet
from tests.support.contracts.forks import HARDFORKS, Fork
from tests.support.contracts.onchain import Node
from tests.support.contracts.stage import Stage


@pytest.fixture(scope="session")
def artifacts():
    cache = ROOT / ".build" / "contracts"
    return {**build(ROOT, cache), **build(ROOT, cache, "tests/contracts/sources")}


@pytest.fixture(scope="session")
def forks(artifacts, tmp_path_factory):
    """A function that returns the deployed rail of a hardfork; each is made at its first use."""
    made: dict[str, Fork] = {}

    def fork_of(hardfork: str) -> Fork:
        if hardfork not in made:
            journal = tmp_path_factory.mktemp(hardfork) / "journal.json"
            chain = Testnet(hardfork=hardfork).start()
            made[hardfork] = Fork(hardfork, chain, artifacts, journal)
        return made[hardfork]

    yield fork_of
    for fork in made.values():
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
def first_stage(artifacts):
    """The rail that all modules begin from."""
    with Testnet() as chain:
        node = Node(chain.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)  # else fast blocks share a second
        yield Stage(artifacts, node)


@pytest.fixture(scope="module")
def deployed(first_stage):
    """The contracts and accounts of one test module, which may add its own; undone after it."""
    start = first_stage.node.snapshot()
    yield copy(first_stage)
    first_stage.node.restore(start)


@pytest.fixture
def stage(deployed):
    """A rail with a funded, live agreement on one enrolled device; undone after the test."""
    start = deployed.node.snapshot()
    deployed.reset()
    yield deployed
    deployed.node.restore(start)
