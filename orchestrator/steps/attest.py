"""From claims to a quorum: asks the oracles for whole batches, and narrows down what they refuse.

An oracle that is down, late or lying costs nothing but its own signature. A claim that a quorum can
no longer sign is rejected by the oracles' reason and never holds up its neighbours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from device_adapters.types import Message
from oracles.attest import batch_digest
from oracles.quorum import Missing, Reached, reached
from oracles.types import Attestation, Batch, Claim, ClaimReason
from oracles.wire import OracleAnswer, Request
from orchestrator.core.payment import Fact, NextStep
from orchestrator.edges.oracles import OracleClient, ask_all, lacking
from orchestrator.edges.store import agreements, batches, evidence, links, payments
from orchestrator.errors import Retry
from orchestrator.steps import StepContext
from orchestrator.steps.collect import anchor_of
from orchestrator.steps.equivocation import equivocators

# refusals that time or evidence may cure; every other one is the oracle's last word
_PASSING = (ClaimReason.EVIDENCE_MISSING, ClaimReason.SEQUENCE_UNEXPECTED, ClaimReason.UNAUTHORISED)
_PATIENCE_S = (1, 2, 5, 15, 60)
_EVIDENCE_BYTES = 4 * 1024 * 1024  # sent along at once: an oracle's request has its limit

_Row = tuple[payments.PaymentRow, agreements.AgreementRow]


@dataclass(frozen=True, slots=True)
class _Round:
    """One question to all oracles and what came of it."""

    batch: Batch
    digest: bytes
    answers: list[OracleAnswer | Retry]
    result: Reached | Missing
    signed: dict[str, Attestation]  # oracle name -> its valid attestation


def attest(rail: StepContext) -> int:
    """Brings due claims to the oracles; returns how many reached their quorum."""
    now = rail.now()
    with rail.store.read() as session:
        due = payments.due(session, NextStep.ATTEST, now, rail.settings.batch_claims)
    products = sorted({agreement.product for _, agreement in due})
    return sum(
        _attest(rail, product, rows)
        for product in products
        for rows in _fitting(
            [item for item in due if item[1].product == product], rail.fits.get(product, len(due))
        )
    )


def _fitting(rows: list[_Row], size: int) -> list[list[_Row]]:
    """As many batches as it takes for each to fit one settlement."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _attest(rail: StepContext, product: str, rows: list[_Row]) -> int:
    rows = sorted(rows, key=lambda item: item[0].agreement_id)
    asked = _ask(rail, product, rows)
    if isinstance(asked.result, Reached):
        _keep(rail, rows, asked)
        return len(rows)
    refused = {r.index for a in asked.answers if isinstance(a, OracleAnswer) for r in a.refusals}
    unsigned = asked.result.required_domains
    lame = {n for n, (_, of) in enumerate(rows) if of.required_domain in unsigned} - refused
    if len(rows) == 1 or not (refused or 0 < len(lame) < len(rows)):
        _give_up(rail, rows, asked)
        return 0
    if lame:  # the only domain that may sign for them is away: their neighbours go on
        _give_up(rail, [rows[index] for index in sorted(lame)], asked)
    clean = [row for index, row in enumerate(rows) if index not in refused | lame]
    kept = _attest(rail, product, clean) if clean else 0
    return kept + sum(_attest(rail, product, [rows[index]]) for index in sorted(refused))


def _ask(rail: StepContext, product: str, rows: list[_Row]) -> _Round:
    """Asks all; only who lacks evidence, and is needed, is asked again with it."""
    request = Request(product, tuple(claim_of_row(row) for row, _ in rows))
    answers = ask_all(rail.oracles, [request] * len(rail.oracles))
    asked = _counted(rail, rows, request, answers)
    wanting = [n for n, answer in enumerate(answers) if lacking(answer)]
    if isinstance(asked.result, Reached) or not wanting:
        return asked
    again = [
        replace(
            request,
            evidence=_evidence_of(rail, [rows[index] for index in sorted(lacking(answers[n]))]),
        )
        for n in wanting
    ]
    answered = ask_all([rail.oracles[n] for n in wanting], again)
    for n, answer in zip(wanting, answered, strict=True):
        answers[n] = answer
    return _counted(rail, rows, request, answers)


def _counted(
    rail: StepContext, rows: list[_Row], request: Request, answers: list[OracleAnswer | Retry]
) -> _Round:
    deployment = rail.chain.deployment
    batch = Batch(deployment.addresses["PaymentRail"], rows[0][1].product_address, request.claims)
    digest = batch_digest(batch, deployment.chain_id, deployment.addresses["OracleCommittee"])
    signed = {
        door.name: attestation
        for door, answer in zip(rail.oracles, answers, strict=True)
        if isinstance(answer, OracleAnswer) and (attestation := door.attestation(answer, digest))
    }
    committee = rail.committee
    untrusted = equivocators(rail, batch, digest, signed.values())
    result = reached(
        signed.values(),
        {member: domain for member, domain in committee.members.items() if member not in untrusted},
        committee.need,
        committee.min_domains,
        {agreement.required_domain for _, agreement in rows},
    )
    return _Round(batch, digest, list(answers), result, signed)


