"""Several products: events that support others, payees of their own, credits, a device's life."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "device",
        sa.Column("expires_at", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.add_column(
        "device", sa.Column("endorsement", sa.String(), nullable=False, server_default="")
    )
    op.add_column("device", sa.Column("compromised_since", sa.BigInteger(), nullable=True))
    op.add_column(
        "agreement",
        sa.Column("closes_at", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.add_column("event", sa.Column("role", sa.String(), nullable=False, server_default="stream"))
    op.add_column("event", sa.Column("place", sa.String(), nullable=True))
    op.add_column("event", sa.Column("began_ms", sa.BigInteger(), nullable=True))
    op.create_index(
        "event_placed",
        "event",
        ["device_id", "observed_at_ms"],
        sqlite_where=sa.text("place IS NOT NULL"),
        postgresql_where=sa.text("place IS NOT NULL"),
    )
    op.add_column("payment", sa.Column("payee", sa.String(), nullable=False, server_default=""))
    _fill_payees()
    op.create_table(
        "name",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", "event_id"),
    )
    op.create_index("ix_name_event_id", "name", ["event_id"])
    op.create_table(
        "citation",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("cited_event_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "position"),
    )
    op.create_index("ix_citation_cited_event_id", "citation", ["cited_event_id"])
    op.create_table(
        "conflict",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("rejection_id", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("reported_tx", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", "content_hash"),
    )
    op.create_index("ix_conflict_device_id", "conflict", ["device_id"])
    op.create_table(
        "credit",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("payee", sa.String(), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("paid_micro", sa.BigInteger(), nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id"),
    )
    op.create_index("ix_credit_agreement_id", "credit", ["agreement_id"])
    op.create_index("ix_credit_payee", "credit", ["payee"])


def _fill_payees() -> None:
    payment = sa.table("payment", sa.column("agreement_id"), sa.column("payee"))
    agreement = sa.table("agreement", sa.column("agreement_id"), sa.column("payee"))
    payee = (
        sa.select(agreement.c.payee)
        .where(agreement.c.agreement_id == payment.c.agreement_id)
        .scalar_subquery()
    )
    op.execute(payment.update().values(payee=payee))


def downgrade() -> None:
    raise Halt(
        "Revision 0002 is not undone: credits and citations are never dropped. "
        "Next: restore the backup that was made before it."
    )
