"""Challenges by anyone: which faults of a payment's records the contract takes, and its calls.

What proves a claim comes from the store, or from an audit bundle that somebody else sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from device_adapters.types import Rejected
from oracles.attest import claim_hash
from oracles.merkle import climb
from oracles.types import Claim
from orchestrator.core.audit.reading import unbase64, unhex
from orchestrator.core.challenge import (
    REFUSALS,
    TEXTS,
    ChallengeCase,
    ChallengeVerdict,
    ProvenClaim,
    RecordFault,
    challenge_cases,
)
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import ClaimOutcome, outcome_leaf
from orchestrator.core.party_call import ChallengeReason, DisputeReason
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.rails import RAIL, rail_of
from orchestrator.edges.store import Session, agreements, citations, evidence, payments
from orchestrator.errors import Retry
from orchestrator.operations.disputes import BOND_TOKENS
from orchestrator.operations.payee_money import euro
from orchestrator.products import product
from orchestrator.steps.dispute import dispute_call

CONTRACT = "Challenges"


@dataclass(frozen=True, slots=True)
class ChallengeFinding:
    """What the contract says of one challenge.

    Attributes:
        case: The challenge.
        answer: A `ChallengeVerdict`, or the name of the error that the contract ends in.
        barred: How many oracles it would bar.
    """

    case: ChallengeCase
    answer: str
    barred: int = 0

    @property
    def place(self) -> tuple[RecordFault, int, bool]:
        """Return what it is about: fault, record, and which end of the claim."""
        return self.case.fault, self.case.record, self.case.at_end

    @property
    def is_proven(self) -> bool:
        """Return whether the challenge would be won."""
        return self.answer == ChallengeVerdict.PROVEN

    @property
    def text(self) -> str:
        """Return the answer in words."""
        return REFUSALS.get(self.answer) or TEXTS[ChallengeVerdict(self.answer)]


def has_challenges(chain: Chain) -> bool:
    """Return whether this deployment has the contract."""
    return CONTRACT in chain.deployment.addresses


def require_challenges(chain: Chain, rail: str = RAIL) -> None:
    """Raise Rejected (NO_CONTRACT) where no contract takes challenges of a rail's payments."""
    if not has_challenges(chain) or rail != RAIL:
        raise Rejected(
            ChallengeReason.NO_CONTRACT,
            "this rail's contracts are of an earlier release, where no fault of a record can be "
            "proved on chain; nothing was sent. Next: dispute the payment",
        )


def proven_from_store(session: Session, chain: Chain, payment: str) -> ProvenClaim:
    """Return a stored payment's claim with its proofs.

    Raises:
        Rejected: It is on an earlier rail, it is not settled, its settlement cannot be read, or
            its records are others.
    """
    [row] = payments.by_ids(session, [payment])
    agreement = agreements.get(session, row.agreement_id)
    require_challenges(chain, rail_of(chain.deployment, agreement.product_address))
    if not row.settlement_tx or row.amount_micro <= 0:
        raise Rejected(
            ChallengeReason.NOT_SETTLED,
            f"payment {payment} is {row.stage}: only money that a settlement moved can be "
            "challenged; nothing was sent",
        )
    call = dispute_call(session, chain, row, agreement)
    if call is None:
        raise Rejected(
            DisputeReason.UNREADABLE,
            f"the outcomes of settlement {row.settlement_tx} cannot be read, so there is no proof "
            "of this payment; nothing was sent. Next: try again at another node",
        )
    _, _, outcome, root, path = call.args
    records = [body for _, body, _ in evidence.of_payments(session, [payment])[payment]]
    records += [body for _, body, _ in citations.supporting_of(session, payment)]
    claim = Claim(
        bytes.fromhex(row.agreement_id[2:]),
        row.sequence,
        row.first_counter,
        row.last_counter,
        bytes.fromhex(row.evidence_root[2:]),
        bytes.fromhex(row.facts[2:]),
    )
    return ProvenClaim(
        claim,
        (bytes.fromhex(outcome[0][2:]), bytes.fromhex(outcome[1][2:]), *outcome[2:]),
        bytes.fromhex(root[2:]),
        tuple(bytes.fromhex(node[2:]) for node in path),
        tuple(records),
    ).checked()


def proven_from_bundle(chain: Chain, bundle: dict[str, Any]) -> ProvenClaim:
    """Return the claim of an audit bundle, whose shape is checked, with its proofs.

    The contract checks all of it against the chain: a bundle that lies proves nothing.

    Raises:
        Rejected: It is of another chain or rail, or its records are others.
    """
    rail, addresses = bundle["chain"]["rail"], chain.deployment.addresses
    own_rail = (chain.deployment.chain_id, addresses["PaymentRail"].lower())
    if (bundle["chain"]["id"], rail.lower()) != own_rail:
        raise Rejected(
            ChallengeReason.OTHER_CHAIN,
            f"the bundle is of rail {rail} on chain {bundle['chain']['id']}, and this home is of "
            f"rail {own_rail[1]} on chain {own_rail[0]}; nothing was sent. Next: use a home of "
            "that rail",
        )
    part, fields = bundle["settlement"], bundle["batch"]["claims"][bundle["batch"]["position"]]
    claim = Claim(
        unhex(fields["agreement"], "agreement", 32),
        fields["sequence"],
        fields["first_counter"],
        fields["last_counter"],
        unhex(fields["evidence"], "evidence", 32),
        unhex(fields["facts"], "facts"),
    )
    payment = payment_id(claim.agreement, claim.sequence)
    payee = _payee_of(chain, bundle["product"], claim)
    moved = ClaimOutcome(part["amount_micro"], part["refusal"])
    leaf = outcome_leaf(payment, claim_hash(claim), payee.lower(), moved, part["release_at"])
    path = [unhex(node, "settlement.path", 32) for node in part["path"]]
    values = (payee, part["amount_micro"], part["refusal"], part["release_at"])
    records = [
        unbase64(record["record"], "a record")
        for record in (*bundle["evidence"], *bundle["supporting"])
    ]
    return ProvenClaim(
        claim,
        (payment, claim_hash(claim), *values),
        climb(leaf, path),
        tuple(path),
        tuple(records),
    ).checked()


