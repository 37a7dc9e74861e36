"""Recipients before a ProofOfDelivery whose rail is a test account, and a second opinion on what is
owed: computed from the list of standing statements, where the contract keeps sums."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from itertools import count
from typing import Any

from web3 import Web3

from orchestrator.edges.chain.keystore import development_account
from orchestrator.products.proof_of_delivery import product
from orchestrator.products.proof_of_delivery.abi import DeliveryFacts, DeliveryTerms
from tests.support.contracts.device_keys import DeviceSigner
from tests.support.contracts.forks import Fork

DAY, HOUR = 86_400, 3_600
LIMIT = 2**47 - 1
CASE_DUE = 1_777_636_800  # what cases.json counts its times from
NOTHING = DeliveryFacts(False, *(0,) * 10, b"", b"", b"", b"")
TIMES = ("picked_up_at", "delivered_at", "accepted_at", "signed_at")
_numbers = count(1)


class Yard:
    """The contract, asked by the account that it takes for its rail."""

    def __init__(self, fork: Fork) -> None:
        self.fork = fork
        self.rail = development_account(14).address
        self.owner = development_account(15).address
        self.registry = fork.at["DeviceRegistry"]
        self.contract = self.another()

    def another(self) -> Any:
        """One more contract of the same kind, with the same rail and registry."""
        return self.fork.create("ProofOfDelivery", self.rail, self.registry.address)

    def dock(self, days: int = 30) -> Dock:
        """A recipient's device, enrolled `days` ago, due times lying halfway."""
        number = next(_numbers)
        device = bytes(Web3.keccak(text=f"dock-{number}"))
        key = DeviceSigner.p256(70_000 + number)
        self.fork.enrol(device, key, self.owner)
        enrolled = self.fork.now
        self.fork.chain.mine(1, seconds=days * DAY)
        return Dock(self, device, key, enrolled + days * DAY // 2)

    def terms(self, due: int, **changes: Any) -> DeliveryTerms:
        """Terms without conditions: 1,000 euro for 100 units, 20/50/30, 0.5 % an hour late."""
        plain = DeliveryTerms(
            Web3.keccak(text="sscc:340123450000000017"),
            Web3.keccak(text="truck-1"),
            bytes(32),
            1_000_000_000,
            100,
            2_000,
            5_000,
            3_000,
            due,
            due + 7 * DAY,
            50,
            2_000,
        )
        return DeliveryTerms(*map(_plain, plain._replace(**changes)))


class Dock:
    """One recipient's device. Times of `state` count from `due`."""

    def __init__(self, yard: Yard, device: bytes, key: DeviceSigner, due: int) -> None:
        self.yard, self.device, self.key, self.due = yard, device, key, due

    def open(self, terms: DeliveryTerms | None = None, contract: Any = None) -> Consignment:
        agreed = terms or self.yard.terms(self.due)
        agreement = bytes(Web3.keccak(text=f"agreement {next(_numbers)}"))
        target = contract or self.yard.contract
        raw = product.encode_terms(agreed)
        self.yard.fork.send(target, "open", agreement, self.device, raw, sender=self.yard.rail)
        return Consignment(self, agreement, agreed, target)

    def sign(self, text: str) -> tuple[bytes, bytes, bytes]:
        """digest, r and s over a document."""
        digest = hashlib.sha256(text.encode()).digest()
        return digest, *self.key.sign(digest)


class Consignment:
    """One agreement of a recipient."""

    def __init__(self, dock: Dock, agreement: bytes, terms: DeliveryTerms, contract: Any) -> None:
        self.dock, self.agreement, self.terms, self.contract = dock, agreement, terms, contract

    def facts(self, said: Mapping[str, Any], signed: tuple = (), shift: int = 0) -> DeliveryFacts:
        """Facts as cases.json writes them (what is zero left out), freshly signed if not told."""
        said = dict(said)
        name = str(said.pop("statement", "one"))
        times = {key: said[key] + shift for key in TIMES if key in said}
        said |= {"signed_at": max(times.values(), default=self.dock.due)} | times
        digest, r, s = signed or self.dock.sign(f"document {next(_numbers)}")
        statement = hashlib.sha256(name.encode()).digest()
        return NOTHING._replace(statement=statement, digest=digest, r=r, s=s, **said)

    def ask(self, facts: DeliveryFacts | bytes, limit: int = LIMIT) -> tuple[int, str]:
        """(amount, name of the refusal) that this claim would get; changes nothing."""
        (answer,) = self._call(self.dock.yard.fork.ask, facts, limit)
        amount, refusal, payee = answer
        assert int(payee, 16) == 0
        return amount, product.REFUSALS.get(refusal, "")

    def state(self, facts: DeliveryFacts | bytes, limit: int = LIMIT) -> tuple[int, str]:
        """The same, and the claim is priced for good."""
        answer = self.ask(facts, limit)
        self.gas = self._call(self.dock.yard.fork.send, facts, limit)["gasUsed"]
        return answer

    def _call(self, way: Any, facts: DeliveryFacts | bytes, limit: int) -> Any:
        raw = facts if isinstance(facts, bytes) else product.encode_facts(facts)
        quote = (self.agreement, self.dock.device, limit, False, raw)
        return way(self.contract, "price", [quote], sender=self.dock.yard.rail)


def owed(terms: DeliveryTerms, standing: Mapping[bytes, DeliveryFacts]) -> int:
    """What the statements that stand are worth, from scratch: in units x basis points of 1."""
    facts = standing.values()
    received = min(sum(one.received for one in facts), terms.quantity)
    accepted = min(sum(one.accepted for one in facts), received)
    worth = received * terms.delivered_bps + accepted * terms.accepted_bps
    if any(one.picked_up_at for one in facts):
        worth += terms.quantity * terms.picked_up_bps
    late = sum(one.received * _late(terms, one.delivered_at) for one in facts)
    worth -= min(late, received * terms.late_max_bps)
    worth -= received * min(_breaches(terms, list(facts)), terms.breach_max_bps)
    return max(worth, 0) * terms.price // (terms.quantity * 10_000)


def _late(terms: DeliveryTerms, at: int) -> int:
    hours = -(-max(at - terms.due_at, 0) // HOUR)
    return min(hours * terms.late_bps_per_hour, terms.late_max_bps)


def _breaches(terms: DeliveryTerms, facts: list[DeliveryFacts]) -> int:
    warm = [one for one in facts if one.sensed & 1]
    shaken = [one for one in facts if one.sensed & 2]
    thermal = [
        not warm,
        any(one.min_centi_c < terms.min_centi_c for one in warm),
        any(one.max_centi_c > terms.max_centi_c for one in warm),
    ]
    shock = not shaken or any(one.max_milli_g > terms.shock_milli_g for one in shaken)
    return sum(thermal) * terms.breach_bps + shock * terms.shock_bps


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) else bytes(value)
