"""The start of the demonstration: every part of the rail, timed, and who takes part."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import islice

from orchestrator.edges.chain.artifacts import changed_files
from scripts.demo import deliveries, incidents, town, wearables
from scripts.demo.checklist import bar, done, step
from scripts.demo.deliveries import Deliveries
from scripts.demo.incidents import Incidents
from scripts.demo.scenario import DemoRun
from scripts.demo.wearables import DemoWearables
from scripts.deploy import ROOT
from scripts.devices.fleet import Fleet
from scripts.stack import DOMAINS, Stack

CHARGE_POINTS, METERS = 8, 1
FUNDED_CENTS = 150_000
RETIRED, UNKNOWN = "cp-retired", "cp-unknown"
SEED = 7
PEOPLE = (*town.PEOPLE, deliveries.BUYER, deliveries.CARRIER, *wearables.MERCHANTS)
PAYEES = (*town.PAYEES, deliveries.CARRIER, *wearables.MERCHANTS)


@dataclass
class DemoParties:
    """Who takes part. metering: the devices that measure every day."""

    fleet: Fleet
    metering: list[str]
    deliveries: Deliveries
    wearables: DemoWearables
    incidents: Incidents

    @property
    def enrolled(self) -> list[str]:
        """All devices that the registry knows."""
        return [*(name for name in self.fleet.devices if name != UNKNOWN), *self.wearables.bands]

    @property
    def agreements(self) -> int:
        """How many escrows there are to fill."""
        measuring = len(self.metering) + len((RETIRED, *incidents.NAMES))
        return measuring + len(deliveries.EXPECTED_MICRO) + len(self.wearables.bands)

    def run(self, stack: Stack) -> DemoRun:
        return DemoRun(
            stack, self.fleet, self.metering, self.deliveries, self.wearables, self.incidents
        )

    def close(self) -> None:
        self.fleet.close()
        self.wearables.close()


def start(stack: Stack) -> DemoParties:
    """The checklist: every part of the rail, timed."""
    seconds = json.loads((ROOT / ".venv" / "setup.json").read_text()).get("seconds", 0)
    done("environment", "Python and npm packages, locked by hash", seconds)
    stack.prepare()
    stack.prepare_rail()  # first, because it has the most modules to load
    compile_contracts(stack)
    step("chain", lambda: (stack.start_chain(), f"anvil at {stack.testnet.url}")[1])
    step("contracts", lambda: f"PaymentRail {stack.deploy().addresses['PaymentRail']}")
    step(
        "broker",
        lambda: (stack.start_broker(), "{broker} on {host}:{port}".format(**stack.broker))[1],
    )
    step("bank", lambda: (stack.start_bank(), stack.safeguarding["iban"])[1])
    stack.spawn_oracles()  # they start while devices are enrolled
    cast = gather(stack)
    step("devices", lambda: _install(stack, cast))
    step(
        "four oracles",
        lambda: (
            stack.start_oracles(),
            f"{len(DOMAINS)} trust domains: {', '.join(DOMAINS.values())}",
        )[1],
    )
    step("orchestrator", lambda: (stack.start_rail(), f"API at {stack.api_url}")[1])
    cast.wearables.open_shops()
    return cast


def compile_contracts(stack: Stack) -> None:
    """Load the shipped artifacts; with a bar where the sources changed, since solc takes long."""
    begun = time.monotonic()
    changed = changed_files()
    if changed:
        with bar("compiling contracts", len(changed), brief=True) as reached:
            stack.compile(lambda ready, _total: reached(ready))
        origin = f"{len(changed)} files changed: solc through py-solc-x"
    else:
        stack.compile()
        origin = "compiled already, sources unchanged"
    done("artifacts", f"{len(stack.artifacts)} contracts, {origin}", time.monotonic() - begun)


def gather(stack: Stack) -> DemoParties:
    """Makes all devices, with their keys and journals under the home."""
    fleet = Fleet(
        stack.home,
        CHARGE_POINTS,
        METERS,
        SEED,
        stack.start_at + 86_400,
        (stack.settings.keys / "receipt.pub.pem").read_bytes(),
    )
    metering = list(fleet.devices)
    fleet.add(RETIRED)
    fleet.add(UNKNOWN)
    return DemoParties(
        fleet,
        metering,
        Deliveries(stack, fleet, SEED),
        DemoWearables(stack, SEED),
        Incidents(stack, fleet),
    )


def _install(stack: Stack, cast: DemoParties) -> str:
    """A month ago on the chain's clock: people, devices, mandates; then the clock comes to now."""
    fleet, bands = cast.fleet, cast.wearables.bands
    passwords = stack.issue_devices(list(fleet.devices))
    town.settle_in(stack, PEOPLE, PAYEES)
    town.enrol(stack, fleet.devices | bands, cast.enrolled)
    measuring = [*cast.metering, RETIRED, *incidents.NAMES]
    mandates = [town.meter(stack, fleet[name]) for name in measuring[: -len(incidents.NAMES)]]
    mandates += cast.incidents.agree()
    references = iter(
        town.open_all(stack, [*mandates, *cast.deliveries.agree(), *cast.wearables.agree()])
    )
    stack.office.retire(RETIRED)
    stack.come_to_the_present()
    town.fund(stack, fleet, measuring, list(islice(references, len(measuring))), FUNDED_CENTS)
    cast.deliveries.fund(list(islice(references, len(deliveries.ARRIVING))))
    cast.wearables.fund(list(references))
    away = fleet.connect(stack.broker["host"], stack.broker["port"], passwords)
    if away:
        raise RuntimeError(f"devices not let in by the broker: {', '.join(away)}")
    return f"{len(cast.enrolled)} enrolled with own P-256 keys and agreements"
