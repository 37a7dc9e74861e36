"""Reads a settlement's outcome, claim by claim, from its log and its call data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oracles.merkle import root
from orchestrator.core.audit.settlement import NOBODY, outcome_leaf
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Fact, Stage
from orchestrator.edges.chain.client import Log
from orchestrator.edges.store import agreements, batches, payments
from orchestrator.steps import Rail

# IPaymentRail.Refusal, in its order; 100 + n is the product's own refusal n
REFUSALS = (
    "none", "unknown_agreement", "wrong_product", "not_live", "expired", "sequence_unexpected",
    "counters_replayed", "counters_malformed", "domain_missing", "cap_exceeded", "escrow_short",
    "unsorted",
)  # fmt: skip
_BYTES = 7  # uint48 amount, uint8 refusal
_CAP_RETRY_S = 3_600
_NEVER = 1 << 40


@dataclass(frozen=True, slots=True)
class ClaimOutcome:
    """What the contract did with one claim; amount in micro-euro."""

    payment_id: str
    agreement_id: str
    amount_micro: int
    refusal: str  # "none", or why not


def read_outcomes(claims: Sequence[dict], packed: str) -> list[ClaimOutcome]:
    """Pairs the claims of a settlement's call data with the packed outcomes of its log."""
    found = []
    for claim, chunk in zip(claims, _chunks(packed), strict=False):
        code = chunk[6]
        name = REFUSALS[code] if code < len(REFUSALS) else f"product_{code - 100}"
        found.append(ClaimOutcome(
            "0x" + payment_id(claim["agreement"], claim["sequence"]).hex(),
            "0x" + claim["agreement"].hex(), int.from_bytes(chunk[:6], "big"), name,
        ))  # fmt: skip
    return found


def settled_amounts(packed: str) -> list[int]:
    """What a Settled log moved, claim by claim, in micro-euro; it needs no claims for that."""
    return [int.from_bytes(chunk[:6], "big") for chunk in _chunks(packed)]


def settled_facts(rail: Rail, log: Log) -> list[payments.Learned]:
    """The facts that a Settled log tells of our payments; anyone may have sent the settlement."""
    outcomes = read_outcomes(_claims(rail, log), log.args["outcomes"])
    done = _settled_elsewhere(rail, outcomes)
    with rail.store.read() as session:
        again = payments.orphanings(session, [o.payment_id for o in outcomes], log.block_hash)
        windows = {
            agreement: row.window_s
            for agreement, row in agreements.by_ids(
                session, {o.agreement_id for o in outcomes}
            ).items()
        }
    return [
        _fact(
            log, o, payments.sighting(log.block_hash, again.get(o.payment_id, 0)),
            windows.get(o.agreement_id, 0), rail.now(),
        )
        for o in outcomes if o.payment_id not in done
    ]  # fmt: skip


def _claims(rail: Rail, log: Log) -> Sequence[dict]:
    """The claims that a Settled log speaks of, in its order; [] where none of ours moved."""
    function, arguments = rail.chain.call_input(log.tx_hash, "PaymentRail")
    if function == "settle":
        return arguments["batch"]["claims"]
    # through another contract, whose call data proves nothing: the log's root does
    chunks = _chunks(log.args["outcomes"])
    if all(chunk[6] for chunk in chunks):  # it settled nothing, so it says nothing that lasts
        return []
    product, wanted = log.args["product"], bytes.fromhex(log.args["root"][2:])
    with rail.store.read() as session:
        for batch in batches.of_size(session, product, len(chunks)):
            if _root(batch, chunks, log.args["settledAt"]) == wanted:
                return [
                    {"agreement": bytes.fromhex(row.agreement_id[2:]), "sequence": row.sequence}
                    for row, _ in batch
                ]
    rail.log.warning("settlement of no batch of ours", tx=log.tx_hash, claims=len(chunks))
    return []  # what it moved is then a break: reconcile compares every Settled log


def _root(
    batch: list[tuple[payments.Payment, agreements.Agreement]], chunks: list[bytes], at: int
) -> bytes:
    """The settlement's root, had these claims had these outcomes."""
    leaves = []
    for (row, agreement), chunk in zip(batch, chunks, strict=True):
        amount, refusal = int.from_bytes(chunk[:6], "big"), chunk[6]
        applied = (agreement.payee.lower(), amount, 0, at + agreement.window_s)
        leaves.append(outcome_leaf(
            bytes.fromhex(row.payment_id[2:]), bytes.fromhex(row.claim_hash[2:]),
            *((NOBODY, 0, refusal, 0) if refusal else applied),
        ))  # fmt: skip
    return root(leaves)


def _settled_elsewhere(rail: Rail, outcomes: list[ClaimOutcome]) -> set[str]:
    """Payments refused for their sequence because the chain has settled it: no refusal of them.

    Some Settled log did it; until that one is read, they wait for it.
    """
    late = [o.payment_id for o in outcomes if o.refusal == "sequence_unexpected"]
    with rail.store.read() as session:
        rows = [
            row for row in payments.by_ids(session, late)
            if row.stage in (Stage.ATTESTED, Stage.WAITING_FOR_FUNDS)
        ]  # fmt: skip
    return {
        row.payment_id for row in rows
        if rail.chain.view("PaymentRail", "agreementState", row.agreement_id)[0] >= row.sequence
    }  # fmt: skip


def _chunks(packed: str) -> list[bytes]:
    data = bytes.fromhex(packed[2:])
    return [data[start : start + _BYTES] for start in range(0, len(data), _BYTES)]


def _fact(log: Log, outcome: ClaimOutcome, key: str, window_s: int, now: int) -> payments.Learned:
    if outcome.refusal == "none":
        sets = {
            "amount_micro": outcome.amount_micro, "settlement_tx": log.tx_hash,
            "release_at": log.args["settledAt"] + window_s, "reason": None,
        }  # fmt: skip
        detail = f"{outcome.amount_micro} micro-euro in {log.tx_hash}"
        return payments.Learned(outcome.payment_id, Fact.SETTLED, key, detail, sets)
    fact, due_at = Fact.REFUSED, 0
    if outcome.refusal in ("cap_exceeded", "escrow_short"):
        fact = Fact.SHORT
        due_at = now + _CAP_RETRY_S if outcome.refusal == "cap_exceeded" else _NEVER
    elif outcome.refusal == "expired":
        fact = Fact.LAPSED
    sets = {"reason": outcome.refusal}
    return payments.Learned(outcome.payment_id, fact, key, outcome.refusal, sets, due_at)
