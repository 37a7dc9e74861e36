"""An office on the one real chain with registrar, sender and warden, and devices to bring to it."""

from __future__ import annotations

from device_adapters.types import DeviceKey, device_id
from orchestrator.core.endorsement import Endorsement, check
from orchestrator.core.identity import enrolment_digest, rotation_digest
from orchestrator.edges.store import Store, agreements
from orchestrator.operations.agreements import AgreementOps, Enrolment, Rotation
from scripts.deploy import DEVELOPMENT_WARDEN
from scripts.devices.device import DeviceKind, SimulatedMeter
from tests.support import endorsing
from tests.support.real_chain import REGISTRAR, real_chain

OWNER, SENDER = "0x" + "11" * 20, 12
DAY = 86_400
ROOT = endorsing.root(days=(-10, 36_500))
ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(1, 6)  # IDeviceRegistry.Status


class RegistryOps:
    """One office; its devices are of `folder`, its owner is nobody in particular."""

    def __init__(self, folder) -> None:
        self.chain, self.folder = real_chain(), folder
        self.store = Store(folder / "rail.sqlite3")
        self.senders = {
            role: self.chain.sender(self.store, index)
            for role, index in (
                ("registrar", REGISTRAR),
                ("sender", SENDER),
                ("warden", DEVELOPMENT_WARDEN),
            )
        }
        self.office = AgreementOps(self.senders, self.chain.now, lambda: None)
        at = self.chain.deployment
        self.at = (at.chain_id, at.addresses["DeviceRegistry"])

    def device(self, name: str) -> SimulatedMeter:
        return SimulatedMeter(
            self.folder / name, name, DeviceKind.CHARGE_POINT, None, self.chain.now()
        )

    def enrolled(self, name: str, days: int = 0) -> SimulatedMeter:
        device = self.device(name)
        digest = enrolment_digest(*self.at, name, OWNER)
        endorsement = self.endorsed(name, device.public, days) if days else None
        self.office.enrol(
            [
                Enrolment(
                    name, device.public, OWNER, *device.sign_digest(digest), endorsement=endorsement
                )
            ]
        )
        return device

    def endorsed(self, name: str, key: DeviceKey, days: int) -> Endorsement:
        """Valid until `days` after now on the chain's clock."""
        ends = endorsing.moment(self.chain.now() + days * DAY)
        leaf = ROOT.issue(endorsing.name(name), key=endorsing.Holder(key), not_after=ends)
        return check(endorsing.pem(leaf), [ROOT.certificate], name, key, endorsing.NOW)

    def rotation(
        self,
        old: SimulatedMeter,
        new: SimulatedMeter,
        endorsement: Endorsement | None = None,
        **changes,
    ):
        """What both keys sign; changes: what they sign instead."""
        signed_fields = {
            "name": old.name,
            "key": new.public,
            "expires_at": endorsement.expires_at if endorsement else 0,
            "keys_so_far": self.office.keys_so_far(old.name),
        } | changes
        digest = rotation_digest(*self.at, **signed_fields)
        return Rotation(
            old.name, new.public, old.sign_digest(digest), new.sign_digest(digest), endorsement
        )

    def says(self, name: str, at: int) -> tuple[int, int]:
        """(status, x of the key) as the contract answers for a time."""
        status, _, x, _ = self.chain.client.view("DeviceRegistry", "keyAt", device_id(name), at)
        return status, int.from_bytes(x)

    def between(self) -> int:
        """A time after everything so far and before everything that follows."""
        return self.chain.later(10) - 5

    def row(self, name: str) -> agreements.DeviceRow:
        with self.store.read() as session:
            return agreements.device_by_name(session, name)

    def sent(self) -> int:
        """How many transactions the office's keys have on the chain."""
        client = self.chain.client
        return sum(client.nonce(one.account.address) for one in self.senders.values())
