"""Whole rails for the flow tests: one that stands for all who leave it whole, or one of one's own.

Only one rail runs at a time, and none is left when the tests end, also when they fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.whole_rail import WholeRail

SHORT = "cp-short"  # an agreement that nobody has funded yet


@pytest.fixture(scope="session")
def standing() -> Iterator[list[WholeRail]]:
    """The shared rail while it stands."""
    rails: list[WholeRail] = []
    yield rails
    _end(rails)


@pytest.fixture(scope="module")
def rail(standing: list[WholeRail], tmp_path_factory: pytest.TempPathFactory) -> WholeRail:
    """The rail that modules share; one that a failed test left broken is replaced."""
    if not (standing and standing[0].whole()):
        _end(standing)
        home = tmp_path_factory.mktemp("rail")
        standing.append(WholeRail(home, unfunded=[SHORT]).start())
    return standing[0]


@pytest.fixture(scope="module")
def paid_rail(rail: WholeRail) -> WholeRail:
    """The shared rail with payments of every device on the bank's books, also ones that stand on
    an earlier payment's last record."""
    while len(rail.all_payments()) < 2 * len(rail.funded):
        rail.measure(3)
        rail.until_reconciled()
    rail.until_reconciled()  # also what another module left on its way
    return rail


@pytest.fixture(scope="module")
def own_rail(
    standing: list[WholeRail], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WholeRail]:
    """A rail that the module may break; it waits far longer for a record than devices take to
    send it again, also on a machine that has much else to do."""
    _end(standing)
    home = tmp_path_factory.mktemp("rail")
    rail = WholeRail(home, finality_blocks=3, hole_patience_s=90).start()
    yield rail
    rail.stop()


def _end(rails: list[WholeRail]) -> None:
    while rails:
        rails.pop().stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a rail come first, so that it is started once."""
    items.sort(key=lambda item: "own_rail" in getattr(item, "fixturenames", ()))
