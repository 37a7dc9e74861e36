"""Which claims stood in which signed batch; kept for good: any can still be settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlmodel import Session, func, select

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import Agreement, BatchClaim, Payment

__all__ = ["BatchClaim"]


def keep(session: Session, digest: str, ids: Sequence[str]) -> None:
    """A payment names its newest batch only; this remembers the older ones too."""
    add_new(session, [BatchClaim(batch_digest=digest, payment_id=i) for i in ids])


def of_size(session: Session, product: str, size: int) -> Iterator[list[tuple[Payment, Agreement]]]:
    """The batches of a product (address) with so many claims, each in its order."""
    digests = session.exec(
        select(BatchClaim.batch_digest)
        .join(Payment, Payment.payment_id == BatchClaim.payment_id)
        .join(Agreement, Agreement.agreement_id == Payment.agreement_id)
        .where(func.lower(Agreement.product_address) == product.lower())
        .group_by(BatchClaim.batch_digest)
        .having(func.count() == size)
    ).all()
    for digest in digests:
        rows = session.exec(
            select(Payment, Agreement)
            .join(Agreement, Agreement.agreement_id == Payment.agreement_id)
            .join(BatchClaim, BatchClaim.payment_id == Payment.payment_id)
            .where(BatchClaim.batch_digest == digest)
            .order_by(Payment.agreement_id)
        )
        yield [(row[0], row[1]) for row in rows]
