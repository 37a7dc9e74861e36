"""Two charge points with incidents: one has a clone, the key of the other is stolen."""

from __future__ import annotations

from device_adapters.types import device_id
from orchestrator.core.risk import Remedy, at_risk
from orchestrator.edges.store import Session, agreements, conflicts, exposure
from scripts.demo.notes import Note, euro
from scripts.demo.parties import Signed, meter_mandate
from scripts.stack import Stack
from services.simulated_devices.fleet import Fleet

CLONED, STOLEN = "cp-cloned", "cp-stolen"
NAMES = (CLONED, STOLEN)
_STOLEN_AGO_S = 5 * 86_400
_LONG_WINDOW_S = 86_400  # payments signed by the stolen key can still be frozen


class Incidents:
    """The two charge points; they measure on the first day only."""

    def __init__(self, stack: Stack, fleet: Fleet) -> None:
        self.stack, self.fleet = stack, fleet
        for name in NAMES:
            fleet.add(name)
        # when the key was stolen: an owner's word reaches back a week
        self.since = stack.now() - _STOLEN_AGO_S
        fleet[STOLEN].pause(max(0, self.since - fleet[STOLEN].now))

    def agree(self) -> list[Signed]:
        """Return the signed mandates; the one whose key is stolen has a long dispute window."""
        windows = {CLONED: {}, STOLEN: {"window_s": _LONG_WINDOW_S}}
        return [meter_mandate(self.stack, self.fleet[name], **windows[name]) for name in NAMES]

    def declare(self) -> None:
        """Report since when the key is stolen; the rail's warden then freezes the payments."""
        self.stack.agreement_ops.declare_compromised(STOLEN, self.since)

    def is_over(self, session: Session) -> bool:
        """Return whether the clone is suspended on chain and the payments at risk are frozen."""
        suspended = not self.stack.chain.view("DeviceRegistry", "isActive", device_id(CLONED))
        risks = self._risks(session)
        return suspended and bool(risks) and all(risk.remedy is Remedy.FROZEN for risk in risks)

    def notes(self, session: Session) -> list[Note]:
        """Return what happened to both."""
        clones = {device for device, *_ in conflicts.quarantined(session)}
        cloned = agreements.device_by_name(session, CLONED)
        risks = self._risks(session)
        amount = euro(sum(risk.amount_micro for risk in risks))
        frozen = bool(risks) and all(risk.remedy is Remedy.FROZEN for risk in risks)
        return [
            Note(
                "a device with a clone",
                "suspended",
                f"{CLONED} is {cloned.status} on chain",
                cloned.device_id in clones and cloned.status == "suspended",
            ),
            Note(
                "payments signed by a stolen key",
                "frozen",
                f"{len(risks)} at risk, {amount}, by the warden",
                frozen,
            ),
        ]

    def _risks(self, session: Session) -> list:
        device = "0x" + device_id(STOLEN).hex()
        return at_risk(exposure.exposed(session, device), self.since, self.stack.now())
