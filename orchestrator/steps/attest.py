"""From claims to a quorum: asks the oracles for whole batches, then narrows down what they refuse.

An oracle that is down, late or lying costs nothing but its own signature. A claim that a quorum can
no longer sign is rejected with the oracles' reason, and never blocks its neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from device_adapters.registry import load
from device_adapters.types import Message
from oracles.attest import batch_digest
from oracles.quorum import Missing, Reached, reached
from oracles.types import Attestation, Batch, Claim, ClaimReason
from oracles.wire import OracleAnswer, Request
from orchestrator.core.batch_bytes import CLAIM_BYTES
from orchestrator.core.committee import Committee
from orchestrator.core.payment import Fact, NextStep, Stage
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.oracles import OracleClient, lacking
from orchestrator.edges.store import (
    Session,
    Store,
    agreements,
    batches,
    citations,
    evidence,
    payments,
)
from orchestrator.errors import Retry
from orchestrator.products import deployed
from orchestrator.settings import Settings
from orchestrator.steps import WorkerMemory
from orchestrator.steps.claims import anchor_of
from orchestrator.steps.lost_quorum import doubtful
from orchestrator.steps.moved import attestable
from orchestrator.steps.signatures import equivocators

# refusals that time or evidence may cure; every other one is final
_PASSING = (ClaimReason.EVIDENCE_MISSING, ClaimReason.SEQUENCE_UNEXPECTED, ClaimReason.UNAUTHORISED)
_PATIENCE_S = (1, 2, 5, 15, 60)
_EVIDENCE_BYTES = 4 * 1024 * 1024  # in one request: oracles limit its size
_BATCH_BYTES = 120_000  # of claims in one settlement: nodes take no transaction above 128 KiB


class AttestContext(Protocol):
    """What attest needs of the rail."""

    settings: Settings
    store: Store
    chain: Chain
    oracles: Sequence[OracleClient]
    committee: Callable[[], Committee]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


_Row = tuple[payments.PaymentRow, agreements.AgreementRow]


@dataclass(frozen=True, slots=True)
class _Round:
    """One question to all oracles, with their answers."""

    committee: Committee
    batch: Batch
    digest: bytes
    answers: list[OracleAnswer | Retry]
    result: Reached | Missing
    signed: dict[str, Attestation]  # oracle name -> its valid attestation


def attest(context: AttestContext) -> int:
    """Ask the oracles to sign due claims; return how many reached their quorum."""
    now = context.now()
    with context.store.read() as session:
        asked = payments.due(session, NextStep.ATTEST, now, context.settings.batch_claims)
    due = attestable(context, asked, now)
    # one batch is for one contract: each version of a product has its own
    versions = {
        address: name for name, (address, _) in deployed(context.chain.deployment.addresses).items()
    }
    return sum(
        _attest(context, versions.get(address, product), rows)
        for product, address in sorted({(row.product, row.product_address) for _, row in due})
        for rows in _fitting(
            [item for item in due if item[1].product_address == address],
            context.memory.claims_that_fit.get(product, len(due)),
        )
    )


def _fitting(rows: list[_Row], size: int) -> list[list[_Row]]:
    """Split rows into as many batches as are needed for each to fit one settlement."""
    fitting, left = [], 0
    for row in rows:
        needed = CLAIM_BYTES + len(row[0].facts) // 2
        if not fitting or len(fitting[-1]) == size or needed > left:
            fitting.append([])
            left = _BATCH_BYTES
        fitting[-1].append(row)
        left -= needed
    return fitting


def _attest(context: AttestContext, product: str, rows: list[_Row]) -> int:
    rows = sorted(rows, key=lambda item: item[0].agreement_id)
    round_ = _ask(context, product, rows)
    if isinstance(round_.result, Reached):
        return len(rows) if _keep(context, rows, round_) else 0
    refused = _refused(context.oracles, round_)
    unsigned = round_.result.required_domains
    blocked = {
        index for index, (_, agreement) in enumerate(rows) if agreement.required_domain in unsigned
    } - refused
    if len(rows) == 1 or not (refused or 0 < len(blocked) < len(rows)):
        _give_up(context, rows, round_)
        return 0
    if blocked:  # the only domain that may sign for them is down: their neighbours go on
        _give_up(context, [rows[index] for index in sorted(blocked)], round_)
    clean = [row for index, row in enumerate(rows) if index not in refused | blocked]
    signed = _attest(context, product, clean) if clean else 0
    return signed + sum(_attest(context, product, [rows[index]]) for index in sorted(refused))


def _refused(oracles: Sequence[OracleClient], round_: _Round) -> set[int]:
    """Return the claims to ask about alone.

    Those are the claims that more members refuse than may be dishonest. Only where there is none,
    the word of a single member counts: else one that refuses everything makes batches of one.
    """
    refusals = Counter(
        index
        for oracle, answer in zip(oracles, round_.answers, strict=True)
        if isinstance(answer, OracleAnswer) and oracle.address in round_.committee.members
        for index in {refusal.index for refusal in answer.refusals}
    )
    tolerated = round_.committee.tolerated
    return {index for index, count in refusals.items() if count > tolerated} or set(refusals)


def _ask(context: AttestContext, product: str, rows: list[_Row]) -> _Round:
    """Ask all oracles; ask again, with the evidence, only those that lack it and are needed."""
    request = Request(product, tuple(claim_of_row(row) for row, _ in rows))
    tally = _Tally(context, rows, request)
    answers = context.memory.calls.ask_all(
        context.oracles,
        [request] * len(context.oracles),
        lambda answers: isinstance(tally.result(tally.signed(answers)), Reached),
    )
    round_ = tally.round(answers)
    lacking_evidence = [index for index, answer in enumerate(answers) if lacking(answer)]
    if isinstance(round_.result, Reached) or not lacking_evidence:
        return round_
    requests = [
        replace(
            request,
            evidence=_evidence_of(
                context, [rows[claim] for claim in sorted(lacking(answers[index]))]
            ),
        )
        for index in lacking_evidence
    ]
    second_answers = context.memory.calls.ask_all(
        [context.oracles[index] for index in lacking_evidence], requests
    )
    for index, answer in zip(lacking_evidence, second_answers, strict=True):
        answers[index] = answer
    return tally.round(answers)


class _Tally:
    """Counts the answers to one question by the committee as it was when it was asked."""

    def __init__(self, context: AttestContext, rows: list[_Row], request: Request) -> None:
        deployment = context.chain.deployment
        rail, product = deployment.addresses["PaymentRail"], rows[0][1].product_address
        self._context, self._committee = context, context.committee()
        self._batch = Batch(rail, product, request.claims)
        committee = deployment.addresses["OracleCommittee"]
        self._digest = batch_digest(self._batch, deployment.chain_id, committee)
        self._required = {agreement.required_domain for _, agreement in rows}

    def signed(self, answers: Sequence[OracleAnswer | Retry]) -> dict[str, Attestation]:
        """Return {oracle's name: its valid attestation}."""
        return {
            oracle.name: attestation
            for oracle, answer in zip(self._context.oracles, answers, strict=True)
            if isinstance(answer, OracleAnswer)
            and (attestation := oracle.attestation(answer, self._digest))
        }

    def result(
        self, signed: Mapping[str, Attestation], untrusted: Collection[str] = ()
    ) -> Reached | Missing:
        """Return whether these are a quorum without the untrusted oracles, and which to send."""
        committee = self._committee
        members = {at: domain for at, domain in committee.members.items() if at not in untrusted}
        last, spare = doubtful(self._context.memory.signers, self._context.now())
        return reached(
            signed.values(),
            members,
            committee.need,
            committee.min_domains,
            self._required,
            last,
            spare,
        )

    def round(self, answers: Sequence[OracleAnswer | Retry]) -> _Round:
        """Store the signatures and return the answers with their result."""
        signed = self.signed(answers)
        untrusted = equivocators(self._context, self._batch, self._digest, signed.values())
        result = self.result(signed, untrusted)
        return _Round(self._committee, self._batch, self._digest, list(answers), result, signed)


def claim_of_row(row: payments.PaymentRow) -> Claim:
    """Return the claim as it was derived and stored."""
    return Claim(
        bytes.fromhex(row.agreement_id[2:]),
        row.sequence,
        row.first_counter,
        row.last_counter,
        bytes.fromhex(row.evidence_root[2:]),
        bytes.fromhex(row.facts[2:]),
    )


def _evidence_of(context: AttestContext, rows: Sequence[_Row]) -> tuple[Message, ...]:
    """Return the records behind claims, for oracles that lack them.

    They include the last record before each claim and what the claim cites. What exceeds the size
    of one request is left out: its claims are refused, and then asked alone.
    """
    messages: list[Message] = []
    with context.store.read() as session:
        ids = [row.payment_id for row, _ in rows]
        records_by_payment, cited = (
            evidence.of_payments(session, ids),
            citations.cited_by(session, ids),
        )
        for row, _ in rows:
            if sum(len(message.body) for message in messages) > _EVIDENCE_BYTES:
                break
            anchor = anchor_of(session, row)
            records = [anchor] if anchor else []
            records += [
                evidence.Record(body, protocol, event.assurance, event.gateway)
                for event, body, protocol in records_by_payment[row.payment_id]
            ]
            records += cited[row.payment_id]
            records += _behind(session, records_by_payment[row.payment_id])
            messages += [
                Message(record.protocol, "", record.body, source="http")
                for record in dict.fromkeys(records)
            ]
    return tuple(messages)


def _behind(
    session: Session, records: Sequence[tuple[evidence.EventRow, bytes, str]]
) -> list[evidence.Record]:
    """Return what the gateways of a run signed for other meters meanwhile, with their counter.

    Without it an oracle cannot know that no record of the run is missing there.
    """
    signers = {
        (event.gateway, protocol)
        for event, _, protocol in records
        if event.gateway and load(protocol).counted_by_signer
    }
    return [
        record
        for gateway, protocol in sorted(signers)
        for record in evidence.records_behind(
            session,
            gateway,
            records[0][0].device_id,
            protocol,
            records[0][0].counter,
            records[-1][0].counter,
        )
    ]


def _keep(context: AttestContext, rows: list[_Row], round_: _Round) -> bool:
    """Store the quorum's signatures with the new stage, before anything is sent.

    Returns:
        False where a payment of the batch was held meanwhile: the others are asked about again.
    """
    now, digest, detail = (
        context.now(),
        "0x" + round_.digest.hex(),
        _detail(context.oracles, round_),
    )
    oracles = {oracle.address: oracle for oracle in context.oracles}
    ids = [row.payment_id for row, _ in rows]
    with context.store.write() as session:
        if payments.still_at(session, ids, Stage.VERIFIED) != set(ids):
            context.log.info("attestations not kept: a payment was held", batch=digest)
            return False
        payments.set_attestations(
            session,
            digest,
            [
                payments.AttestationRow(
                    batch_digest=digest,
                    oracle=attestation.oracle,
                    name=oracles[attestation.oracle].name,
                    domain=oracles[attestation.oracle].domain,
                    signature="0x" + attestation.signature.hex(),
                )
                for attestation in round_.result.attestations
            ],
        )
        batches.keep(session, digest, ids)
        # the same claims may be attested again once there are funds: the digest alone is not unique
        key, sets = f"{digest}:{now}", {"batch_digest": digest}
        payments.record_facts(
            session,
            [payments.NewFact(payment, Fact.ATTESTED, key, detail, sets) for payment in ids],
            now,
        )
    context.log.info("attested", batch=digest, payments=ids)
    return True


def _give_up(context: AttestContext, rows: list[_Row], round_: _Round) -> None:
    """Postpone the claims, or reject one that too many oracles refuse for good."""
    now, ids = context.now(), [row.payment_id for row, _ in rows]
    members = round_.committee.members
    reasons = Counter(
        reason
        for oracle, answer in zip(context.oracles, round_.answers, strict=True)
        if oracle.address in members and (reason := _last_word(answer)) is not None
    )
    detail = _detail(context.oracles, round_)
    with context.store.write() as session:
        if len(rows) == 1 and not payments.still_at(session, ids, Stage.VERIFIED):
            return  # it was held meanwhile, and is asked about again when it goes on
        if len(rows) == 1 and reasons.total() > round_.committee.tolerated:
            reason, _ = reasons.most_common(1)[0]
            fact = Fact.LAPSED if reason == ClaimReason.AGREEMENT_NOT_LIVE else Fact.DOUBTED
            key = f"0x{round_.digest.hex()}:{now}"  # a ruling may let it be tried again
            new_fact = payments.NewFact(ids[0], fact, key, detail, {"reason": str(reason)})
            payments.record_facts(session, [new_fact], now)
        else:
            attempts = max(row.attempts for row, _ in rows)
            due_at = now + _PATIENCE_S[min(attempts, len(_PATIENCE_S) - 1)]
            payments.postpone(session, ids, due_at, detail)
    context.log.warning("no quorum", claims=len(rows), detail=detail)


def _last_word(answer: OracleAnswer | Retry) -> ClaimReason | None:
    """Return why this oracle will never sign. It counts once, however often it refuses."""
    refusals = answer.refusals if isinstance(answer, OracleAnswer) else ()
    return next((refusal.reason for refusal in refusals if refusal.reason not in _PASSING), None)


def _detail(oracles: Sequence[OracleClient], round_: _Round) -> str:
    """Return what each oracle did, as one sentence for the trace."""
    parts = []
    for oracle, answer in zip(oracles, round_.answers, strict=True):
        if oracle.name in round_.signed:
            parts.append(f"{oracle.name} signed")
        elif isinstance(answer, Retry):
            parts.append(f"{oracle.name} is down ({answer})")
        elif answer.signature is not None:
            parts.append(f"{oracle.name} signed another claim than the one it was asked about")
        else:
            reasons = sorted({str(refusal.reason) for refusal in answer.refusals})
            parts.append(f"{oracle.name} refused: {', '.join(reasons)}")
    return "; ".join(parts)
