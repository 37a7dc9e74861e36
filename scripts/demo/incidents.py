"""Two charge points that go wrong: one has a clone, of the other the key was stolen."""

from __future__ import annotations

from device_adapters.types import device_id
from orchestrator.core.risk import Remedy, at_risk
from orchestrator.edges.store import Session, agreements, conflicts, exposure
from scripts.demo.notes import Note, euro
from scripts.demo.town import Signed, meter
from scripts.devices.fleet import Fleet
from scripts.stack import Stack

CLONED, STOLEN = "cp-cloned", "cp-stolen"
NAMES = (CLONED, STOLEN)
_LONG_WINDOW_S = 86_400  # what is paid on the stolen key's word can still be frozen


class Incidents:
    """The two charge points; they measure on the first day and are silent afterwards."""

    def __init__(self, stack: Stack, fleet: Fleet) -> None:
        self.stack, self.fleet = stack, fleet
        for name in NAMES:
            fleet.add(name)
        self.since = stack.start_at  # when the key was stolen

    def agree(self) -> list[Signed]:
        """The usual terms, but a long dispute window for the one whose key will be stolen."""
        windows = {CLONED: {}, STOLEN: {"window_s": _LONG_WINDOW_S}}
        return [meter(self.stack, self.fleet[name], **windows[name]) for name in NAMES]

    def declare(self) -> None:
        """The registrar says since when the key is somebody else's; the rail's warden does the
        rest."""
        self.stack.office.declare_compromised(STOLEN, self.since)

    def over(self, session: Session) -> bool:
        """Whether the clone is suspended on chain, and what was at risk is frozen."""
        silent = not self.stack.chain.view("DeviceRegistry", "isActive", device_id(CLONED))
        risks = self._risks(session)
        return silent and bool(risks) and all(r.remedy is Remedy.FROZEN for r in risks)

    def notes(self, session: Session) -> list[Note]:
        """What became of the two."""
        clones = {device for device, *_ in conflicts.quarantined(session)}
        cloned = agreements.device_by_name(session, CLONED)
        risks = self._risks(session)
        amount = euro(sum(risk.amount_micro for risk in risks))
        frozen = bool(risks) and all(risk.remedy is Remedy.FROZEN for risk in risks)
        return [
            Note(
                "a device with a clone",
                "silenced",
                f"{CLONED} is {cloned.status} on chain",
                cloned.device_id in clones and cloned.status == "suspended",
            ),
            Note(
                "payments on a stolen key's word",
                "frozen",
                f"{len(risks)} at risk, {amount}, by the warden",
                frozen,
            ),
        ]

    def _risks(self, session: Session) -> list:
        device = "0x" + device_id(STOLEN).hex()
        return at_risk(exposure.exposed(session, device), self.since, self.stack.now())
