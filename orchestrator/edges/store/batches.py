"""Which claims stood in which signed batch; kept for good: any can still be settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlmodel import Session, func, select

from orchestrator.edges.store import add_new
from orchestrator.edges.store.tables import AgreementRow, BatchClaimRow, PaymentRow

__all__ = ["BatchClaimRow"]


def keep(session: Session, digest: str, ids: Sequence[str]) -> None:
    """Record the claims of a batch; a payment's own row names its newest batch only."""
    add_new(session, [BatchClaimRow(batch_digest=digest, payment_id=i) for i in ids])


def of_size(
    session: Session, product: str, size: int
) -> Iterator[list[tuple[PaymentRow, AgreementRow]]]:
    """Return the batches of a product (address) with so many claims, each in its order."""
    digests = session.exec(
        select(BatchClaimRow.batch_digest)
        .join(PaymentRow, PaymentRow.payment_id == BatchClaimRow.payment_id)
        .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
        .where(func.lower(AgreementRow.product_address) == product.lower())
        .group_by(BatchClaimRow.batch_digest)
        .having(func.count() == size)
    ).all()
    for digest in digests:
        rows = session.exec(
            select(PaymentRow, AgreementRow)
            .join(AgreementRow, AgreementRow.agreement_id == PaymentRow.agreement_id)
            .join(BatchClaimRow, BatchClaimRow.payment_id == PaymentRow.payment_id)
            .where(BatchClaimRow.batch_digest == digest)
            .order_by(PaymentRow.agreement_id)
        )
        yield [(row[0], row[1]) for row in rows]
