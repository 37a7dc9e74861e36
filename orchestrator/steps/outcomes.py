"""Reads a settlement's outcome, claim by claim, from its log and its call data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oracles.merkle import root
from oracles.types import Claim
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import ClaimOutcome, leaf_of, leaves_of, release_time, unpack
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.store import Session, Store, agreements, batches, blocks, payments

# IPaymentRail.Refusal, in its order; 100 + n is the product's own refusal n
REFUSALS = (
    "none",
    "unknown_agreement",
    "wrong_product",
    "not_live",
    "expired",
    "sequence_unexpected",
    "counters_replayed",
    "counters_malformed",
    "domain_missing",
    "cap_exceeded",
    "escrow_short",
    "unsorted",
)
_CLAIM = ("agreement", "sequence", "firstCounter", "lastCounter", "evidence", "facts")
_CAP_RETRY_S = 3_600
_NEVER = 1 << 40


class OutcomesContext(Protocol):
    """What reading settlements needs of the rail."""

    store: Store
    chain: Chain
    log: Any


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What the contract did with one claim; amount in micro-euro, below zero for a credit."""

    payment_id: str
    agreement_id: str
    amount_micro: int
    refusal: str  # "none", or why not


def read_outcomes(claims: Sequence[dict], packed: str) -> list[PaymentOutcome]:
    """Pairs the claims of a settlement's call data with the packed outcomes of its log."""
    return [
        PaymentOutcome(
            "0x" + payment_id(claim["agreement"], claim["sequence"]).hex(),
            "0x" + claim["agreement"].hex(),
            outcome.amount_micro,
            _named(outcome.refusal),
        )
        for claim, outcome in zip(claims, _unpacked(packed), strict=False)
    ]


def settled_amounts(packed: str) -> list[int]:
    """What a Settled log moved, claim by claim, in micro-euro; it needs no claims for that.

    Below zero: what it made a payee owe, without moving it.
    """
    return [outcome.amount_micro for outcome in _unpacked(packed)]


def _named(refusal: int) -> str:
    return REFUSALS[refusal] if refusal < len(REFUSALS) else f"product_{refusal - 100}"


def _unpacked(packed: str) -> list[ClaimOutcome]:
    return unpack(bytes.fromhex(packed[2:]))


def settled_facts(
    context: OutcomesContext, log: DecodedLog, claims: Sequence[Claim], now: int
) -> list[payments.NewFact]:
    """The facts that a Settled log of these claims tells of our payments; anyone may have sent the
    settlement."""
    outcomes = read_outcomes(
        [{"agreement": claim.agreement, "sequence": claim.sequence} for claim in claims],
        log.args["outcomes"],
    )
    done = _settled_elsewhere(context, outcomes)
    with context.store.read() as session:
        again = payments.orphanings(session, [o.payment_id for o in outcomes], log.block_hash)
        windows = {
            agreement: row.window_s
            for agreement, row in agreements.by_ids(
                session, {o.agreement_id for o in outcomes}
            ).items()
        }
    return [
        _fact(
            log,
            o,
            payments.sighting(log.block_hash, again.get(o.payment_id, 0)),
            windows.get(o.agreement_id, 0),
            now,
        )
        for o in outcomes
        if o.payment_id not in done
    ]


def claims_of(context: OutcomesContext, log: DecodedLog) -> list[Claim]:
    """The claims that a Settled log speaks of, in its order; [] where none of ours moved."""
    function, arguments = context.chain.call_input(log.tx_hash, "PaymentRail")
    if function == "settle":
        return _called(arguments)
    with context.store.read() as session:
        batch = _batch_of(session, log.args)
    if batch is None:
        context.log.warning("settlement of no batch of ours", tx=log.tx_hash)
        return []  # what it moved is then a break: reconcile compares every Settled log
    return [
        Claim(
            bytes.fromhex(row.agreement_id[2:]),
            row.sequence,
            row.first_counter,
            row.last_counter,
            bytes.fromhex(row.evidence_root[2:]),
            bytes.fromhex(row.facts[2:]),
        )
        for row, _ in batch
    ]


