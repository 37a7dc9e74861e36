"""Promises each contract test a fresh rail on a real chain, through Ape.

Runs as `python -m scripts.with_ape test tests/contracts`, or with plain pytest as
`pytest tests/contracts -p ape_test`. The artifacts are the rail's own, from the shared cache.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import pytest  # noqa: E402

from scripts.testnet import Testnet  # noqa: E402
from scripts.with_ape import CHAIN_HOST, chain_for_ape, prepare  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Before Ape looks for a node: a chain of ours, unless whoever started us made one."""
    if config.pluginmanager.hasplugin("ape_test") and CHAIN_HOST not in os.environ:
        prepare(os.environ)
        chain = chain_for_ape().start()
        os.environ[CHAIN_HOST] = chain.url
        config.add_cleanup(chain.stop)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without Ape's plugin there is no chain: the folder is left to the run that has it."""
    if collection_path.suffix == ".py" and not config.pluginmanager.hasplugin("ape_test"):
        return True
    return None


@pytest.fixture(scope="session")
def artifacts():
    from orchestrator.edges.chain.compiler import build

    cache = ROOT / ".build" / "contracts"
    return {**build(ROOT, cache), **build(ROOT, cache, "tests/contracts/sources")}


@pytest.fixture(scope="module", params=["osaka", "prague"])
def fork(request, artifacts, tmp_path_factory):
    """A deployed rail on a chain with the P-256 precompile, then on one without (forks.Fork)."""
    from forks import Fork

    journal = tmp_path_factory.mktemp(request.param) / "journal.json"
    with Testnet(hardfork=request.param) as chain:
        yield Fork(request.param, chain, artifacts, journal)


@pytest.fixture(scope="module")
def deployed(artifacts):
    """The contracts and accounts of one test module; each test starts from here again."""
    from stage import Stage

    return Stage(artifacts)


@pytest.fixture
def stage(deployed):
    """A rail with a funded, live agreement on one enrolled device; undone after the test.

    Ape undoes tests too, but where it cannot it says nothing, and the next test would suffer.
    """
    from ape import chain

    start = chain.provider.make_request("evm_snapshot", [])
    deployed.reset()
    yield deployed
    assert chain.provider.make_request("evm_revert", [start]), "the test could not be undone"