def findings(
    chain: Chain,
    proven: ProvenClaim,
    faults: Sequence[RecordFault] = tuple(RecordFault),
    record: int | None = None,
    other: ProvenClaim | None = None,
) -> list[ChallengeFinding]:
    """Return what the contract says of every challenge, one line for each record and fault.

    Raises:
        Retry: The node does not answer.
    """
    cases = challenge_cases(proven, faults, record, other)
    return list({finding.place: finding for finding in _asked(chain, cases)}.values())


def proven_fault(
    chain: Chain,
    proven: ProvenClaim,
    faults: Sequence[RecordFault],
    record: int | None,
    other: ProvenClaim | None,
) -> ChallengeFinding:
    """Return the first fault that the contract takes.

    Raises:
        Rejected: None is proved, or no challenge of the payment can be.
        Retry: The node does not answer.
    """
    reasons = []
    for finding in _asked(chain, challenge_cases(proven, faults, record, other)):
        if finding.is_proven:
            return finding
        if finding.answer in _OF_THE_PAYMENT:
            raise Rejected(
                _OF_THE_PAYMENT[finding.answer],
                f"no fault of payment {proven.payment} can be proved any more: {finding.text}",
            )
        reasons.append(f"{finding.case.fault} of record {finding.case.record}: {finding.text}")
    raise Rejected(
        ChallengeReason.NOT_PROVEN,
        f"no fault of payment {proven.payment} can be proved on chain ({'; '.join(reasons)})",
    )


def _asked(chain: Chain, cases: Iterable[ChallengeCase]) -> Iterator[ChallengeFinding]:
    """Yield what the contract says, until it has decided about each record and fault."""
    decided = set()
    for case in cases:
        if (case.fault, case.record, case.at_end) in decided:
            continue
        finding = judged(chain, case)
        if finding.answer not in _NEXT_PLACE:
            decided.add(finding.place)
        yield finding


_NEXT_PLACE = (
    ChallengeVerdict.NOT_THAT_NUMBER,
    ChallengeVerdict.COUNTER_USED_ONCE,
)  # another place may hold
_OF_THE_PAYMENT = {  # what the contract says of every challenge of the payment
    "WindowOver": DisputeReason.WINDOW_OVER,
    "NotChallengeable": ChallengeReason.ALREADY_CHALLENGED,
}


def judged(chain: Chain, case: ChallengeCase) -> ChallengeFinding:
    """Return what the contract says of one challenge now.

    Raises:
        Retry: The node does not answer.
    """
    try:
        reason, signers = chain.view(CONTRACT, "judge", case.arguments)
    except Retry as error:
        refusal = str(error).rpartition(" ")[2]
        if refusal not in REFUSALS:
            raise
        return ChallengeFinding(case, refusal)
    return ChallengeFinding(case, list(ChallengeVerdict)[reason], signers.bit_count())


def refunds_payer(chain: Chain, proven: ProvenClaim) -> bool:
    """Return whether a fault refunds the payer: not where a dispute or a challenge ended before."""
    agreement, amount, _ = chain.view("PaymentRail", "frozen", proven.outcome[0])
    return amount > 0 or not any(agreement)


@dataclass(frozen=True, slots=True)
class ChallengeCost:
    """What a challenge takes of who makes it; amounts in micro-euro."""

    bond_micro: int
    balance_micro: int
    allowance_micro: int


def challenge_cost(chain: Chain, proven: ProvenClaim, challenger: str) -> ChallengeCost:
    """Return what a challenge takes."""
    contract = chain.deployment.addresses[CONTRACT]
    return ChallengeCost(
        chain.view(CONTRACT, "bondOf", proven.claim.agreement, proven.outcome[3]),
        chain.view("EuroToken", "balanceOf", challenger),
        chain.view("EuroToken", "allowance", challenger, contract),
    )


def challenge_calls(
    chain: Chain, finding: ChallengeFinding, cost: ChallengeCost, challenger: str
) -> list[Call]:
    """Return the calls of a challenge: approve the exact bond where needed, then challenge.

    Raises:
        Rejected: The challenge would be lost, or the challenger's tokens do not cover the bond.
    """
    if not finding.is_proven:
        raise Rejected(
            ChallengeReason.NOT_PROVEN,
            f"the challenge would fail: {finding.text}. It costs {euro(cost.bond_micro)}; nothing "
            "was sent",
        )
    if cost.balance_micro < cost.bond_micro:
        raise Rejected(
            DisputeReason.BOND_SHORT,
            f"{challenger} holds {euro(cost.balance_micro)} and the bond is "
            f"{euro(cost.bond_micro)}, which comes back at once; nothing was sent. Next: "
            f"{BOND_TOKENS}",
        )
    call = Call(CONTRACT, "challenge", (finding.case.arguments,))
    if cost.allowance_micro >= cost.bond_micro:
        return [call]
    contract = chain.deployment.addresses[CONTRACT]
    return [Call("EuroToken", "approve", (contract, cost.bond_micro)), call]


def _payee_of(chain: Chain, product_name: str, claim: Claim) -> str:
    """Return the payee that the claim names, else the agreement's."""
    named = product(product_name).payee(claim.facts)
    return named or chain.view("PaymentRail", "agreementTerms", claim.agreement)[1]