def _called(arguments: dict) -> list[Claim]:
    return [Claim(*(claim[name] for name in _CLAIM)) for claim in arguments["batch"]["claims"]]


def settlement_leaves(chain: Chain, session: Session, log: blocks.ChainLogRow) -> list[bytes]:
    """The leaves under a stored Settled log's root, in its order; [] where they cannot be told."""
    args = json.loads(log.args)
    function, arguments = chain.call_input(log.tx_hash, "PaymentRail")
    if function != "settle":
        batch = _batch_of(session, args)
        return _leaves(batch, args) if batch else []
    claims = _called(arguments)
    ids = ["0x" + payment_id(claim.agreement, claim.sequence).hex() for claim in claims]
    rows = payments.by_ids(session, ids)
    windows = agreements.by_ids(session, {row.agreement_id for row in rows})
    parties = {
        bytes.fromhex(row.agreement_id[2:]): _party(row, windows[row.agreement_id]) for row in rows
    }
    return leaves_of(claims, _unpacked(args["outcomes"]), parties, args["settledAt"])


_Batch = list[tuple[payments.PaymentRow, agreements.AgreementRow]]


def _batch_of(session: Session, args: dict) -> _Batch | None:
    """Of a settlement through another contract, whose call data proves nothing, the log's root
    tells which of our batches it was; None: none, or it settled nothing that lasts."""
    outcomes = _unpacked(args["outcomes"])
    if all(outcome.refusal for outcome in outcomes):
        return None
    wanted = bytes.fromhex(args["root"][2:])
    for batch in batches.of_size(session, args["product"], len(outcomes)):
        if root(_leaves(batch, args)) == wanted:
            return batch
    return None


def _leaves(batch: _Batch, args: dict) -> list[bytes]:
    """The settlement's leaves, had these claims had these outcomes."""
    return [
        leaf_of(
            bytes.fromhex(row.payment_id[2:]),
            bytes.fromhex(row.claim_hash[2:]),
            outcome,
            _party(row, agreement),
            args["settledAt"],
        )
        for (row, agreement), outcome in zip(batch, _unpacked(args["outcomes"]), strict=True)
    ]


def _party(row: payments.PaymentRow, agreement: agreements.AgreementRow) -> tuple[str, int]:
    return payments.payee_of(row, agreement), agreement.window_s


def _settled_elsewhere(context: OutcomesContext, outcomes: list[PaymentOutcome]) -> set[str]:
    """Payments refused for their sequence because the chain has settled it: no refusal of them.

    Some Settled log did it; until that one is read, they wait for it.
    """
    late = [o.payment_id for o in outcomes if o.refusal == "sequence_unexpected"]
    with context.store.read() as session:
        rows = [
            row
            for row in payments.by_ids(session, late)
            if row.stage in (Stage.ATTESTED, Stage.WAITING_FOR_FUNDS)
        ]
    return {
        row.payment_id
        for row in rows
        if context.chain.view("PaymentRail", "agreementState", row.agreement_id)[0] >= row.sequence
    }


def _fact(
    log: DecodedLog, outcome: PaymentOutcome, key: str, window_s: int, now: int
) -> payments.NewFact:
    if outcome.refusal == "none":
        applied = ClaimOutcome(outcome.amount_micro, 0)
        sets = {
            "amount_micro": outcome.amount_micro,
            "settlement_tx": log.tx_hash,
            "release_at": release_time(applied, log.args["settledAt"], window_s),
            "reason": None,
        }
        detail = f"{outcome.amount_micro} micro-euro in {log.tx_hash}"
        return payments.NewFact(outcome.payment_id, Fact.SETTLED, key, detail, sets)
    fact, due_at = Fact.REFUSED, 0
    if outcome.refusal in ("cap_exceeded", "escrow_short"):
        fact = Fact.SHORT
        due_at = now + _CAP_RETRY_S if outcome.refusal == "cap_exceeded" else _NEVER
    elif outcome.refusal == "expired":
        fact = Fact.LAPSED
    sets = {"reason": outcome.refusal}
    return payments.NewFact(outcome.payment_id, fact, key, outcome.refusal, sets, due_at)
