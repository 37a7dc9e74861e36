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

from scripts.with_ape import prepare  # noqa: E402

prepare(os.environ)  # before Ape looks for its node

import pytest  # noqa: E402

collect_ignore_glob: list[str] = []


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


@pytest.fixture(scope="module")
def deployed(artifacts):
    """The contracts and accounts of one test module; each test starts from here again."""
    from stage import Stage

    return Stage(artifacts)


@pytest.fixture
def stage(deployed):
    """A rail with a funded, live agreement on one enrolled device; undone after the test."""
    deployed.reset()
    return deployed
