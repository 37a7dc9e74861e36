"""What a settlement returned: amounts, refusals, outcomes, and the proofs that follow from them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eth_abi import decode, encode
from web3 import Web3

from device_adapters.types import Rejected
from oracles import merkle
from oracles.attest import claim_hash
from oracles.types import Batch, Claim, SkippedClaim
from orchestrator.core.batch_bytes import Group, batch_argument
from orchestrator.core.claim_skip import skip_document
from orchestrator.core.mandate import Mandate
from orchestrator.core.outcome import ClaimOutcome, Window, release_time
from orchestrator.products import shared_terms
from services.testnet import CHAIN_ID

if TYPE_CHECKING:
    from tests.support.contracts.contract_rail import ContractRail

NOBODY = "0x" + "00" * 20
REFUSALS = (
    "None",
    "UnknownAgreement",
    "WrongProduct",
    "NotLive",
    "Expired",
    "SequenceUnexpected",
    "CountersReplayed",
    "CountersMalformed",
    "DomainMissing",
    "CapExceeded",
    "EscrowShort",
    "Unsorted",
)


class SettlementResult:
    """What one settlement returned, and the proofs that follow from it."""

    def __init__(self, contracts: ContractRail, batch: Batch, receipt: Any) -> None:
        event = next(log for log in receipt.events if log.event_name == "Settled")
        self.receipt, self.batch, self.gas = receipt, batch, receipt.gas_used
        self.number, self.root = event.settlement, bytes(event.root)
        packed = bytes(event.outcomes)
        rows = [packed[at : at + 7] for at in range(0, len(packed), 7)]
        self.amounts = [int.from_bytes(row[:6], "big", signed=True) for row in rows]
        self.refusals = [row[6] for row in rows]
        self.outcomes = [
            self._outcome(contracts, claim, amount, refusal, event.settledAt)
            for claim, amount, refusal in zip(
                batch.claims, self.amounts, self.refusals, strict=True
            )
        ]
        self.leaves = [outcome_leaf(outcome) for outcome in self.outcomes]

    @staticmethod
    def _outcome(
        contracts: ContractRail, claim: Claim, amount: int, refusal: int, at: int
    ) -> tuple:
        payment = payment_id(claim.agreement, claim.sequence)
        if refusal:
            return (payment, claim_hash(claim), NOBODY, 0, refusal, 0)
        _, payee, _, _, _, _, window, _ = contracts.rail.agreementTerms(claim.agreement)
        payee = contracts.payee_of(claim) if payee == NOBODY else payee
        release_at = release_time(
            ClaimOutcome(amount, 0), at, Window(window, contracts.mandate_version)
        )
        return (payment, claim_hash(claim), payee, amount, 0, release_at)

    @property
    def named(self) -> list[str]:
        return [REFUSALS[r] if r < 100 else f"product {r - 100}" for r in self.refusals]

    @property
    def release_at(self) -> int:
        return self.outcomes[0][5]

    def dispute(self, index: int = 0) -> list[Any]:
        """Return the arguments of `dispute` for one of the claims."""
        claim = self.batch.claims[index]
        return [
            claim.agreement,
            claim.sequence,
            self.outcomes[index],
            self.root,
            merkle.path(self.leaves, index),
        ]


_GROUPS: dict[bytes, Group] = {}  # of each agreement that a test has a mandate of
_NONE = Group(NOBODY, 0, 0, 0, 0, 0)


def known(mandate: Mandate, product: str = "metered_energy") -> Mandate:
    """Remember what a mandate has in common with others, for `arguments`.

    product: Its name; "" for one that only tests have.
    """
    shared = 0
    if product:
        with suppress(Rejected):  # bad terms are in tests about them, and open no agreement
            shared = shared_terms(product, mandate.terms)
    _GROUPS[mandate.agreement_id()] = Group(
        mandate.payee,
        mandate.cap,
        mandate.period_days,
        mandate.window,
        mandate.required_domain,
        shared,
    )
    return mandate


def group_of(agreement: bytes) -> Group:
    return _GROUPS.get(agreement, _NONE)


def arguments(batch: Batch) -> tuple[Any, ...]:
    """Return a batch as the contract takes it."""
    groups = [group_of(claim.agreement) for claim in batch.claims]
    return batch_argument(batch.product, batch.claims, groups)


def skipping(
    contracts: ContractRail,
    agreement: bytes,
    sequence: int = 1,
    last: int = 19,
    signers: tuple[Any, Any] | None = None,
) -> list[Any]:
    """Return the arguments of `skip`, signed by payer and payee unless others sign."""
    skipped = SkippedClaim(agreement, sequence, last)
    document = skip_document(skipped, CHAIN_ID, contracts.rail.address)
    signers = signers or (contracts.payer, contracts.payee)
    return [agreement, sequence, last, *[contracts.sign_document(document, who) for who in signers]]


def payment_id(agreement: bytes, sequence: int) -> bytes:
    return bytes(Web3.keccak(agreement + sequence.to_bytes(32, "big")))


def outcome_leaf(outcome: tuple) -> bytes:
    kinds = ["bytes32", "bytes32", "address", "int48", "uint8", "uint32"]
    return bytes(Web3.keccak(Web3.keccak(encode(kinds, outcome))))


def plain_facts(amount: int, payee: Any = NOBODY) -> bytes:
    """Return facts of the test double PlainProduct: the answer itself. amount: minor units."""
    return encode(["int48", "address"], [amount, str(payee)])


def plain_payee(claim: Claim) -> str:
    return Web3.to_checksum_address(decode(["int48", "address"], claim.facts)[1])
