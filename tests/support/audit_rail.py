"""A small rail for the auditor's tests: real contracts on a real node, real keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from eth_abi import decode, encode

from device_adapters.registry import read
from device_adapters.types import Event, Message, device_id
from oracles.attest import address_of, batch_digest, sign
from oracles.rules import derive_claim
from oracles.types import Agreement, Batch, Claim
from orchestrator.core.audit.blocks import keccak
from orchestrator.core.batch_bytes import Group, batch_argument
from orchestrator.core.identity import payout_account
from orchestrator.core.mandate import FIELDS, VERSION, mandate_hash
from orchestrator.core.outcome import ClaimOutcome, Window, release_time
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.products.metered_energy import product as energy
from tests.support.audit_node import AuditNode

START = 1_760_000_000
ORACLES = sorted((bytes([n]) * 32 for n in (0x31, 0x32, 0x33, 0x34)), key=address_of)
DOMAINS = [1, 1, 2, 3]
PAYER = b"\x41" * 32
IBAN = "DE89370400440532013000"
WINDOW = 3600
FISCAL = 1 << 39
PRICE = 300_000  # micro-euro per kWh


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S,000+0000 S")


class AuditMeter:
    """A meter with P-256 keys that signs OCMF records of the fiscal stream."""

    def __init__(self, name: str, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self.name, self.id = name, device_id(name)
        self.key = key or ec.generate_private_key(ec.SECP256R1())

    def record(self, counter: int, *values: Any) -> bytes:
        """A record of one reading (Unix seconds, kWh), or of several as (seconds, kWh, status)."""
        readings = values if isinstance(values[0], tuple) else ((*values, "G"),)
        readings = ",".join(
            f'{{"TM":"{_moment(at)}","RV":{kwh},"RI":"1-0:1.8.0","RU":"kWh","ST":"{status}"}}'
            for at, kwh, status in readings
        )
        payload = (
            f'{{"FV":"1.4","PG":"F{counter}","MS":"{self.name}","IS":false,"RD":[{readings}]}}'
        )
        seal = self.key.sign(payload.encode(), ec.ECDSA(hashes.SHA256())).hex()
        return f'OCMF|{payload}|{{"SD":"{seal}"}}'.encode()

    def point(self) -> tuple[bytes, bytes]:
        numbers = self.key.public_key().public_numbers()
        return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")

    def sign(self, digest: bytes) -> tuple[bytes, bytes]:
        der = self.key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return tuple(part.to_bytes(32, "big") for part in decode_dss_signature(der))


@dataclass
class AuditAgreement:
    """An agreement and what its device said."""

    device: AuditMeter
    mandate: dict
    signature: bytes
    records: list[bytes] = field(default_factory=list)

    @property
    def id(self) -> bytes:
        return mandate_hash(typed(self.mandate), VERSION)

    def agreement(self) -> Agreement:
        terms = bytes.fromhex(self.mandate["terms"][2:])
        return Agreement(
            self.id,
            self.device.name,
            self.device.id,
            "metered_energy",
            terms,
            0,
            0,
            FISCAL,
            subject=energy.subject(terms),
        )


class AuditRail:
    """The deployed contracts, and every step of a payment as one method."""

    def __init__(self, node: AuditNode) -> None:
        self.node = node
        self.groups: dict[bytes, Group] = {}  # of each agreement
        # the deployer acts as steward while the set-up is open
        self.steward, self.payee, steward, guardian = node.call("eth_accounts")[:4]
        self.artifacts = load_artifacts()
        members = [address_of(key) for key in ORACLES]
        me = self.steward
        roles = ["address", "uint32", f"({','.join(['address'] * 5)})"]
        access = self.deploy("RailAccess", roles, [me, 0, (steward, guardian, me, me, me)])
        self.committee_tx, self.committee = self._deployed(
            "OracleCommittee",
            ["address", "address[]", "uint8[]", "uint256"],
            [access, members, DOMAINS, 2],
        )
        self.registry = self.deploy(
            "DeviceRegistry", ["address"] * 3, [access, self.committee, "0x" + "00" * 20]
        )
        self.token = self.deploy("EuroToken", ["address"], [access])
        parties = [access, self.token, self.committee, self.registry]
        self.rail = self.deploy("PaymentRail", ["address"] * 4, parties)
        self.send(self.registry, "watch(address)", [self.rail])
        parties = [self.rail, self.registry]
        self.product = self.deploy("MeteredEnergy", ["address", "address"], parties)
        self.send(self.rail, "allowProduct(address)", [self.product])
        account = [payout_account(IBAN), 0]
        self.send(self.rail, "setPayoutAccount(bytes32,uint48)", account, sender=self.payee)
        self.mine()

    def mine(self, at: int | None = None) -> None:
        if at is not None:
            self.node.call("evm_setNextBlockTimestamp", at)
        self.node.call("evm_mine")

    def deploy(self, name: str, types: list[str], values: list) -> str:
        return self._deployed(name, types, values)[1]

    def _deployed(self, name: str, types: list[str], values: list) -> tuple[str, str]:
        data = self.artifacts[name].bytecode + encode(types, values).hex()
        tx = self._transaction({"from": self.steward, "data": data})
        self.mine()
        return tx, self.node.call("eth_getTransactionReceipt", tx)["contractAddress"]

    def send(self, to: str, signature: str, values: list, sender: str = "") -> str:
        inner = signature[signature.index("(") + 1 : -1]
        data = keccak(signature.encode())[:4] + encode(_split(inner), values)
        fields = {"from": sender or self.steward, "to": to, "data": "0x" + data.hex()}
        return self._transaction(fields)

    def _transaction(self, fields: dict) -> str:
        return self.node.call("eth_sendTransaction", fields | {"gas": hex(16_000_000)})

    def enrol(self, device: AuditMeter, expires_at: int = 0) -> str:
        owner, (x, y) = self.steward, device.point()
        digest = sha256(
            encode(
                ["string", "uint256", "address", "bytes32", "address"],
                ["proofrail/enrol/v1", 31337, self.registry, device.id, owner],
            )
        ).digest()
        values = [device.id, 0, x, y, owner, b"\x07" * 32, expires_at, *device.sign(digest)]
        kinds = "bytes32,uint8,bytes32,bytes32,address,bytes32,uint40,bytes32,bytes32"
        return self.send(self.registry, f"enrol({kinds})", values)

    def rotate(self, device: AuditMeter, expires_at: int = 0) -> str:
        new = AuditMeter(device.name)
        values = [device.id, 0, *new.point(), expires_at]
        digest = sha256(
            encode(
                [
                    "string",
                    "uint256",
                    "address",
                    "bytes32",
                    "uint8",
                    "bytes32",
                    "bytes32",
                    "uint40",
                    "uint256",
                ],
                ["proofrail/rotate/v1", 31337, self.registry, *values, 1],
            )
        ).digest()
        values += [*device.sign(digest), *new.sign(digest)]
        device.key = new.key
        kinds = "bytes32,uint8,bytes32,bytes32,uint40,bytes32,bytes32,bytes32,bytes32"
        return self.send(self.registry, f"rotate({kinds})", values)

    def key_at(self, device: AuditMeter, at: int) -> tuple[int, bytes, bytes]:
        """(status, x, y) as the registry on chain answers."""
        data = keccak(b"keyAt(bytes32,uint40)")[:4] + encode(["bytes32", "uint40"], [device.id, at])
        call = {"to": self.registry, "data": "0x" + data.hex()}
        answer = bytes.fromhex(self.node.call("eth_call", call, "latest")[2:])
        status, _, x, y = decode(["uint8", "uint8", "bytes32", "bytes32"], answer)
        return status, x, y

    def deal(self, device: AuditMeter, salt: int, **changes: Any) -> AuditAgreement:
        """An agreement about a meter; changes: other fields of its mandate."""
        terms = energy.encode_terms(energy.EnergyTerms(PRICE, 22_000, True, 0))
        mandate = {
            "payer": address_of(PAYER).lower(),
            "payee": self.payee.lower(),
            "device": "0x" + device.id.hex(),
            "product": self.product.lower(),
            "cap": 500_000_000,
            "periodDays": 30,
            "window": WINDOW,
            "start": 0,
            "expiry": START + 10_000_000,
            "firstCounter": FISCAL,
            "requiredDomain": 2,
            "bond": 10_000_000,
            "schedule": 0,
            "fleet": "0x" + "00" * 32,
            "cites": "0x" + "00" * 32,
            "salt": "0x" + salt.to_bytes(32, "big").hex(),
            "terms": "0x" + terms.hex(),
            **changes,
        }
        names = [keccak(b"proofrail"), keccak(b"2"), 31337, self.rail]
        domain_type = (
            b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
        )
        domain = keccak(
            encode(
                ["bytes32", "bytes32", "bytes32", "uint256", "address"],
                [keccak(domain_type), *names],
            )
        )
        digest = keccak(b"\x19\x01" + domain + mandate_hash(typed(mandate), VERSION))
        deal = AuditAgreement(device, mandate, sign(digest, PAYER))
        self.groups[deal.id] = self._group(mandate)
        return deal

    def _group(self, mandate: dict) -> Group:
        is_energy = mandate["product"] == self.product.lower()
        names = ("payee", "cap", "periodDays", "window", "requiredDomain")
        terms = bytes.fromhex(mandate["terms"][2:])
        shared = energy.shared_terms(terms) if is_energy else 0
        return Group(*(mandate[name] for name in names), shared)

    def open(self, deal: AuditAgreement) -> str:
        kinds = f"({','.join(kind for _, kind in FIELDS[VERSION])})"
        values = [tuple(typed(deal.mandate).values()), deal.signature, b""]  # the caller owns it
        return self.send(self.rail, f"open({kinds},bytes,bytes)", values)

    def fund(self, deal: AuditAgreement, micro: int) -> str:
        values = [sha256(deal.id).digest(), self.rail, deal.id, micro]
        return self.send(self.token, "mintToEscrow(bytes32,address,bytes32,uint256)", values)

    def redeem_own(self, micro: int) -> str:
        """A holder redeems tokens of its own for the payee, as anybody may."""
        self.send(self.token, "mint(bytes32,address,uint256)", [b"\7" * 32, self.steward, micro])
        self.mine()
        values = [self.payee, payout_account(IBAN), micro]
        redeemed = self.send(self.token, "redeem(address,bytes32,uint256)", values)
        self.mine()
        return redeemed

    def settle(self, claims: list[Claim], signers: list[bytes], product: str = "") -> str:
        claims = sorted(claims, key=lambda claim: claim.agreement)
        product = product or self.product
        batch = Batch(self.rail, product, tuple(claims))
        digest = batch_digest(batch, 31337, self.committee)
        groups = [self.groups[claim.agreement] for claim in claims]
        kinds = "(address,(address,uint48,uint16,uint32,uint8,uint256)[],bytes)"
        values = [batch_argument(product, claims, groups), [sign(digest, key) for key in signers]]
        return self.send(self.rail, f"settle({kinds},bytes[])", values)

    def release_at(self, tx: str) -> int:
        """When the money of a settlement may be released."""
        return release_time(ClaimOutcome(1, 0), self.settled_at(tx), Window(WINDOW))

    def settled_at(self, tx: str) -> int:
        receipt = self.node.call("eth_getTransactionReceipt", tx)
        assert receipt["status"] == "0x1", "the transaction reverted"
        block = self.node.call("eth_getBlockByHash", receipt["blockHash"], False)
        return int(block["timestamp"], 16)


def event_of(record: bytes) -> Event:
    [event] = read(Message(protocol="ocmf", device="", body=record, source="file"))
    assert isinstance(event, Event), event
    return event


def claim_of(
    deal: AuditAgreement, sequence: int, anchor: bytes | None, records: list[bytes]
) -> Claim:
    start = event_of(anchor) if anchor else None
    return derive_claim(deal.agreement(), energy, sequence, start, [event_of(r) for r in records])


def typed(mandate: dict) -> dict:
    """A mandate's fields in the contract's order, bytes as bytes."""
    return {
        name: bytes.fromhex(mandate[name][2:]) if kind.startswith("bytes") else mandate[name]
        for name, kind in FIELDS[VERSION]
    }


def _split(inner: str) -> list[str]:
    """The types of a signature's arguments, split at the commas outside parentheses."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(inner):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts, start = [*parts, inner[start:place]], place + 1
    return [*parts, inner[start:]]
