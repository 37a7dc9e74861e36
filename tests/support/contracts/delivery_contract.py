"""ProofOfDelivery with a test double as its rail, and recipients that sign statements.

`owed` computes again, from the list of standing statements, what the contract keeps as sums.
"""

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


class DeliveryContract:
    """The contract, called by the test double that it takes for its rail."""

    def __init__(self, fork: Fork) -> None:
        self.fork = fork
        self.rail = fork.create("NotingRail", False)
        self.owner = development_account(15).address
        self.until = 2**40 - 1
        self.registry = fork.at["DeviceRegistry"]
        self.contract = self.another()

    def another(self) -> Any:
        """Deploy one more contract of the same kind, with the same rail and registry."""
        return self.fork.create("ProofOfDelivery", self.rail.address, self.registry.address)

    def recipient(self, days: int = 30) -> RecipientDevice:
        """Enrol a recipient's device `days` ago; due times lie halfway."""
        number = next(_numbers)
        device = bytes(Web3.keccak(text=f"dock-{number}"))
        key = DeviceSigner.p256(70_000 + number)
        self.fork.enrol(device, key, self.owner)
        enrolled = self.fork.now
        self.fork.chain.mine(1, seconds=days * DAY)
        return RecipientDevice(self, device, key, enrolled + days * DAY // 2)

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


class RecipientDevice:
    """One recipient's device. Times of `state` count from `due`."""

    def __init__(
        self, delivery: DeliveryContract, device: bytes, key: DeviceSigner, due: int
    ) -> None:
        self.delivery, self.device, self.key, self.due = delivery, device, key, due

    def open(
        self, terms: DeliveryTerms | None = None, contract: Any = None, start: int = 0
    ) -> DeliveryAgreement:
        agreed = terms or self.delivery.terms(self.due)
        agreement = bytes(Web3.keccak(text=f"agreement {next(_numbers)}"))
        target = contract or self.delivery.contract
        opening = agreement, self.device, start, product.encode_terms(agreed)
        delivery = self.delivery
        call = delivery.rail, "open", target.address, *opening
        delivery.fork.send(*call, sender=delivery.owner)
        return DeliveryAgreement(self, agreement, agreed, target)

    def sign(self, text: str) -> tuple[bytes, bytes, bytes]:
        """Return digest, r and s over a document."""
        digest = hashlib.sha256(text.encode()).digest()
        return digest, *self.key.sign(digest)


class DeliveryAgreement:
    """One agreement of a recipient."""

    def __init__(
        self, recipient: RecipientDevice, agreement: bytes, terms: DeliveryTerms, contract: Any
    ) -> None:
        self.recipient, self.agreement, self.terms, self.contract = (
            recipient,
            agreement,
            terms,
            contract,
        )

    def facts(self, fields: Mapping[str, Any], signed: tuple = (), shift: int = 0) -> DeliveryFacts:
        """Return facts as cases.json writes them: what is zero is left out.

        Args:
            fields: the fields of the facts; "event_hash" is a name of ours.
            signed: digest, r and s; a fresh signature without it.
            shift: seconds to add to each time.
        """
        fields = dict(fields)
        name = str(fields.pop("event_hash", "one"))
        times = {key: fields[key] + shift for key in TIMES if key in fields}
        fields |= {"signed_at": max(times.values(), default=self.recipient.due)} | times
        digest, r, s = signed or self.recipient.sign(f"document {next(_numbers)}")
        event_hash = hashlib.sha256(name.encode()).digest()
        return NOTHING._replace(event_hash=event_hash, digest=digest, r=r, s=s, **fields)

    def ask(self, facts: DeliveryFacts | bytes, limit: int = LIMIT) -> tuple[int, str]:
        """Return (amount, name of the refusal) that this claim would get; change nothing."""
        (answer,) = self._call(self.recipient.delivery.fork.ask, facts, limit)
        amount, refusal, payee = answer
        assert int(payee, 16) == 0
        return amount, product.REFUSALS.get(refusal, "")

    def state(self, facts: DeliveryFacts | bytes, limit: int = LIMIT) -> tuple[int, str]:
        """Price the claim for good; return the same as `ask`."""
        answer = self.ask(facts, limit)
        self.gas = self._call(self.recipient.delivery.fork.send, facts, limit)["gasUsed"]
        return answer

    def _call(self, method: Any, facts: DeliveryFacts | bytes, limit: int) -> Any:
        raw = facts if isinstance(facts, bytes) else product.encode_facts(facts)
        delivery = self.recipient.delivery
        quote = quoted(self, raw, limit, delivery.until)
        call = delivery.rail, "price", self.contract.address, [quote]
        return method(*call, sender=delivery.owner)


def quoted(
    agreement: DeliveryAgreement, facts: bytes, limit: int = LIMIT, until: int = 2**40 - 1
) -> tuple[Any, ...]:
    """Return the rail's question about a claim; its counters mean nothing to the contract."""
    return (agreement.agreement, agreement.recipient.device, limit, False, until, 0, 1, 1, facts)


def owed(terms: DeliveryTerms, standing: Mapping[bytes, DeliveryFacts]) -> int:
    """Return what the statements that stand are worth, in token minor units."""
    facts = standing.values()
    received = min(sum(statement.received for statement in facts), terms.quantity)
    accepted = min(sum(statement.accepted for statement in facts), received)
    worth = received * terms.delivered_bps + accepted * terms.accepted_bps
    if any(statement.picked_up_at for statement in facts):
        worth += terms.quantity * terms.picked_up_bps
    late = sum(statement.received * _late(terms, statement.delivered_at) for statement in facts)
    worth -= min(late, received * terms.late_max_bps)
    worth -= received * min(_breaches(terms, list(facts)), terms.breach_max_bps)
    return max(worth, 0) * terms.price // (terms.quantity * 10_000)


def _late(terms: DeliveryTerms, at: int) -> int:
    hours = -(-max(at - terms.due_at, 0) // HOUR)
    return min(hours * terms.late_bps_per_hour, terms.late_max_bps)


def _breaches(terms: DeliveryTerms, facts: list[DeliveryFacts]) -> int:
    warm = [statement for statement in facts if statement.sensed & 1]
    shaken = [statement for statement in facts if statement.sensed & 2]
    thermal = [
        not warm,
        any(statement.min_centi_c < terms.min_centi_c for statement in warm),
        any(statement.max_centi_c > terms.max_centi_c for statement in warm),
    ]
    shock = not shaken or any(statement.max_milli_g > terms.shock_milli_g for statement in shaken)
    return sum(thermal) * terms.breach_bps + shock * terms.shock_bps


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) else bytes(value)
