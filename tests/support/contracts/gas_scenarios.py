"""The scenarios of tests/contracts/gas.json. As a program it measures, and writes them down."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT, deployable_files
from services.testnet import Testnet
from tests.support.contracts.contract_rail import EURO
from tests.support.contracts.gas_fleet import fleet_figures
from tests.support.contracts.gas_rail import GasRail, stranger

FILE = ROOT / "tests" / "contracts" / "gas.json"
DEVICES, PAYEES, OWN_TERMS, RECORDS = 1_000, 20, 100, 1_000


class ScenarioRail(GasRail):
    """A thousand agreements of twenty payees, and a hundred with terms of their own."""

    pace = 60

    def __init__(self, chain: Testnet, artifacts: dict[str, Any], journal: Path) -> None:
        super().__init__(chain, artifacts, journal, 0, 0)
        self.posted = 0
        chain.rpc("evm_setAutomine", False)
        self.common = [self.add(index, stranger(index % PAYEES)) for index in range(DEVICES)]
        self.own = sorted(
            self.add(DEVICES + index, stranger(index % PAYEES), cap=50 * EURO + index)
            for index in range(OWN_TERMS)
        )
        while int(chain.rpc("txpool_status")["pending"], 16):
            chain.rpc("anvil_mine")
        chain.rpc("evm_setAutomine", True)
        purse = b"purse".ljust(32), self.payer.address, 100 * EURO
        self.send("EuroToken", "mint", *purse, sender=self.plan.minter)
        self.begin()

    def post(self, contract: str, function: str, *args: Any, sender: str) -> None:
        """Send; twenty share a block, since a block of its own for each would fill the memory."""
        call = self._call(contract, function, args, sender)
        self.last = self.node.rpc("eth_sendTransaction", {**call, "gas": hex(1_500_000)})
        self.posted += 1
        if self.posted % 18 == 0:  # as many as a block takes
            self.chain.rpc("anvil_mine")

    def spread(self, count: int) -> list[bytes]:
        """Return `count` agreements of as many payees as there are, sorted as batches want them."""
        return sorted(self.common[:count])

    def transfer(self) -> int:
        call = "EuroToken", "transfer", stranger(0), 1
        self.send(*call, sender=self.payer.address)
        return self.send(*call, sender=self.payer.address)["gasUsed"]

    def disperse(self, count: int) -> int:
        payer = self.payer.address
        spender = self.create("Disperse")
        self.send("EuroToken", "approve", spender.address, 10**12, sender=payer)
        payees = [stranger(index) for index in range(count)]
        call = (self.at["EuroToken"].address, payees, [1] * count)
        self.send(spender, "disperse", *call, sender=payer)  # the second time nothing is new
        return self.send(spender, "disperse", *call, sender=payer)["gasUsed"]


def measured(rail: ScenarioRail) -> dict[str, float]:
    """Return {scenario: gas}, each for one record, claim, payee or signature as its name says."""
    everything = rail.spread(DEVICES)
    for start in range(0, DEVICES, 250):  # first claims pass counters by: each opens a list of gaps
        rail.settle(everything[start : start + 250])
    rail.settle(rail.own)
    gas = {size: rail.settle(rail.spread(size)) for size in (1, 10, 100, 1_000)}
    again = rail.settle(rail.spread(100))
    one_payee = rail.settle(sorted(rail.common[::PAYEES][:20]))
    many_payees = rail.settle(rail.spread(20))
    own = rail.settle(rail.own)
    return {
        "a claim alone": gas[1],
        "a claim of 10": gas[10] / 10,
        "a claim of 100": again / 100,
        "a claim of 1000": gas[1_000] / 1_000,
        "a record, 1000 records of 100 devices": again / RECORDS,
        "a record, 1000 records of 100 devices with terms of their own": own / RECORDS,
        "a record, 1000 records of 1000 devices": gas[1_000] / RECORDS,
        "a signature more": rail.signature_more(rail.spread(100)),
        "a payee more": (many_payees - one_payee) / (PAYEES - 1),
        **fleet_figures(rail),
        "for comparison: an ERC-20 transfer": rail.transfer(),
        "for comparison: a disperse to 100, for each": rail.disperse(100) / 100,
        "for comparison: a settlement for each record": gas[1],
    }


def table(figures: dict[str, float], written: dict[str, dict[str, float]]) -> str:
    rows = [
        f"{name:66} {gas:10,.0f} {written.get(name, {}).get('gas', 0):10,.0f} "
        f"{written.get(name, {}).get('most', 0):10,.0f}"
        for name, gas in figures.items()
    ]
    return "\n".join([f"{'gas':66} {'measured':>10} {'written':>10} {'most':>10}", *rows])


def main() -> int:
    """Measure, and write the figures down; what they may never exceed stays."""
    files = [*deployable_files(ROOT), *deployable_files(ROOT, "tests/contracts/sources")]
    artifacts = current_artifacts(files, ROOT / ".build" / "contracts")
    written = json.loads(FILE.read_text()) if FILE.exists() else {}
    with tempfile.TemporaryDirectory() as folder, Testnet() as chain:
        figures = measured(ScenarioRail(chain, artifacts, Path(folder) / "journal.json"))
    print(table(figures, written))
    rows = {name: written.get(name, {}) | {"gas": round(gas)} for name, gas in figures.items()}
    FILE.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
