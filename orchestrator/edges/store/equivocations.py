"""What each oracle signed, and which oracles signed two different claims for one sequence."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from sqlmodel import Session, or_, select, tuple_, update

from oracles.attest import claim_hash
from oracles.quorum import Attested, Equivocation
from oracles.types import Attestation, Batch
from oracles.wire import claim_from_json, claim_to_json
from orchestrator.core.chain_send import Stage
from orchestrator.core.identity import payment_id
from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import (
    ChainSendRow,
    EquivocationRow,
    OracleSignatureRow,
    PaymentRow,
    SignedBatchRow,
    SignedClaimRow,
)

__all__ = ["EquivocationRow"]

RULINGS = "rulings"  # first_digest of both rulings on one payment; second_digest: the payment

_CHUNK = 400
# (oracle, payment id, claim hash): who vouched for what, whichever batch it stood in
_Vouched = tuple[str, str, str]


def keep(session: Session, digest: bytes, records: Sequence[Attested], now: int) -> list[Attested]:
    """Store signatures over one batch; return older ones of the same oracles that contradict them.

    A signature over claims that the oracle has signed before is not stored: claims may be asked
    about for hours, each time in another batch, and one signature of each oracle for each claim is
    enough.

    Args:
        session: A write session.
        digest: EIP-712 digest of the batch, 32 bytes.
        records: Valid signatures over this batch, at most one per oracle.
        now: Unix seconds.
    """
    if not records:
        return []
    batch, key = records[0].batch, "0x" + digest.hex()
    hashes = _claim_hashes(batch)
    signers = {record.attestation.oracle for record in records}
    signed = _signed(session, hashes, signers)
    vouched = {(oracle, payment, hashed) for oracle, payment, hashed, _ in signed}
    fresh = [record for record in records if _news(record, hashes) - vouched]
    if fresh:
        _add(session, key, hashes, fresh, now)
    rivals = {
        (other, oracle) for oracle, payment, hashed, other in signed if hashed != hashes[payment]
    }
    return _load(session, rivals)


def _claim_hashes(batch: Batch) -> dict[str, str]:
    """Payment id -> claim hash, both 0x-hex, in the batch's order."""
    return {
        "0x" + payment_id(claim.agreement, claim.sequence).hex(): "0x" + claim_hash(claim).hex()
        for claim in batch.claims
    }


def _news(record: Attested, hashes: dict[str, str]) -> set[_Vouched]:
    return {(record.attestation.oracle, payment, hashed) for payment, hashed in hashes.items()}


def _signed(
    session: Session, hashes: dict[str, str], signers: Collection[str]
) -> list[tuple[str, str, str, str]]:
    """(oracle, payment id, claim hash, batch digest) of what these oracles signed before."""
    payments, rows = list(hashes), []
    for start in range(0, len(payments), _CHUNK):
        rows += session.exec(
            select(
                OracleSignatureRow.oracle,
                SignedClaimRow.payment_id,
                SignedClaimRow.claim_hash,
                SignedClaimRow.batch_digest,
            )
            .join(
                OracleSignatureRow, OracleSignatureRow.batch_digest == SignedClaimRow.batch_digest
            )
            .where(SignedClaimRow.payment_id.in_(payments[start : start + _CHUNK]))
            .where(OracleSignatureRow.oracle.in_(signers))
        ).all()
    return [tuple(row) for row in rows]


def _add(
    session: Session, key: str, hashes: dict[str, str], records: Sequence[Attested], now: int
) -> None:
    batch = records[0].batch
    text = json.dumps([claim_to_json(claim) for claim in batch.claims], separators=(",", ":"))
    add_new(
        session,
        [SignedBatchRow(batch_digest=key, rail=batch.rail, product=batch.product, claims=text)],
    )
    add_new(
        session,
        [
            SignedClaimRow(payment_id=payment, batch_digest=key, claim_hash=hashed)
            for payment, hashed in hashes.items()
        ],
    )
    add_new(
        session,
        [
            OracleSignatureRow(
                batch_digest=key,
                oracle=record.attestation.oracle,
                signature="0x" + record.attestation.signature.hex(),
                received_at=now,
            )
            for record in records
        ],
    )


