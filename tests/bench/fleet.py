"""One claim of a large fleet, step by step: `python -m tests.bench.fleet [METERS] [RECORDS]`."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from orchestrator.core.audit import verify as verify_bundle
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import sends
from orchestrator.products import products
from orchestrator.rebuild import rebuild
from orchestrator.steps.attest import attest
from orchestrator.steps.collect import collect, verify
from orchestrator.steps.settle import settle
from orchestrator.views.audit_bundle import export
from tests.support.fleet_rail import HEAD, FleetRail

console = Console(highlight=False, width=100)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print how long a step took, and the most memory of this process so far."""
    began = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    console.print(f"{what:<44}{time.perf_counter() - began:>8.2f} s   peak {peak:>5} MB")


def main() -> int:
    """Plays two periods of a fleet, and prints what the second one takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("meters", type=int, nargs="?", default=1_000)
    parser.add_argument("records", type=int, nargs="?", default=1, help="of each meter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proofrail-fleet-") as folder:
        rail = FleetRail(Path(folder) / "home", options.meters)
        try:
            _play(rail, options.records)
        finally:
            rail.stop()
    return 0


def _play(rail: FleetRail, count: int) -> None:
    with step("rail, enrolments, opening"):
        rail.start()
    console.print(f"opening: {_gas(rail, 'open'):,} gas")
    rail.fund(HEAD, 900_000)
    rail.work(4)
    _deliver(rail, count)
    rail.until(1, "posted")
    _deliver(rail, count)
    before = _gas(rail, "settle")
    with step("collect"):
        collect(rail.rail)
    with step("verify: derive the claim"):
        verify(rail.rail)
    with step("attest: four oracles derive it, one by one"):
        assert attest(rail.rail) == 1
    with step("settle: estimate, sign, send"):
        assert settle(rail.rail) == 1
    row = rail.until(2, "posted")
    gas, records = _gas(rail, "settle") - before, len(rail.meters) * count
    console.print(f"settlement: {gas:,} gas, {gas / records:,.0f} a record")
    console.print(f"facts: {len(row.facts) // 2:,} bytes, {row.amount_micro / 1e6:,.2f} EUR")
    with step("audit export"), rail.store.read() as session:
        bundle = export(session, row.payment_id, Deployment.load(rail.settings.deployment)).bundle
    console.print(f"bundle: {len(json.dumps(bundle)) / 2**20:.1f} MB")
    with step("audit verify"):
        assert verify_bundle(bundle, products()).ok
    with step("rebuild"):
        assert rebuild(rail.store, rail.chain).same


def _deliver(rail: FleetRail, count: int) -> None:
    end = rail.next_period()
    records = [
        rail.read(name, "0.02", end - 10 * (count - turn))
        for turn in range(count)
        for name in rail.meters
    ]
    with step(f"intake of {len(records):,} records by rail and oracles"):
        for start in range(0, len(records), 200):
            rail.deliver(*records[start : start + 200])
        rail.deliver(rail.close(end))


def _gas(rail: FleetRail, purpose: str) -> int:
    with rail.store.read() as session:
        return sends.gas_used(session, purpose)


if __name__ == "__main__":
    raise SystemExit(main())
