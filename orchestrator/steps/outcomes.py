"""Reads the outcome of a settlement, claim by claim, from its log and its call data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oracles.merkle import root
from oracles.types import Claim
from orchestrator.core.batch_bytes import called_claims
from orchestrator.core.identity import payment_id
from orchestrator.core.outcome import (
    ClaimOutcome,
    Window,
    leaf_of,
    leaves_of,
    refusal_name,
    release_time,
    unpack,
)
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.client import Chain, DecodedLog
from orchestrator.edges.chain.rails import rail_of
from orchestrator.edges.store import Session, Store, agreements, batches, blocks, payments

_CAP_RETRY_S = 3_600
_ATTEST_AGAIN_S = 15
_NEVER = 1 << 40


class OutcomesContext(Protocol):
    """What reading settlements needs of the rail."""

    store: Store
    chain: Chain
    log: Any


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What the contract did with one claim; amount in micro-euro, below zero for a debt."""

    payment_id: str
    agreement_id: str
    amount_micro: int
    refusal: str  # "none", or why not


def read_outcomes(claims: Sequence[Claim], packed: str) -> list[PaymentOutcome]:
    """Pair the claims of a settlement's call data with the packed outcomes of its log."""
    return [
        PaymentOutcome(
            "0x" + payment_id(claim.agreement, claim.sequence).hex(),
            "0x" + claim.agreement.hex(),
            outcome.amount_micro,
            refusal_name(outcome.refusal),
        )
        for claim, outcome in zip(claims, _unpacked(packed), strict=False)
    ]


def settled_amounts(packed: str) -> list[int]:
    """Return what a Settled log moved, claim by claim, in micro-euro; it needs no claims for that.

    An amount below zero moved nothing: its payee owes it.
    """
    return [outcome.amount_micro for outcome in _unpacked(packed)]


def settled_claims(log: DecodedLog, claims: Sequence[Claim]) -> list[Claim]:
    """Return those of a Settled log's claims that it applied."""
    outcomes = _unpacked(log.args["outcomes"])
    return [claim for claim, outcome in zip(claims, outcomes, strict=False) if not outcome.refusal]


def _unpacked(packed: str) -> list[ClaimOutcome]:
    return unpack(bytes.fromhex(packed[2:]))


def settled_facts(
    context: OutcomesContext, log: DecodedLog, claims: Sequence[Claim], now: int
) -> list[payments.NewFact]:
    """Return the facts about our payments in a Settled log; anyone may have sent the settlement.

    Args:
        context: The rail.
        log: The Settled log.
        claims: Its claims, in its order.
        now: Unix seconds.
    """
    outcomes = read_outcomes(claims, log.args["outcomes"])
    settled = _settled_elsewhere(context, outcomes)
    with context.store.read() as session:
        times = payments.orphanings(
            session, [outcome.payment_id for outcome in outcomes], log.block_hash
        )
        windows = {
            agreement: Window(row.window_s, row.mandate_version)
            for agreement, row in agreements.by_ids(
                session, {outcome.agreement_id for outcome in outcomes}
            ).items()
        }
    return [
        _fact(
            log,
            outcome,
            payments.sighting(log.block_hash, times.get(outcome.payment_id, 0)),
            windows.get(outcome.agreement_id, Window(0)),
            now,
        )
        for outcome in outcomes
        if outcome.payment_id not in settled
    ]


def claims_of(context: OutcomesContext, log: DecodedLog) -> list[Claim]:
    """Return a Settled log's claims, in its order; [] where none of our payments moved."""
    function, arguments = context.chain.call_input(log.tx_hash, "PaymentRail")
    if function == "settle":
        return called_claims(arguments)
    with context.store.read() as session:
        batch = _batch_of(session, log.args)
    if batch is None:
        context.log.warning("settlement of an unknown batch", tx=log.tx_hash)
        return []  # reconcile compares every Settled log: what it moved becomes a break
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


def settlement_leaves(chain: Chain, session: Session, log: blocks.ChainLogRow) -> list[bytes]:
    """Return the leaves under a stored Settled log's root, in order.

    The list is empty where they cannot be read.
    """
    args = json.loads(log.args)
    function, arguments = chain.call_input(log.tx_hash, "PaymentRail")
    if function != "settle":
        batch = _batch_of(session, args)
        return _leaves(batch, args) if batch else []
    claims = called_claims(arguments)
    ids = ["0x" + payment_id(claim.agreement, claim.sequence).hex() for claim in claims]
    rows = payments.by_ids(session, ids)
    windows = agreements.by_ids(session, {row.agreement_id for row in rows})
    parties = {
        bytes.fromhex(row.agreement_id[2:]): _party(row, windows[row.agreement_id]) for row in rows
    }
    return leaves_of(claims, _unpacked(args["outcomes"]), parties, args["settledAt"])


_Batch = list[tuple[payments.PaymentRow, agreements.AgreementRow]]


def _batch_of(session: Session, args: dict) -> _Batch | None:
    """Return which of our batches a settlement through another contract was, by the log's root.

    The call data of another contract proves nothing. None: it is none of our batches, or the
    settlement applied no claim.
    """
    outcomes = _unpacked(args["outcomes"])
    if all(outcome.refusal for outcome in outcomes):
        return None
    wanted = bytes.fromhex(args["root"][2:])
    for batch in batches.of_size(session, args["product"], len(outcomes)):
        if root(_leaves(batch, args)) == wanted:
            return batch
    return None


def _leaves(batch: _Batch, args: dict) -> list[bytes]:
    """Return the settlement's leaves as they would be if these claims had these outcomes."""
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


def _party(row: payments.PaymentRow, agreement: agreements.AgreementRow) -> tuple[str, Window]:
    window = Window(agreement.window_s, agreement.mandate_version)
    return payments.payee_of(row, agreement), window


def _settled_elsewhere(context: OutcomesContext, outcomes: list[PaymentOutcome]) -> set[str]:
    """Return payments that were refused for their sequence since the chain has settled it already.

    That is no refusal of them: another Settled log applied them, and they wait until it is read.
    """
    ids = [outcome.payment_id for outcome in outcomes if outcome.refusal == "sequence_unexpected"]
    with context.store.read() as session:
        rows = [
            row
            for row in payments.by_ids(session, ids)
            if row.stage in (Stage.ATTESTED, Stage.WAITING_FOR_FUNDS, Stage.HELD)
        ]
        agreed = agreements.by_ids(session, {row.agreement_id for row in rows})
    chain, settled = context.chain, set()
    for row in rows:
        rail = rail_of(chain.deployment, agreed[row.agreement_id].product_address)
        if chain.view(rail, "agreementState", row.agreement_id)[0] >= row.sequence:
            settled.add(row.payment_id)
    return settled


def _fact(
    log: DecodedLog, outcome: PaymentOutcome, key: str, window: Window, now: int
) -> payments.NewFact:
    if outcome.refusal == "none":
        applied = ClaimOutcome(outcome.amount_micro, 0)
        sets = {
            "amount_micro": outcome.amount_micro,
            "settlement_tx": log.tx_hash,
            "release_at": release_time(applied, log.args["settledAt"], window),
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
    elif outcome.refusal == "domain_missing":
        # a signer of that domain lost its seat after it had signed: others sign again
        fact, due_at = Fact.STALE, now + _ATTEST_AGAIN_S
    sets = {"reason": outcome.refusal}
    return payments.NewFact(outcome.payment_id, fact, key, outcome.refusal, sets, due_at)
