"""Checks every settled claim: derives and prices it again, and compares it with the chain.

The chain's call data says what was claimed, its logs what was paid; the payments in the store have
to say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from device_adapters.types import Event, Rejected
from oracles.attest import claim_hash
from oracles.rules import derive_claim, reopened, stated_before
from oracles.types import Agreement, Agreements, Claim, SkippedClaim
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Session, all_rows
from orchestrator.edges.store.debts import DebtRow
from orchestrator.edges.store.payments import PaymentRow
from orchestrator.products import Product
from orchestrator.rebuild.evidence import Archive
from orchestrator.rebuild.findings import Differences
from orchestrator.rebuild.history import Applied, ChainHistory

_NO_LIMIT = (1 << 47) - 1  # cap and escrow were the contract's to judge: here only the price is
_ON_CHAIN = (Stage.POSTED, Stage.PAID_OUT, Stage.BOOKED, Stage.RECONCILED, Stage.REFUNDED)


def hexed(value: bytes) -> str:
    """Return bytes as 0x-hex."""
    return "0x" + value.hex()


def check_claims(
    session: Session,
    history: ChainHistory,
    archive: Archive,
    agreements: Agreements,
    products: Mapping[str, Product],
    findings: Differences,
) -> None:
    """Check payments, claims and prices of everything that final settlements applied."""
    rows = {row.payment_id: row for row in all_rows(session, PaymentRow)}
    by_agreement: dict[bytes, list[Applied | SkippedClaim]] = defaultdict(list)
    for applied in history.passed():
        agreed = applied if isinstance(applied, SkippedClaim) else applied.claim
        by_agreement[agreed.agreement].append(applied)
    payees = {log.args["agreement"]: log.args["payee"] for log in history.named("AgreementOpened")}
    settled, skipped, owed = set(), set(), {}
    for done, (identity, claims) in enumerate(by_agreement.items(), 1):
        findings.progress("claims", done, len(by_agreement))
        agreement = agreements.agreement(identity)
        if agreement is None or agreement.product not in products:
            continue  # a stranger's product: nothing of it is ours to derive
        product = products[agreement.product]
        _check_prices(agreement, product, claims, findings)
        reach: int | None = None
        passed_over = False  # whether the next claim follows records that were passed over
        for applied in claims:
            if isinstance(applied, SkippedClaim):
                skipped.add(hexed(payment_id(identity, applied.sequence)))
                passes = applied.last_counter > (reach or agreement.first_counter)
                passed_over = passed_over or passes
                reach = max(reach or 0, applied.last_counter)
                continue
            name = hexed(payment_id(identity, applied.claim.sequence))
            settled.add(name)
            if name in rows:  # of others nothing is stored: reconcile names what they moved
                _check_claim(
                    name, agreement, product, applied.claim, reach, passed_over, archive, findings
                )
                payee = product.payee(applied.claim.facts) or payees[hexed(identity)]
                _check_row(rows[name], applied, payee, findings)
                if applied.outcome.amount_micro < 0:
                    owed[name] = _owed(applied, payee)
            passed_over = passed_over and applied.claim.last_counter <= (reach or 0)  # a late one
            reach = max(reach or 0, applied.claim.last_counter)
    _check_unsettled(rows.values(), settled, history, findings)
    _check_skipped(rows, skipped, findings)
    findings.rows("debt", all_rows(session, DebtRow), owed, lambda row: row.payment_id)
    findings.count("claims", len(settled))


def _check_claim(
    name: str,
    agreement: Agreement,
    product: Product,
    claim: Claim,
    reach: int | None,
    passed_over: bool,
    archive: Archive,
    findings: Differences,
) -> None:
    """Compare the claim that the stored evidence makes, by the product's rules, with the chain's.

    Args:
        reach: The highest counter of the claims before it; None if there is none.
        passed_over: Whether payer and payee passed over the record of that counter.
    """
    run = sorted(archive.of_payment.get(name, []), key=lambda event: event.counter)
    if not run:
        findings.add("payment", name, "there is no evidence for a claim that the chain has settled")
        return
    late = reach is not None and claim.first_counter <= reach
    key = (hexed(claim.agreement), reach)
    anchor = None if late or reach is None else archive.at_counter.get(key)
    if passed_over and not late:
        agreement, anchor = reopened(agreement, product), None
    derived = _derived(name, agreement, product, claim, anchor, run, late, archive, findings)
    if derived is None:
        return
    for part in ("first_counter", "last_counter", "evidence", "facts"):
        derived_value, on_chain = getattr(derived, part), getattr(claim, part)
        if derived_value != on_chain:
            findings.add(
                "payment",
                name,
                f"the claim on chain has another {part} than its stored evidence makes",
                _text(derived_value),
                _text(on_chain),
            )


def _text(value: bytes | int) -> str:
    return hexed(value) if isinstance(value, bytes) else str(value)


def _derived(
    name: str,
    agreement: Agreement,
    product: Product,
    claim: Claim,
    anchor: Event | None,
    run: Sequence[Event],
    late: bool,
    archive: Archive,
    findings: Differences,
) -> Claim | None:
    try:
        cited = archive.cited_by(name, agreement, product, anchor, run)
        before = stated_before(product, claim.facts)
        return derive_claim(agreement, product, claim.sequence, anchor, run, cited, late, before)
    except (Rejected, KeyError, IndexError) as error:
        findings.add("payment", name, f"no claim follows from its stored evidence: {error}")
        return None


def _check_prices(
    agreement: Agreement,
    product: Product,
    claims: Sequence[Applied | SkippedClaim],
    findings: Differences,
) -> None:
    """Check the amounts of an agreement's claims in order, if the product can price them here.

    Such a product has `open`, `price`, `advance` and `skip`, by the contract's own rules.
    """
    if not hasattr(product, "price"):
        return
    state, reach = product.open(agreement.terms), agreement.first_counter
    for applied in claims:
        if isinstance(applied, SkippedClaim):
            if applied.last_counter > reach:  # the product does not hear of it otherwise
                state, reach = product.skip(state), applied.last_counter
            continue
        claim, late = applied.claim, applied.claim.first_counter <= reach
        amount, refusal = product.price(state, agreement.terms, claim.facts, _NO_LIMIT, late)
        if refusal or amount != applied.outcome.amount_micro:
            name = hexed(payment_id(claim.agreement, claim.sequence))
            findings.add(
                "payment",
                name,
                "priced again, the claim comes to another amount than the chain paid",
                applied.outcome.amount_micro,
                product.REFUSALS.get(refusal, amount),
            )
            return
        state = product.advance(state, agreement.terms, claim.facts, late)
        reach = max(reach, claim.last_counter)
    findings.count("prices", len(claims))


def _check_row(row: PaymentRow, applied: Applied, payee: str, findings: Differences) -> None:
    claim, outcome = applied.claim, applied.outcome
    wanted: dict[str, Any] = {
        "agreement_id": hexed(claim.agreement),
        "sequence": claim.sequence,
        "first_counter": claim.first_counter,
        "last_counter": claim.last_counter,
        "evidence_root": hexed(claim.evidence),
        "facts": hexed(claim.facts),
        "claim_hash": hexed(claim_hash(claim)),
        "amount_micro": outcome.amount_micro,
        "settlement_tx": applied.log.tx_hash,
        "payee": payee,
    }
    findings.compare("payment", row.payment_id, row, wanted)


def _owed(applied: Applied, payee: str) -> dict[str, Any]:
    """Return the columns that the store must have of a claim below zero."""
    amount = -applied.outcome.amount_micro
    return {"agreement_id": hexed(applied.claim.agreement), "payee": payee, "amount_micro": amount}


def _check_unsettled(
    rows: Sequence[PaymentRow], settled: set[str], history: ChainHistory, findings: Differences
) -> None:
    """Report payments that are stored as settled, and are in no final settlement."""
    elsewhere = {tx for (tx, _), claims in history.claims.items() if not claims}
    for row in rows:
        booked = row.stage in _ON_CHAIN and row.settlement_tx not in elsewhere
        if booked and row.payment_id not in settled:
            findings.add(
                "payment",
                row.payment_id,
                f"it is {row.stage}, and no final settlement holds it",
                row.settlement_tx,
            )


def _check_skipped(
    rows: Mapping[str, PaymentRow], skipped: set[str], findings: Differences
) -> None:
    """Compare the payments that are stored as skipped with what final blocks passed over."""
    stored = {name for name, row in rows.items() if row.stage == Stage.SKIPPED}
    for name in sorted(stored - skipped):
        findings.add("payment", name, "it is skipped, and no final block has passed over it")
    for name in sorted((skipped & rows.keys()) - stored):
        findings.add(
            "payment", name, "a final block has passed over it", rows[name].stage, Stage.SKIPPED
        )