def claim_of_row(row: payments.PaymentRow) -> Claim:
    """The claim as it was derived and stored."""
    return Claim(
        bytes.fromhex(row.agreement_id[2:]),
        row.sequence,
        row.first_counter,
        row.last_counter,
        bytes.fromhex(row.evidence_root[2:]),
        bytes.fromhex(row.facts[2:]),
    )


def _evidence_of(rail: StepContext, rows: Sequence[_Row]) -> tuple[Message, ...]:
    """The records behind claims, with the last record before each and what they cite, for oracles
    that lack them.

    What is too much for one request is left out: its claims are refused, and then asked alone.
    """
    messages: list[Message] = []
    with rail.store.read() as session:
        ids = [row.payment_id for row, _ in rows]
        found, cited = evidence.of_payments(session, ids), links.cited_by(session, ids)
        for row, _ in rows:
            if sum(len(message.body) for message in messages) > _EVIDENCE_BYTES:
                break
            anchor = anchor_of(session, row)
            records = [anchor] if anchor else []
            records += [(body, protocol) for _, body, protocol in found[row.payment_id]]
            records += cited[row.payment_id]
            messages += [
                Message(protocol, "", body, source="http")
                for body, protocol in dict.fromkeys(records)
            ]
    return tuple(messages)


def _keep(rail: StepContext, rows: list[_Row], asked: _Round) -> None:
    """Stores the quorum's signatures with the new stage, before anything is sent."""
    now, digest, detail = rail.now(), "0x" + asked.digest.hex(), _detail(rail.oracles, asked)
    doors = {door.address: door for door in rail.oracles}
    with rail.store.write() as session:
        payments.set_attestations(
            session,
            digest,
            [
                payments.AttestationRow(
                    batch_digest=digest,
                    oracle=a.oracle,
                    name=doors[a.oracle].name,
                    domain=doors[a.oracle].domain,
                    signature="0x" + a.signature.hex(),
                )
                for a in asked.result.attestations
            ],
        )
        batches.keep(session, digest, [row.payment_id for row, _ in rows])
        # the same claims may be attested again, once there are funds: the digest alone is no news
        key, sets = f"{digest}:{now}", {"batch_digest": digest}
        payments.record_facts(
            session,
            [payments.NewFact(row.payment_id, Fact.ATTESTED, key, detail, sets) for row, _ in rows],
            now,
        )


def _give_up(rail: StepContext, rows: list[_Row], asked: _Round) -> None:
    """Later, or never: never once so many refuse for good that no quorum is left."""
    now, ids = rail.now(), [row.payment_id for row, _ in rows]
    final = Counter(
        reason for answer in asked.answers if (reason := _last_word(answer)) is not None
    )
    spare = len(rail.committee.members) - rail.committee.need
    detail = _detail(rail.oracles, asked)
    with rail.store.write() as session:
        if len(rows) == 1 and final.total() > spare:
            reason, _ = final.most_common(1)[0]
            fact = Fact.LAPSED if reason == ClaimReason.AGREEMENT_NOT_LIVE else Fact.DOUBTED
            learned = payments.NewFact(ids[0], fact, "", detail, {"reason": str(reason)})
            payments.record_facts(session, [learned], now)
        else:
            tries = max(row.attempts for row, _ in rows)
            later = now + _PATIENCE_S[min(tries, len(_PATIENCE_S) - 1)]
            payments.postpone(session, ids, later, detail)
    rail.log.warning("no quorum", claims=len(rows), detail=detail)


def _last_word(answer: OracleAnswer | Retry) -> ClaimReason | None:
    """Why this oracle will never sign; its voice counts once, however often it refuses."""
    refusals = answer.refusals if isinstance(answer, OracleAnswer) else ()
    return next((r.reason for r in refusals if r.reason not in _PASSING), None)


def _detail(doors: Sequence[OracleClient], asked: _Round) -> str:
    """What each oracle did, in a sentence a trace can show."""
    words = []
    for door, answer in zip(doors, asked.answers, strict=True):
        if door.name in asked.signed:
            words.append(f"{door.name} signed")
        elif isinstance(answer, Retry):
            words.append(f"{door.name} is down ({answer})")
        elif answer.signature is not None:
            words.append(f"{door.name} signed another claim than its evidence bears")
        else:
            reasons = sorted({str(refusal.reason) for refusal in answer.refusals})
            words.append(f"{door.name} refused: {', '.join(reasons)}")
    return "; ".join(words)
