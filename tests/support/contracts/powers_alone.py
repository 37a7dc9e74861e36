"""Access manager, committee, officers and token on a chain without a rail; the steward waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi import encode
from web3 import Web3

from oracles.attest import sign
from orchestrator.edges.chain.keystore import development_account
from scripts.solidity.shipped import current_artifacts
from scripts.solidity.sources import ROOT
from services.testnet import CHAIN_ID
from tests.support.contracts.contract_rail import (
    DOMAINS,
    HOUR,
    ORACLE_KEYS,
    ContractRail,
    _address,
    domain,
)
from tests.support.contracts.onchain import Account, Method, Node, creation, errors_of, events_of

DELAY = 48 * HOUR
PAYMENT = Web3.keccak(text="a payment")
_SOURCES = ("RailAccess", "OracleCommittee", "OfficerRegistry", "EuroToken")
_CLAIM = (
    "Claim(bytes32 agreement,uint32 sequence,uint40 firstCounter,uint40 lastCounter,"
    "bytes32 evidence,bytes facts)"
)
_ATTESTATION = Web3.keccak(text=f"Attestation(address rail,address product,Claim[] claims){_CLAIM}")
_RULING = Web3.keccak(text="Ruling(address rail,bytes32 payment,bool refund)")
_COMPROMISE = Web3.keccak(
    text="Compromise(address registry,bytes32 device,uint40 since,uint256 number)"
)


class PowersAlone(ContractRail):
    """What ContractRail says about time and refusals, and an access manager of 48 hours.

    The account `rail` stands for the rail, which asks the committee; `officers` are seated.
    """

    def __init__(self, node: Node, delay: int = DELAY) -> None:
        self.node = node
        files = [f"contracts/{name}.sol" for name in _SOURCES]
        self.artifacts = current_artifacts(files, ROOT / ".build" / "contracts")
        self.errors, self.events = errors_of(self.artifacts), events_of(self.artifacts)
        accounts = [Account(development_account(index)) for index in range(10)]
        self.steward, self.guardian, self.minter, self.registrar, self.warden = accounts[:5]
        self.deployer, self.stranger, self.payer, self.rail, self.accomplice = accounts[5:]
        self.oracles = sorted(ORACLE_KEYS[:4], key=lambda key: int(_address(key), 16))
        self.access = self.deploy_access(delay)
        self.committee = self.deploy_committee(self.oracles, DOMAINS)
        self.token = self.deploy("EuroToken", self.access)
        self.officers = self.deploy("OfficerRegistry", self.access, [self.payer, self.warden])

    def reset(self) -> None:
        """Do nothing: no clock of a test starts here."""

    def deploy_committee(
        self, keys: Sequence[bytes], domains: Sequence[int], least: int = 2
    ) -> Any:
        """Deploy a committee of these keys under the access manager."""
        members = [_address(key) for key in keys]
        return self.deploy("OracleCommittee", self.access, members, list(domains), least)

    def creation_refusal(self, name: str, *args: Any) -> str:
        """Return the error of creating a contract, "" if it would be created."""
        call = {"from": str(self.stranger), "data": creation(self.artifacts[name], args)}
        answer = self.node.answer("eth_call", call, "latest")
        if "error" not in answer:
            return ""
        return self.errors[bytes.fromhex(answer["error"]["data"][2:10])][0]

    # --- the steward's delay

    def schedule(self, method: Method, *args: Any, sender: Any = None) -> None:
        """Schedule a call, by default as the steward."""
        call = (method.contract, method.encode_input(*args), 0)
        self.access.schedule(*call, sender=sender or self.steward)

    def may_schedule(self, method: Method, *args: Any, sender: Any) -> str:
        """Return the error of scheduling a call, "" where it is possible."""
        call = (method.contract, method.encode_input(*args), 0)
        return self.refusal(self.access.schedule, *call, sender=sender)

    def after_delay(self, method: Method, *args: Any) -> str:
        """Schedule a call as the steward, wait, and return the error that it ends in."""
        self.schedule(method, *args)
        self.wait(DELAY)
        return self.refusal(method, *args, sender=self.steward)

    def do(self, method: Method, *args: Any) -> Any:
        """Do as the steward what it may, after the delay."""
        self.schedule(method, *args)
        self.wait(DELAY)
        return method(*args, sender=self.steward)

    def cancel(self, method: Method, *args: Any, sender: Any) -> str:
        """Cancel what the steward scheduled; return the error, "" if it is cancelled."""
        call = (self.steward, method.contract, method.encode_input(*args))
        refusal = self.refusal(self.access.cancel, *call, sender=sender)
        if not refusal:
            self.access.cancel(*call, sender=sender)
        return refusal

    # --- signatures of oracles

    def sign_struct(
        self,
        kinds: Sequence[str],
        values: Sequence[Any],
        keys: Sequence[bytes] | None = None,
        committee: Any = None,
        chain_id: int = CHAIN_ID,
    ) -> list[bytes]:
        """Return the keys' signatures over an EIP-712 struct of the committee's domain."""
        at = (committee or self.committee).address
        struct = Web3.keccak(encode(["bytes32", *kinds], values))
        separator = domain("proofrail-oracles", at, chain_id)
        digest = Web3.keccak(b"\x19\x01" + separator + struct)
        return [sign(digest, key) for key in (self.oracles[:3] if keys is None else keys)]

    def attest_hashes(self, hashes: Sequence[bytes], keys: Any = None, **other: Any) -> list[bytes]:
        """Return signatures over a batch; other: product, rail, committee or chain_id."""
        product = other.pop("product", self.payer).address
        rail = other.pop("rail", self.rail).address
        claims = Web3.keccak(b"".join(hashes))
        values = [_ATTESTATION, rail, product, claims]
        return self.sign_struct(["address", "address", "bytes32"], values, keys, **other)

    def ruling(self, payment: bytes, refund: bool, keys: Any = None, **other: Any) -> list[bytes]:
        values = [_RULING, other.pop("rail", self.rail).address, payment, refund]
        return self.sign_struct(["address", "bytes32", "bool"], values, keys, **other)

    def compromise(self, device: bytes, since: int, number: int, keys: Any = None) -> list[bytes]:
        """Return signatures over a ruling on a device's compromise; `rail` is the registry."""
        values = [_COMPROMISE, self.rail.address, device, since, number]
        return self.sign_struct(["address", "bytes32", "uint40", "uint256"], values, keys)
