"""A deployed rail for contract tests: its contracts, roles, devices, agreements and signatures."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import count
from typing import Any

from eth_abi import decode, encode
from web3 import Web3

from oracles.attest import claim_hash, digest_of, sign
from oracles.types import Batch, Claim
from orchestrator.core.mandate import Mandate
from orchestrator.core.owner_consent import OwnerConsent
from orchestrator.edges.chain import ethereum
from orchestrator.edges.chain.keystore import development_account
from orchestrator.edges.chain.plan import Role
from orchestrator.products import products
from services.testnet import CHAIN_ID, TX_GAS_LIMIT
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.onchain import Account, Node, OnChain, creation, errors_of, events_of
from tests.support.contracts.settled import SettlementResult, arguments, known, plain_payee

EURO = 1_000_000  # token minor units
CENT = 10_000
KWH = 1_000_000  # mWh
HOUR, DAY = 3_600, 86_400
RELEASED = DAY + DAY // 4  # the most that a window of a day keeps money
PRICE = 300_000  # 0.30 euro per kWh
FUSE = 22_000  # watts
DOMAINS = (1, 1, 2, 3)
ORACLE_KEYS = [bytes([9]) * 31 + bytes([i]) for i in range(1, 8)]
DEVICE = Web3.keccak(text="EVSE-1")
MORE = [Web3.keccak(text=f"more-{index}") for index in range(8)]
ACCOUNT = Web3.keccak(text="account of the payee")
NONE = bytes(32)
NO_REGISTRY = "0x" + "00" * 20  # a registry without a predecessor
SHARED = 2  # libraries/Traits.sol
IMPORT = 0x0100_0108_00FF  # 1-0:1.8.0*255, the total consumption


def terms(price=PRICE, fuse=FUSE, continuous=False, start=0, rollover=0, started_at=0) -> bytes:
    """Return terms with one price for all time, as EnergyBytes.sol describes them."""
    head = struct.pack(">BBBBIQIBB", 3, continuous, False, 0, fuse, rollover, started_at, 1, 1)
    return head + struct.pack(">QBII", start, 0, 0, price)


def facts(start, end, begin, finish, energy=None, kind=0) -> bytes:
    counted = end - start if energy is None else energy
    head = struct.pack(">BBII", 3, kind, begin, finish)
    return head + IMPORT.to_bytes(6, "big") + struct.pack(">QQq", start, end, counted)


class ContractRail:
    """One rail with its roles. Money in minor units, registers in mWh, times in seconds."""

    mandate_version = 2

    def __init__(self, artifacts: dict[str, Any], node: Node) -> None:
        self.artifacts, self.node = artifacts, node
        self._numbers = count(1)  # credits and salts, never the same twice
        self.errors, self.events = errors_of(artifacts), events_of(artifacts)
        accounts = [Account(development_account(index)) for index in range(10)]
        self.steward, self.guardian, self.minter, self.registrar = (accounts[i] for i in range(4))
        self.payer, self.payee, self.owner, self.stranger = (accounts[i] for i in range(4, 8))
        self.warden, self.deployer = accounts[8:]
        self.payee_of = plain_payee  # of a claim whose agreement names no payee
        self.oracles = sorted(ORACLE_KEYS[:4], key=lambda key: int(_address(key), 16))
        members = [_address(key) for key in self.oracles]
        self.access = self.deploy_access(0)
        self.committee = self.deploy("OracleCommittee", self.access, members, DOMAINS, 2)
        self.registry = self.deploy("DeviceRegistry", self.access, self.committee, NO_REGISTRY)
        self.token = self.deploy("EuroToken", self.access)
        self.rail = self.deploy_rail(self.committee, self.registry)
        self.registry.watch(self.rail, sender=self.steward)
        self.disputes = self.at("Disputes", self.rail.disputes())
        self.consents = self.at("Consents", self.rail.consents())
        parts = (self.rail, self.token, self.committee, self.registry)
        self.challenges = self.deploy("Challenges", *parts)
        self.committee.setChallenges(self.rail, self.challenges, sender=self.steward)
        self.officers = self.deploy("OfficerRegistry", self.access, [self.payer, self.payee])
        self.product = self.add_product("MeteredEnergy")
        self.key = DeviceSigner.p256(7)
        self.enrol(DEVICE, self.key)
        for index, device in enumerate(MORE):
            self.enrol(device, DeviceSigner.p256(1_000 + index))
        self.wait(30 * DAY)  # claims speak of days on which the devices were enrolled
        self.agreement = self.open(self.mandate())
        self.mint(100 * EURO, self.agreement)
        self.reset()

    def reset(self) -> None:
        """Start a test's clock (the fixture undoes what a test did on chain)."""
        self._spare = iter(MORE)
        self.now0 = self.node.timestamp("pending")

    # --- contracts

    def deploy(self, name: str, *args: Any, sender: Any = None) -> OnChain:
        artifact = self.artifacts[name]
        call = {"from": str(sender or self.steward), "data": creation(artifact, args)}
        return self.at(name, self.node.mined(call)["contractAddress"])

    def at(self, name: str, address: str) -> OnChain:
        """Return a contract that is deployed already."""
        checked = Web3.to_checksum_address(address)
        return OnChain(self.node, name, checked, self.artifacts[name].abi, self.events)

    def deploy_access(self, delay: int) -> OnChain:
        """Deploy an access manager whose steward waits `delay` seconds; its set-up is closed."""
        holders = (self.steward, self.guardian, self.minter, self.registrar, self.warden)
        access = self.deploy("RailAccess", self.deployer, delay, holders)
        access.renounceRole(Role.STEWARD, self.deployer, sender=self.deployer)
        return access

    def deploy_rail(self, committee: Any, registry: Any) -> Any:
        return self.deploy("PaymentRail", self.access, self.token, committee, registry)

    def add_product(self, name: str, *args: Any) -> Any:
        """Deploy a product and allow it as the steward."""
        product = self.deploy(name, self.rail, self.registry, *args)
        return self.allow(product)

    def allow(self, product: Any) -> Any:
        self.rail.allowProduct(product, sender=self.steward)
        return product

    def refusal(self, method: Any, *args: Any, sender: Any) -> str:
        """Return the custom error that this call ends in, "" if it would succeed. Send nothing."""
        return self.refusal_args(method, *args, sender=sender)[0]

    def refusal_args(self, method: Any, *args: Any, sender: Any) -> tuple[str, tuple[Any, ...]]:
        request = {"gas": hex(TX_GAS_LIMIT), **method.request(*args, sender=sender)}
        answer = self.node.answer("eth_call", request, "latest")
        if "error" not in answer:
            return "", ()
        data = bytes.fromhex(answer["error"].get("data", "0x")[2:])
        name, types = self.errors.get(data[:4], (answer["error"]["message"], []))
        return name, decode(types, data[4:])

    # --- time and money

    @property
    def now(self) -> int:
        return self.node.timestamp()

    def wait(self, seconds: int) -> None:
        self.node.mine_at(self.now + seconds)

    def credit(self) -> bytes:
        return next(self._numbers).to_bytes(32, "big")

    def mint(self, amount: int, agreement: bytes | None = None, to: Any = None) -> None:
        if agreement is None:
            self.token.mint(self.credit(), to or self.payer, amount, sender=self.minter)
        else:
            self.token.mintToEscrow(self.credit(), self.rail, agreement, amount, sender=self.minter)

    # --- devices and agreements

    def enrol(
        self, device: bytes, key: DeviceSigner, owner: Any = None, expires_at: int = 0
    ) -> None:
        self.registry.enrol(*self.enrolment(device, key, owner, expires_at), sender=self.registrar)

    def enrolment(
        self, device: bytes, key: DeviceSigner, owner: Any = None, expires_at: int = 0
    ) -> list[Any]:
        owner = owner or self.owner
        digest = key.enrolment(self.registry.address, device, owner.address)
        return [
            device,
            key.curve,
            key.x,
            key.y,
            owner,
            Web3.keccak(text="type approval"),
            expires_at,
            *key.sign(digest),
        ]

    def mandate(self, **changes: Any) -> Mandate:
        plain = Mandate(
            payer=self.payer.address,
            payee=self.payee.address,
            device=DEVICE,
            product=self.product.address,
            cap=50 * EURO,
            period_days=30,
            window=DAY,
            start=self.node.timestamp("pending") - 20 * DAY,
            expiry=self.node.timestamp("pending") + 90 * DAY,
            first_counter=10,
            required_domain=0,
            bond=EURO,
            salt=next(self._numbers).to_bytes(32, "big"),
            terms=terms(),
        )
        mandate = replace(plain, **changes)
        named = self.at("MeteredEnergy", mandate.product).name.request()
        answer = self.node.answer("eth_call", named, "latest").get("result", "")
        return known(mandate, next((name for name in products() if _is_in(name, answer)), ""))

    def signed(
        self, mandate: Mandate, account: Any = None, rail: Any = None, chain_id: int | None = None
    ) -> bytes:
        """Return a signature over a mandate, of the payer unless another signs."""
        document = mandate.typed_data(chain_id or CHAIN_ID, (rail or self.rail).address)
        return self.sign_document(document, account or self.payer)

    def consent(
        self, mandate: Mandate, account: Any = None, shared: bool = False, number: int = 0
    ) -> bytes:
        """Return the device owner's consent to a mandate, or to its product."""
        named = bytes(32) if shared else mandate.agreement_id()
        asked = OwnerConsent(mandate.device, mandate.product, named, number)
        return self.sign_document(
            asked.typed_data(CHAIN_ID, self.rail.address), account or self.owner
        )

    def opening(self, mandate: Mandate) -> list[Any]:
        """Return the arguments of `open`, signed by payer and owner."""
        shared = bool(self.at("MeteredEnergy", mandate.product).traits() & SHARED)
        return [mandate.as_tuple(), self.signed(mandate), self.consent(mandate, shared=shared)]

    def open(self, mandate: Mandate) -> bytes:
        self.rail.open(*self.opening(mandate), sender=self.stranger)
        return mandate.agreement_id()

    @staticmethod
    def sign_document(document: dict[str, Any], account: Any) -> bytes:
        key = account.private_key
        return bytes(ethereum.Account.sign_typed_data(key, full_message=document).signature)

    def agreements(self, count: int, **changes: Any) -> list[bytes]:
        """Open and fund more agreements, each on a device of its own; return them sorted."""
        agreements = []
        for _ in range(count):
            agreements.append(self.open(self.mandate(**{"device": next(self._spare), **changes})))
            self.mint(10 * EURO, agreements[-1])
        return sorted(agreements)

    # --- claims and settlements

    def claim(
        self, agreement: bytes | None = None, sequence: int = 1, kwh: int = 10, **changes: Any
    ) -> Claim:
        """Return the claim of a sequence; registers and counters continue from claim to claim."""
        begin = self.now0 - 10 * DAY + sequence * DAY // 4
        start, end = (sequence - 1) * kwh * KWH, sequence * kwh * KWH
        plain = Claim(
            agreement=agreement or self.agreement,
            sequence=sequence,
            first_counter=1 + sequence * 10,
            last_counter=9 + sequence * 10,
            evidence=Web3.keccak(text="evidence"),
            facts=facts(start, end, begin, begin + HOUR * 5),
        )
        return replace(plain, **changes)

    def batch(self, *claims: Claim, product: Any = None, rail: Any = None) -> Batch:
        return Batch((rail or self.rail).address, (product or self.product).address, claims)

    def attest(
        self,
        batch: Batch,
        keys: list[bytes] | None = None,
        chain_id: int | None = None,
        committee: Any = None,
    ) -> list[bytes]:
        hashes = [claim_hash(claim) for claim in batch.claims]
        digest = digest_of(
            batch, hashes, chain_id or CHAIN_ID, (committee or self.committee).address
        )
        return [sign(digest, key) for key in (self.oracles[:3] if keys is None else keys)]

    def settle(
        self, *claims: Claim, keys: list[bytes] | None = None, product: Any = None
    ) -> SettlementResult:
        batch = self.batch(*claims, product=product)
        receipt = self.rail.settle(arguments(batch), self.attest(batch, keys), sender=self.stranger)
        return SettlementResult(self, batch, receipt)

    def would_settle(self, batch: Batch, signatures: list[bytes]) -> str:
        return self.refusal(self.rail.settle, arguments(batch), signatures, sender=self.stranger)

    def ruling(
        self,
        payment: bytes,
        refund: bool,
        keys: list[bytes] | None = None,
        rail: Any = None,
        chain_id: int | None = None,
    ) -> list[bytes]:
        kind = Web3.keccak(text="Ruling(address rail,bytes32 payment,bool refund)")
        struct = Web3.keccak(
            encode(
                ["bytes32", "address", "bytes32", "bool"],
                [kind, (rail or self.rail).address, payment, refund],
            )
        )
        separator = domain("proofrail-oracles", self.committee.address, chain_id)
        digest = Web3.keccak(b"\x19\x01" + separator + struct)
        return [sign(digest, key) for key in (self.oracles[:3] if keys is None else keys)]

    def dispute(self, settlement: SettlementResult, index: int = 0) -> bytes:
        """Dispute one of the payments as the payer, who is given the bond; return its id."""
        self.mint(EURO)
        self.token.approve(self.disputes, EURO, sender=self.payer)
        self.disputes.dispute(*settlement.dispute(index), sender=self.payer)
        return settlement.outcomes[index][0]

    def assert_conserved(self) -> None:
        """Assert that the rail's sums are its token balance: no value appears or vanishes."""
        escrow, pending, withdrawable, frozen, _, _ = self.rail.totals()
        held = self.token.balanceOf(self.rail)
        assert escrow + pending + withdrawable + frozen == held


def domain(name: str, contract: str, chain_id: int | None = None) -> bytes:
    kind = Web3.keccak(
        text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    parts = [
        kind,
        Web3.keccak(text=name),
        Web3.keccak(text="2"),
        chain_id or CHAIN_ID,
        contract,
    ]
    return bytes(Web3.keccak(encode(["bytes32"] * 3 + ["uint256", "address"], parts)))


def _is_in(name: str, answer: str) -> bool:
    """Return whether a call answered with this text."""
    return len(name).to_bytes(32, "big").hex() + name.encode().hex() in answer


def _address(key: bytes) -> str:
    return ethereum.Account.from_key(key).address
