"""Disputes by people: what each party may call, and what the call needs. Amounts are micro-euro.

Each function returns the calls that the party signs, after it has checked with store and chain that
they can succeed; `send_in_turn` sends them, once each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.party_call import DisputeReason
from orchestrator.core.payment import Stage
from orchestrator.core.ruling import RulingCount, RulingRules, count_ruling
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.disputes import (
    DisputeContracts,
    DisputeState,
    contracts_of_product,
    dispute_end_call,
    dispute_of,
    rule_call,
)
from orchestrator.edges.store import Store, agreements, disputes, payments
from orchestrator.operations.payee_money import euro
from orchestrator.steps.dispute import dispute_call
from orchestrator.steps.rulings import rules_of

BOND_TOKENS = (
    "within the dispute window, another wallet transfers tokens to it; or a bank transfer without "
    "a reference comes in, and two officers allocate it to the wallet (`proofrail funding allocate "
    "CREDIT --party NAME`)"
)
ANSWERS = {True: "refund", False: "stand"}


@dataclass(frozen=True, slots=True)
class DisputedPayment:
    """A payment with its parties, and its open dispute.

    Attributes:
        row: The payment.
        agreement: Its agreement.
        payee: Its payee.
        state: The open dispute as the contract has it; None: there is none.
        record: Its dispute as the stored logs have it, also one that ended; None: none.
        contracts: What a dispute about it goes through: those of its own rail.
    """

    row: payments.PaymentRow
    agreement: agreements.AgreementRow
    payee: str
    state: DisputeState | None
    record: disputes.DisputeRecord | None
    contracts: DisputeContracts

    @property
    def bond_micro(self) -> int:
        """Return what a dispute by the payer costs: the agreement's bond, or less."""
        return min(self.agreement.bond_micro, self.row.amount_micro)


@dataclass(frozen=True, slots=True)
class DisputeCost:
    """What the payer's dispute takes.

    Attributes:
        bond_micro: The bond.
        balance_micro: The payer's tokens.
        allowance_micro: What the contract may already take of them.
        deadline: The last second of a ruling if the dispute began now, Unix seconds.
    """

    bond_micro: int
    balance_micro: int
    allowance_micro: int
    deadline: int


def disputed_payment(store: Store, chain: Chain, payment: str) -> DisputedPayment:
    """Return a stored payment with its dispute.

    Raises:
        Retry: The node does not answer.
    """
    with store.read() as session:
        [row] = payments.by_ids(session, [payment])
        agreement = agreements.get(session, row.agreement_id)
        record = disputes.record_of(session, payment)
    payee = payments.payee_of(row, agreement)
    contracts = contracts_of_product(chain, agreement.product_address)
    state = dispute_of(chain, payment, contracts.disputes)
    if state is not None and not state.challenger:
        state = replace(state, challenger=agreement.payer)
    return DisputedPayment(row, agreement, payee, state, record, contracts)


def dispute_cost(chain: Chain, subject: DisputedPayment, now: int) -> DisputeCost:
    """Return what it takes the payer to dispute a payment now (Unix seconds)."""
    payer, contracts = subject.agreement.payer, subject.contracts
    contract = chain.deployment.addresses[contracts.disputes]
    return DisputeCost(
        subject.bond_micro,
        chain.view("EuroToken", "balanceOf", payer),
        chain.view("EuroToken", "allowance", payer, contract),
        now + chain.view(contracts.disputes, "RULING_TIME") if contracts.has_deadlines else 0,
    )


def dispute_calls(
    store: Store, chain: Chain, subject: DisputedPayment, cost: DisputeCost, now: int
) -> list[Call]:
    """Return the payer's calls: approve the exact bond where needed, then dispute.

    Raises:
        Rejected: The payment cannot be disputed (now), or the payer's tokens do not cover the bond.
    """
    row = subject.row
    if row.stage not in (Stage.SETTLED, Stage.POSTED) or row.amount_micro <= 0:
        raise Rejected(
            DisputeReason.NOT_DISPUTABLE,
            f"payment {row.payment_id} of {euro(row.amount_micro)} is {row.stage}: only money that "
            "a settlement moved and that is not released can be disputed; nothing was sent",
        )
    if row.release_at <= now:
        raise Rejected(
            DisputeReason.WINDOW_OVER,
            f"the dispute window of payment {row.payment_id} is over; nothing was sent. Next: ask "
            "the payee for a correction",
        )
    if cost.balance_micro < cost.bond_micro:
        raise Rejected(
            DisputeReason.BOND_SHORT,
            f"the payer {subject.agreement.payer} holds {euro(cost.balance_micro)} and the bond is "
            f"{euro(cost.bond_micro)}; nothing was sent. Next: {BOND_TOKENS}",
        )
    with store.read() as session:
        dispute = dispute_call(session, chain, row, subject.agreement)
    if dispute is None:
        raise Rejected(
            DisputeReason.UNREADABLE,
            f"the outcomes of settlement {row.settlement_tx} cannot be read, so there is no proof "
            "of this payment; nothing was sent. Next: try again at another node",
        )
    contract = chain.deployment.addresses[subject.contracts.disputes]
    approve = Call("EuroToken", "approve", (contract, cost.bond_micro))
    return [dispute] if cost.allowance_micro >= cost.bond_micro else [approve, dispute]


