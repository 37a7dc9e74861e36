"""A deployed rail on a chain of its own, on a chosen hardfork.

The fixture `fork` (conftest.py) runs a test twice: on "osaka", whose chain has the EIP-7951
precompile, and on "prague", whose chain answers nothing at 0x100. A contract must accept the same
signatures on both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from web3 import Web3
from web3.contract import Contract

from orchestrator.edges.chain.deployment import deploy
from scripts.deploy import development_plan
from services.testnet import TX_GAS_LIMIT, Testnet
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.onchain import Method, Node, OnChain, errors_of

HARDFORKS = ("osaka", "prague")
PRECOMPILE = "0x" + "100".zfill(40)
ENDORSEMENT = Web3.keccak(text="type approval")


class Fork:
    """One chain and what was deployed on it, by contract name in `at`.

    hardfork: "osaka" or "prague". send, create and ask take a contract's name (or a Contract);
    accounts are addresses of the development mnemonic, which the chain signs for.
    """

    def __init__(
        self, hardfork: str, chain: Testnet, artifacts: dict[str, Any], journal: Path
    ) -> None:
        self.hardfork, self.chain, self.artifacts = hardfork, chain, artifacts
        self.plan = development_plan()
        self.node = Node(chain.url)
        self.web3 = Web3(Web3.HTTPProvider(chain.url))
        self.deployment = deploy(chain.url, artifacts, self.plan, journal)
        self.at = {
            name: self.contract(name, address)
            for name, address in self.deployment.addresses.items()
        }
        self._errors = errors_of(artifacts)
        self._fast: dict[Contract, OnChain] = {}

    @property
    def has_precompile(self) -> bool:
        return self.hardfork == "osaka"

    @property
    def now(self) -> int:
        return self.node.timestamp()

    def contract(self, name: str, address: str) -> Contract:
        return self.web3.eth.contract(address=address, abi=self.artifacts[name].abi)

    def create(self, name: str, *args: Any, sender: str | None = None) -> Contract:
        """Deploy one more contract, such as a product with a test account as its rail."""
        artifact = self.artifacts[name]
        factory = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        data = factory.constructor(*args).data_in_transaction
        receipt = self._mined({"from": sender or self.plan.steward, "data": data})
        assert receipt["status"] == 1, f"{name} was not created"
        return self.contract(name, receipt["contractAddress"])

    def send(self, contract: str | Contract, function: str, *args: Any, sender: str) -> Any:
        """Send a call that must succeed; return its receipt.

        Raises AssertionError with the custom error's name if it reverts.
        """
        call = self._call(contract, function, args, sender)
        receipt = self._mined(call)
        assert receipt["status"] == 1, self.refusal(contract, function, *args, sender=sender)
        return receipt

    def ask(
        self, contract: str | Contract, function: str, *args: Any, sender: str | None = None
    ) -> Any:
        """Return what a function answers; it is called, never mined."""
        options = {"from": sender} if sender else {}
        method = self._method(contract, function)
        request = {**method.request(*args), **options}
        answer = method.decoded(self.node.rpc("eth_call", request, "latest"))
        return list(answer) if method.has_many_outputs else answer

    def refusal(self, contract: str | Contract, function: str, *args: Any, sender: str) -> str:
        """Return the custom error that this call ends in, "" if it would succeed. Send nothing."""
        try:
            self.node.rpc("eth_call", self._call(contract, function, args, sender), "latest")
        except RuntimeError as error:
            for selector, (name, _) in self._errors.items():
                if f"0x{selector.hex()}" in str(error):
                    return name
            return str(error)
        return ""

    def enrol(self, device: bytes, key: DeviceSigner, owner: str, expires_at: int = 0) -> None:
        """Enrol a device with proof of possession, as the plan's registrar."""
        self.send(
            "DeviceRegistry",
            "enrol",
            *self.enrolment(device, key, owner, expires_at),
            sender=self.plan.registrar,
        )

    def enrolment(
        self, device: bytes, key: DeviceSigner, owner: str, expires_at: int = 0
    ) -> list[Any]:
        digest = key.enrolment(self.at["DeviceRegistry"].address, device, owner)
        return [device, key.curve, key.x, key.y, owner, ENDORSEMENT, expires_at, *key.sign(digest)]

    def _target(self, contract: str | Contract) -> Contract:
        return self.at[contract] if isinstance(contract, str) else contract

    def _method(self, contract: str | Contract, function: str) -> Method:
        target = self._target(contract)
        if target not in self._fast:  # by object: a restored chain uses an address again
            self._fast[target] = OnChain(self.node, "", target.address, target.abi, {})
        return self._fast[target].method(function)

    def _call(
        self, contract: str | Contract, function: str, args: Any, sender: str
    ) -> dict[str, Any]:
        return self._method(contract, function).request(*args, sender=sender)

    def _mined(self, call: dict[str, Any]) -> Any:
        request = {**call, "gas": hex(TX_GAS_LIMIT)}
        digest = self.node.rpc("eth_sendTransactionSync", request)["transactionHash"]
        return self.web3.eth.get_transaction_receipt(digest)


def outcomes(log: Any) -> list[tuple[int, int]]:
    """Return (amount, refusal) of each claim of a decoded `Settled` log."""
    packed = bytes(log["args"]["outcomes"])
    return [decode_outcome(packed[at : at + 7]) for at in range(0, len(packed), 7)]


def decode_outcome(row: bytes) -> tuple[int, int]:
    return int.from_bytes(row[:6], "big", signed=True), row[6]
