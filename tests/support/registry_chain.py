"""The device registry on the shared real chain, with devices, agreements and what it answers."""

from __future__ import annotations

from device_adapters.types import Curve, DeviceKey, device_id
from oracles.attest import sign
from oracles.compromises import CompromiseRuling
from oracles.types import ClaimReason
from orchestrator.core.identity import rotation_digest
from orchestrator.core.mandate import Mandate
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import ChainCall, send_and_wait
from orchestrator.edges.store import Store
from orchestrator.operations.agreements import AgreementOps, Enrolment, enrolment_digest
from orchestrator.products import deployed, products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from services.development import FIRST_ORACLE
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from tests.support.real_chain import REGISTRAR, real_chain

# the contract's words for a status, in ours (IDeviceRegistry.Status)
STATUSES = {
    0: ClaimReason.DEVICE_NOT_YET_ENROLLED,
    1: None,
    2: ClaimReason.DEVICE_SUSPENDED,
    3: ClaimReason.DEVICE_RETIRED,
    4: ClaimReason.DEVICE_COMPROMISED,
    5: ClaimReason.KEY_EXPIRED,
}
DAY = 86_400
OWNER = 30  # index of the development account that owns the devices


class RegistryOnChain:
    """Devices, agreement operations and a reader of the registry; the devices live in `folder`."""

    def __init__(self, folder) -> None:
        self.chain, self.folder = real_chain(), folder
        self.store = Store(folder / "rail.sqlite3")
        self.registrar = self.chain.sender(self.store, REGISTRAR)
        senders = {"registrar": self.registrar, "sender": self.chain.sender(self.store, 12)}
        self.owner = keystore.development_account(OWNER)
        self.agreement_ops = AgreementOps(senders, self.chain.now, lambda: None, self._key_of)
        self.known = deployed(self.chain.deployment.addresses)
        self.reader = Registry(self.chain.client, self.known)
        self.numbers = iter(range(1, 1_000))

    def device(self, name: str) -> SimulatedMeter:
        return SimulatedMeter(
            self.folder / name, name, DeviceKind.CHARGE_POINT, None, self.chain.now()
        )

    def _key_of(self, address: str) -> LocalAccount | None:
        return self.owner if address == self.owner.address else None

    def enrolment(self, device: SimulatedMeter, owner: str = "") -> Enrolment:
        owner, at = owner or self.owner.address, self.chain.deployment
        digest = enrolment_digest(at.chain_id, at.addresses["DeviceRegistry"], device.name, owner)
        return Enrolment(device.name, device.public, owner, *device.sign_digest(digest))

    def do(self, function: str, *args: object) -> int:
        """A call by the registrar; returns when it took effect."""
        call = ChainCall(function, str(next(self.numbers)), Call("DeviceRegistry", function, args))
        send_and_wait(self.registrar, [call], 0, lambda: None)
        return self.chain.now()

    def rotate(
        self, name: str, old: SimulatedMeter, new: SimulatedMeter, keys: int, expires_at: int = 0
    ) -> int:
        words = [n.to_bytes(32, "big") for n in (new.public.x, new.public.y)]
        at = self.chain.deployment
        digest = rotation_digest(
            at.chain_id, at.addresses["DeviceRegistry"], name, new.public, expires_at, keys
        )
        proofs = [
            n.to_bytes(32, "big") for signer in (old, new) for n in signer.sign_digest(digest)
        ]
        return self.do("rotate", device_id(name), 0, *words, expires_at, *proofs)

    def rule(self, name: str, since: int) -> int:
        """The committee's ruling on a compromise; returns when it took effect."""
        at = self.chain.deployment
        number = self.chain.client.view("DeviceRegistry", "compromiseRulings", device_id(name))
        ruling = CompromiseRuling(at.addresses["DeviceRegistry"], device_id(name), since, number)
        digest = ruling.digest(at.chain_id, at.addresses["OracleCommittee"])
        keys = [keystore.development_account(FIRST_ORACLE + n).key for n in (0, 2, 3)]
        signatures = [sign(digest, bytes(key)) for key in keys]
        return self.do("ruleCompromise", device_id(name), since, signatures)

    def contract_says(self, name: str, at: int) -> DeviceKey | ClaimReason:
        status, curve, x, y = self.chain.client.view("DeviceRegistry", "keyAt", device_id(name), at)
        key = DeviceKey((Curve.SECP256R1, Curve.SECP256K1)[curve], *map(int.from_bytes, (x, y)))
        return STATUSES[status] or key

    def agree(self, name: str, payer: int, **terms: object) -> tuple[Mandate, bytes]:
        account = keystore.development_account(payer)
        agreed = encode_terms(EnergyTerms(300_000, 22_000))
        defaults = {"expiry": self.chain.now() + 10 * DAY, "terms": agreed}
        mandate = self.agreement_ops.mandate(
            name,
            account.address,
            "0x" + "22" * 20,
            products()["metered_energy"],
            cap_micro=10**9,
            window_s=60,
            **defaults | terms,
        )
        [identity] = self.agreement_ops.open(
            [(name, "metered_energy", mandate, self.agreement_ops.sign(mandate, account))]
        )
        return mandate, bytes.fromhex(identity[2:])
