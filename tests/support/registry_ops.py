"""Agreement and device operations on the shared real chain, and simulated devices to enrol."""

from __future__ import annotations

from device_adapters.types import DeviceKey, device_id
from orchestrator.core.endorsement import Endorsement, check
from orchestrator.core.identity import enrolment_digest, rotation_digest
from orchestrator.edges.store import Store, agreements
from orchestrator.operations.agreements import AgreementOps, Enrolment, Rotation
from scripts.deploy import DEVELOPMENT_WARDEN
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from tests.support import endorsing
from tests.support.real_chain import REGISTRAR, real_chain

OWNER, SENDER = "0x" + "11" * 20, 12
DAY = 86_400
ROOT = endorsing.root(days=(-10, 36_500))
ACTIVE, SUSPENDED, REVOKED, COMPROMISED, EXPIRED = range(1, 6)  # IDeviceRegistry.Status


class RegistryOps:
    """Operations with the keys of registrar, sender and warden; the devices live in `folder`."""

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
        self.ops = AgreementOps(self.senders, self.chain.now, lambda: None)
        deployment = self.chain.deployment
        self.at = (deployment.chain_id, deployment.addresses["DeviceRegistry"])

    def device(self, name: str) -> SimulatedMeter:
        return SimulatedMeter(
            self.folder / name, name, DeviceKind.CHARGE_POINT, None, self.chain.now()
        )

    def enrolled(self, name: str, days: int = 0) -> SimulatedMeter:
        device = self.device(name)
        digest = enrolment_digest(*self.at, name, OWNER)
        endorsement = self.endorsed(name, device.public, days) if days else None
        self.ops.enrol(
            [
                Enrolment(
                    name, device.public, OWNER, *device.sign_digest(digest), endorsement=endorsement
                )
            ]
        )
        return device

    def endorsed(self, name: str, key: DeviceKey, days: int) -> Endorsement:
        """Return an endorsement that is valid for `days` by the chain's clock."""
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
        """Return a rotation signed by both keys; `changes` replaces fields of what they sign."""
        signed_fields = {
            "name": old.name,
            "key": new.public,
            "expires_at": endorsement.expires_at if endorsement else 0,
            "keys_so_far": self.ops.keys_so_far(old.name),
        } | changes
        digest = rotation_digest(*self.at, **signed_fields)
        return Rotation(
            old.name, new.public, old.sign_digest(digest), new.sign_digest(digest), endorsement
        )

    def key_at(self, name: str, at: int) -> tuple[int, int]:
        """Return (status, x of the key) of the contract at a time."""
        status, _, x, _ = self.chain.client.view("DeviceRegistry", "keyAt", device_id(name), at)
        return status, int.from_bytes(x)

    def between(self) -> int:
        """Return a time after all earlier and before all later transactions."""
        return self.chain.later(10) - 5

    def row(self, name: str) -> agreements.DeviceRow:
        with self.store.read() as session:
            return agreements.device_by_name(session, name)

    def sent(self) -> int:
        """Return how many transactions the keys have on the chain."""
        client = self.chain.client
        return sum(client.nonce(sender.account.address) for sender in self.senders.values())