def end_calls(subject: DisputedPayment, function: str, now: int) -> list[Call]:
    """Return the call that ends a dispute: concede, retract or expire.

    Raises:
        Rejected: The payment is not under dispute, or its deadline is not over.
    """
    state = _open(subject)
    if function == "expire":
        _require_deadline(subject)
    if function == "expire" and now <= state.deadline:
        raise Rejected(
            DisputeReason.NOT_EXPIRED,
            f"the dispute of payment {subject.row.payment_id} can be ruled on until "
            f"{datetime.fromtimestamp(state.deadline, UTC):%Y-%m-%d %H:%M:%S} UTC; nothing was "
            "sent. The rail ends it after that",
        )
    return [dispute_end_call(function, subject.row.payment_id, subject.contracts.disputes)]


def _require_deadline(subject: DisputedPayment) -> None:
    if not subject.contracts.has_deadlines:
        raise Rejected(
            DisputeReason.NO_CONTRACT,
            f"payment {subject.row.payment_id} is on a rail of an earlier release, where a dispute "
            "has no deadline; nothing was sent. Next: its payee concedes (`proofrail payment "
            "concede`), its payer retracts (`proofrail payment retract`), or the oracles rule "
            "(`proofrail payment rule`)",
        )


@dataclass(frozen=True, slots=True)
class RulingPlan:
    """How the stored rulings on a payment count.

    Attributes:
        rules: What a ruling needs.
        counts: Answer (True: refund) -> how it counts.
        signatures: Answer -> signatures that count.
    """

    rules: RulingRules
    counts: dict[bool, RulingCount]
    signatures: dict[bool, list[bytes]]

    @property
    def answer(self) -> bool | None:
        """Return the answer that is enough; None: none is yet."""
        return next((refund for refund, count in self.counts.items() if count.is_enough), None)


def ruling_plan(store: Store, chain: Chain, subject: DisputedPayment) -> RulingPlan:
    """Return how the stored rulings on a payment count.

    Raises:
        Rejected: The payment is not under dispute.
        Retry: The node does not answer.
    """
    rules = rules_of(store, chain, subject.contracts, _open(subject))
    with store.read() as session:
        rows = disputes.rulings_of(session, subject.row.payment_id)
    signed = {
        refund: {row.oracle: row.signature for row in rows if row.refund == refund}
        for refund in (True, False)
    }
    counts = {refund: count_ruling(rules, by_oracle) for refund, by_oracle in signed.items()}
    signatures = {
        refund: [bytes.fromhex(signed[refund][oracle][2:]) for oracle in count.counting]
        for refund, count in counts.items()
    }
    return RulingPlan(rules, counts, signatures)


def ruling_calls(subject: DisputedPayment, plan: RulingPlan) -> list[Call]:
    """Return the call that ends a dispute as enough oracles signed.

    Raises:
        Rejected: No answer has enough signatures.
    """
    answer = plan.answer
    if answer is None:
        missing = "; ".join(
            f"{ANSWERS[refund]}: {missing_text(count)}" for refund, count in plan.counts.items()
        )
        raise Rejected(
            DisputeReason.RULING_SHORT,
            f"no ruling on payment {subject.row.payment_id} has enough signatures ({missing}); "
            "nothing was sent. Next: `proofrail-oracle ruling sign` at the oracles that are "
            "missing",
        )
    signatures, contract = plan.signatures[answer], subject.contracts.disputes
    return [rule_call(subject.row.payment_id, answer, signatures, contract)]


def missing_text(count: RulingCount) -> str:
    """Format what one answer lacks."""
    parts = [
        f"{count.signatures} signatures" if count.signatures else "",
        f"{count.domains} trust domains" if count.domains else "",
        f"trust domain {count.required_domain}" if count.required_domain else "",
    ]
    lacking = " and ".join(filter(None, parts))
    return f"lacks {lacking}" if lacking else "enough"


def count_view(plan: RulingPlan, names: dict[str, str]) -> list[dict[str, Any]]:
    """Return the JSON view of how each answer counts; names: address -> name of an oracle."""

    def named(addresses: Sequence[str]) -> list[str]:
        return [names.get(address, address) for address in addresses]

    return [
        {
            "answer": ANSWERS[refund],
            "enough": count.is_enough,
            "need": plan.rules.need,
            "counting": named(count.counting),
            "ignored": named(count.ignored),
            "missing_from": named(count.waiting),
            "missing": missing_text(count),
        }
        for refund, count in plan.counts.items()
    ]


def _open(subject: DisputedPayment) -> DisputeState:
    if subject.state is not None:
        return subject.state
    ended = subject.record is not None and subject.record.ended_at is not None
    how = "its dispute has ended" if ended else "nobody disputes it"
    raise Rejected(
        DisputeReason.NOT_DISPUTED,
        f"payment {subject.row.payment_id} is not under dispute: {how}; nothing was sent. "
        "`proofrail trace` shows it",
    )
