"""The device registry on a chain without a rail: its roles, devices and a committee of one."""

from __future__ import annotations

from typing import Any

from eth_abi import encode
from web3 import Web3

from orchestrator.edges.chain import ethereum
from orchestrator.edges.chain.keystore import development_account
from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT
from tests.support.contracts.contract_rail import DAY, DEVICE, MORE, NO_REGISTRY, ContractRail
from tests.support.contracts.device_keys import DeviceSigner, rotation
from tests.support.contracts.onchain import Account, Node, errors_of, events_of

REGISTRAR_ROLE, WARDEN_ROLE = 4, 5  # libraries/Roles.sol
_SOURCES = ("contracts/DeviceRegistry.sol", "tests/contracts/sources/RegistryDoubles.sol")


class RegistryAlone(ContractRail):
    """What ContractRail says about time, devices and refusals, without money and agreements."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.artifacts = current_artifacts(_SOURCES, ROOT / ".build" / "contracts")
        self.errors, self.events = errors_of(self.artifacts), events_of(self.artifacts)
        accounts = [Account(development_account(index)) for index in range(7)]
        self.steward, self.registrar, self.warden, self.ruler = accounts[:4]
        self.owner, self.stranger, self.payer = accounts[4:]
        self.access = self.deploy("PlainAccess", self.steward)
        self.committee = self.deploy("SingleRuler", self.ruler)
        for role, account in ((REGISTRAR_ROLE, self.registrar), (WARDEN_ROLE, self.warden)):
            self.access.grantRole(role, account, 0, sender=self.steward)
        self.registry = self.deploy("DeviceRegistry", self.access, self.committee, NO_REGISTRY)
        self.key = DeviceSigner.p256(7)
        self.enrol(DEVICE, self.key)
        for index, device in enumerate(MORE):
            self.enrol(device, DeviceSigner.p256(1_000 + index))
        self.wait(30 * DAY)

    def reset(self) -> None:
        """Do nothing: no clock of a test starts here."""

    def ruling(self, device: bytes, since: int, number: int | None = None) -> list[bytes]:
        """Return the committee's signature over a ruling, by default the next one."""
        if number is None:
            number = self.registry.compromiseRulings(device)
        kinds = ["address", "bytes32", "uint40", "uint256"]
        digest = Web3.keccak(encode(kinds, [self.registry.address, device, since, number]))
        signer = ethereum.Account.from_key(self.ruler.private_key)
        return [bytes(signer.unsafe_sign_hash(digest).signature)]

    def rule(self, device: bytes, since: int) -> Any:
        """Send the committee's next ruling on a device."""
        signed = self.ruling(device, since)
        return self.registry.ruleCompromise(device, since, signed, sender=self.stranger)

    def rotation(
        self,
        new: DeviceSigner,
        old: DeviceSigner | None = None,
        keys: int = 1,
        expires_at: int = 0,
        device: bytes = DEVICE,
    ) -> list[Any]:
        """Return the arguments of a rotation, signed by both keys."""
        digest = rotation(self.registry.address, device, new, keys, expires_at)
        proofs = [*(old or self.key).sign(digest), *new.sign(digest)]
        return [device, new.curve, new.x, new.y, expires_at, *proofs]

    def gas(self, method: Any, *args: Any) -> int:
        """Return the gas of a call, the transaction's own gas included."""
        return int(self.node.rpc("eth_estimateGas", method.request(*args), "latest"), 16)
