"""Start the demonstration: every part of the rail, timed, and its parties and devices."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from itertools import islice

from scripts.demo import deliveries, incidents, measured, parties, wearables
from scripts.demo.checklist import bar, done, step
from scripts.demo.deliveries import Deliveries
from scripts.demo.incidents import Incidents
from scripts.demo.measured import Measured
from scripts.demo.scenario import DemoRun
from scripts.demo.wearables import DemoWearables
from scripts.deploy import ROOT
from scripts.solidity.shipped import changed_files
from scripts.stack import Stack
from services.development import DOMAINS
from services.simulated_devices.fleet import Fleet

CHARGE_POINTS, METERS = 8, 1
FUNDED_CENTS = 150_000
RETIRED, UNKNOWN = "cp-retired", "cp-unknown"
SEED = 7
_TRADES = (deliveries.CARRIER, *wearables.MERCHANTS, *measured.PARTIES)
PARTIES = (*parties.PARTIES, deliveries.BUYER, *_TRADES)
PAYEES = (*parties.PAYEES, *_TRADES)


@dataclass
class DemoParticipants:
    """The devices of the demonstration, grouped by what they do.

    Attributes:
        metering: names of the devices that measure every day.
    """

    fleet: Fleet
    metering: list[str]
    deliveries: Deliveries
    wearables: DemoWearables
    incidents: Incidents
    measured: Measured

    @property
    def enrolled(self) -> list[str]:
        """The names of all devices in the registry."""
        return [*(name for name in self.fleet.devices if name != UNKNOWN), *self.wearables.bands]

    @property
    def agreements(self) -> int:
        """The number of escrows to fill."""
        measuring = len(self.metering) + len((RETIRED, *incidents.NAMES))
        goods, bands = len(deliveries.EXPECTED_MICRO), len(self.wearables.bands)
        return measuring + goods + bands + len(self.measured.cases)

    def run(self, stack: Stack) -> DemoRun:
        return DemoRun(
            stack,
            self.fleet,
            self.metering,
            self.deliveries,
            self.wearables,
            self.incidents,
            self.measured,
        )

    def close(self) -> None:
        self.fleet.close()
        self.wearables.close()


def start(stack: Stack) -> DemoParticipants:
    """Start every part of the rail, timed, as a checklist."""
    seconds = json.loads((ROOT / ".venv" / "setup.json").read_text()).get("seconds", 0)
    done("environment", "Python and npm packages, locked by hash", seconds)
    compile_contracts(stack)
    step("chain", lambda: (stack.start_chain(), f"anvil at {stack.testnet.url}")[1])
    step("contracts", lambda: f"PaymentRail {stack.deploy().addresses['PaymentRail']}")
    step(
        "broker",
        lambda: (stack.start_broker(), "{broker} on {host}:{port}".format(**stack.broker))[1],
    )
    step("bank", lambda: (stack.start_bank(), stack.settings.safeguarding.iban)[1])
    stack.spawn_oracles()  # they start while devices are enrolled
    participants = make_devices(stack)
    step("devices", lambda: _install(stack, participants))
    step(
        "four oracles",
        lambda: (
            stack.start_oracles(),
            f"{len(DOMAINS)} trust domains: {', '.join(DOMAINS.values())}",
        )[1],
    )
    step("orchestrator", lambda: (stack.start_rail(), f"API at {stack.api_url}")[1])
    participants.wearables.open_tills()
    return participants


def compile_contracts(stack: Stack) -> None:
    """Load the shipped artifacts; show a bar if the sources changed, since solc takes long."""
    started = time.monotonic()
    changed = changed_files()
    if changed:
        with bar("compiling contracts", len(changed), brief=True) as reached:
            stack.compile(lambda ready, _total: reached(ready))
        origin = f"{len(changed)} files changed: solc through py-solc-x"
    else:
        stack.compile()
        origin = "compiled already, sources unchanged"
    done("artifacts", f"{len(stack.artifacts)} contracts, {origin}", time.monotonic() - started)


def make_devices(stack: Stack) -> DemoParticipants:
    """Make all devices, with their keys and journals under the home."""
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
    return DemoParticipants(
        fleet,
        metering,
        Deliveries(stack, fleet, SEED),
        DemoWearables(stack, SEED),
        Incidents(stack, fleet),
        Measured(stack, fleet, SEED),
    )


def _install(stack: Stack, participants: DemoParticipants) -> str:
    """Register parties, devices and mandates a month ago, then move the chain's clock to now."""
    fleet, bands = participants.fleet, participants.wearables.bands
    passwords = stack.issue_devices(list(fleet.devices))
    parties.register_parties(stack, PARTIES, PAYEES)
    parties.enrol(stack, fleet.devices | bands, participants.enrolled)
    measuring = [*participants.metering, RETIRED, *incidents.NAMES]
    mandates = [
        parties.meter_mandate(stack, fleet[name]) for name in measuring[: -len(incidents.NAMES)]
    ]
    mandates += participants.incidents.agree()
    others = (participants.deliveries, participants.wearables, participants.measured)
    signed = [*mandates, *(mandate for part in others for mandate in part.agree())]
    references = iter(parties.open_all(stack, signed))
    participants.measured.give_keys()
    stack.agreement_ops.retire(RETIRED)
    stack.move_to_now()
    parties.fund(stack, fleet, measuring, list(islice(references, len(measuring))), FUNDED_CENTS)
    participants.deliveries.fund(list(islice(references, len(deliveries.EXPECTED_MICRO))))
    participants.wearables.fund(list(islice(references, len(bands))))
    participants.measured.fund(list(references))
    refused = fleet.connect(stack.broker["host"], stack.broker["port"], passwords)
    if refused:
        raise RuntimeError(f"the broker refused devices: {', '.join(refused)}")
    return f"{len(participants.enrolled)} enrolled with own P-256 keys and agreements"
