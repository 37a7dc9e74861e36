"""Reads a settlement's outcome, claim by claim, from its log and its call data."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Fact
from orchestrator.edges.chain.client import Log
from orchestrator.edges.store import agreements, payments
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


def read_outcomes(claims: list[dict], packed: str) -> list[ClaimOutcome]:
    """Pairs the claims of a settlement's call data with the packed outcomes of its log."""
    data = bytes.fromhex(packed[2:])
    found = []
    for index, claim in enumerate(claims):
        chunk = data[index * _BYTES : (index + 1) * _BYTES]
        code = chunk[6]
        name = REFUSALS[code] if code < len(REFUSALS) else f"product_{code - 100}"
        found.append(ClaimOutcome(
            "0x" + payment_id(claim["agreement"], claim["sequence"]).hex(),
            "0x" + claim["agreement"].hex(), int.from_bytes(chunk[:6], "big"), name,
        ))  # fmt: skip
    return found


def settled_facts(rail: Rail, log: Log) -> list[payments.Learned]:
    """The facts that a Settled log tells of our payments; anyone may have sent the settlement."""
    function, arguments = rail.chain.call_input(log.tx_hash, "PaymentRail")
    if function != "settle":
        # through another contract: what that one was called with proves nothing about the batch
        rail.log.warning("settlement cannot be read", tx=log.tx_hash)
        return []
    outcomes = read_outcomes(arguments["batch"]["claims"], log.args["outcomes"])
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
        for o in outcomes
    ]  # fmt: skip


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