def _load(session: Session, keys: Collection[tuple[str, str]]) -> list[Attested]:
    """The stored signatures with these (batch digest, oracle), the oldest first."""
    records = []
    ordered = sorted(keys)
    for start in range(0, len(ordered), _CHUNK):
        records += session.exec(
            select(OracleSignatureRow, SignedBatchRow)
            .join(SignedBatchRow, SignedBatchRow.batch_digest == OracleSignatureRow.batch_digest)
            .where(
                tuple_(OracleSignatureRow.batch_digest, OracleSignatureRow.oracle).in_(
                    ordered[start : start + _CHUNK]
                )
            )
        ).all()
    records.sort(key=lambda pair: (pair[0].received_at, pair[0].batch_digest, pair[0].oracle))
    return [_attested(row, batch) for row, batch in records]


def _attested(row: OracleSignatureRow, batch: SignedBatchRow) -> Attested:
    claims = tuple(claim_from_json(item) for item in json.loads(batch.claims))
    attestation = Attestation(row.oracle, bytes.fromhex(row.signature[2:]))
    return Attested(Batch(batch.rail, batch.product, claims), attestation)


def note(
    session: Session, equivocations: Sequence[tuple[Equivocation, str, str]], now: int
) -> None:
    """Store equivocations with the digests of their two batches; one per oracle, the first."""
    add_new(
        session,
        [
            EquivocationRow(
                oracle=equivocation.oracle,
                agreement_id="0x" + equivocation.agreement.hex(),
                sequence=equivocation.sequence,
                first_digest=first,
                second_digest=second,
                found_at=now,
            )
            for equivocation, first, second in equivocations
        ],
    )


def note_rulings(session: Session, oracles: Sequence[str], payment: PaymentRow, now: int) -> None:
    """Store that oracles signed both rulings on a payment; their signatures are stored rulings.

    Args:
        session: A write session.
        oracles: Their addresses.
        payment: The disputed payment.
        now: Unix seconds.
    """
    rows = [
        EquivocationRow(
            oracle=oracle,
            agreement_id=payment.agreement_id,
            sequence=payment.sequence,
            first_digest=RULINGS,
            second_digest=payment.payment_id,
            found_at=now,
        )
        for oracle in oracles
    ]
    add_new(session, rows)


def proof(session: Session, row: EquivocationRow) -> tuple[Attested, Attested]:
    """Return the two signatures that contradict each other, with their batches."""
    pairs = [(row.first_digest, row.oracle), (row.second_digest, row.oracle)]
    first, second = (next(iter(_load(session, [pair]))) for pair in pairs)
    return first, second


def unreported(session: Session, limit: int) -> Sequence[EquivocationRow]:
    """Return equivocations that the contract does not have: never sent, or sent and failed."""
    return session.exec(
        select(EquivocationRow)
        .join(ChainSendRow, ChainSendRow.tx_hash == EquivocationRow.reported_tx, isouter=True)
        .where(EquivocationRow.barred_at.is_(None))
        .where(or_(EquivocationRow.reported_tx.is_(None), ChainSendRow.stage == Stage.FAILED))
        .order_by(EquivocationRow.found_at, EquivocationRow.oracle)
        .limit(limit)
    ).all()


def mark_reported(session: Session, oracle: str, tx_hash: str, refusal: str = "") -> None:
    """Store the transaction of a report, or "" and the error of a contract that refuses it."""
    session.exec(
        update(EquivocationRow)
        .where(EquivocationRow.oracle == oracle)
        .values(reported_tx=tx_hash, refusal=refusal)
    )


def mark_barred(session: Session, oracle: str, agreement: str, sequence: int, at: int) -> None:
    """Record that the contract bars an oracle, whoever reported it.

    Args:
        session: A write session.
        oracle: Its address.
        agreement: The agreement of the contradicting claims, 0x-hex.
        sequence: Their sequence.
        at: The block's time, Unix seconds.
    """
    row = EquivocationRow(
        oracle=oracle, agreement_id=agreement, sequence=sequence, found_at=at, reported_tx=""
    )
    add_new(session, [row])
    session.exec(
        update(EquivocationRow).where(EquivocationRow.oracle == oracle).values(barred_at=at)
    )


def equivocators(session: Session) -> set[str]:
    """Return the addresses of the oracles whose signatures count no longer."""
    return set(session.exec(select(EquivocationRow.oracle)))


def rows(session: Session) -> Sequence[EquivocationRow]:
    """Return all equivocations, the oldest first."""
    return session.exec(
        select(EquivocationRow).order_by(EquivocationRow.found_at, EquivocationRow.oracle)
    ).all()
