"""Whole rails for the flow tests: one shared rail, or an own one for tests that break it.

A worker runs one rail at a time, and none is left when the tests end, even if they fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import wheel
from tests.support.quick_keys import use_quick_keys
from tests.support.quick_store import use_quick_stores
from tests.support.whole_rail import SHORT, WholeRail

use_quick_stores()
use_quick_keys()


@pytest.fixture(scope="session")
def standing() -> Iterator[list[WholeRail]]:
    """Hold the shared rail while it runs."""
    rails: list[WholeRail] = []
    yield rails
    _end(rails)


@pytest.fixture(scope="module")
def rail(standing: list[WholeRail], tmp_path_factory: pytest.TempPathFactory) -> WholeRail:
    """Return the shared rail; it is replaced if a failed test left it broken."""
    if not (standing and standing[0].whole()):
        _end(standing)
        home = tmp_path_factory.mktemp("rail")
        standing.append(WholeRail(home, unfunded=[SHORT]).start())
    return standing[0]


@pytest.fixture(scope="module")
def paid_rail(rail: WholeRail) -> WholeRail:
    """Return the shared rail with at least two reconciled payments of every device."""
    while not _paid_twice(rail):
        rail.measure(3)
        rail.until_booked()
    rail.until_booked()  # including payments that another module left open
    return rail


@pytest.fixture(scope="module")
def own_rail(
    standing: list[WholeRail], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeRail]:
    """Return a rail that the module may break.

    It waits far longer for a missing record than devices need to resend it on a busy machine.
    """
    _end(standing)
    home = tmp_path_factory.mktemp("rail")
    rail = WholeRail(home, apart=3, finality_blocks=3, hole_patience_s=90).start()
    yield rail
    rail.stop()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return wheel.build(tmp_path_factory.mktemp("build"))


def _paid_twice(rail: WholeRail) -> bool:
    """Return whether each funded device has two payments; other modules add devices and theirs."""
    payments = Counter(row.agreement_id for row in rail.all_payments())
    return all(payments[rail.agreement(name).agreement_id] >= 2 for name in rail.funded)


def _end(rails: list[WholeRail]) -> None:
    while rails:
        rails.pop().stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests with the shared rail first, so that it is started once."""
    items.sort(key=lambda item: "own_rail" in getattr(item, "fixturenames", ()))
