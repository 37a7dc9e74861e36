"""Effects of final payments are stored, and delivered to targets until each has taken them."""

import sqlalchemy as sa
from alembic import op

from orchestrator.edges.store.migrations.append_only import protect
from orchestrator.errors import Halt

revision = "0016"
down_revision = "0015"

_WAITS = sa.text("delivered_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "effect",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("effect_id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("effect_id"),
    )
    op.create_index("ix_effect_payment_id", "effect", ["payment_id"])
    op.create_index("ix_effect_agreement_id", "effect", ["agreement_id"])
    op.create_table(
        "unlocknumber",
        sa.Column("device", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("effect_id", sa.String(), nullable=False),
        sa.UniqueConstraint("effect_id"),
    )
    protect(op, ("effect", "unlocknumber"))
    op.create_table(
        "effecttarget",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("kinds", sa.String(), nullable=False),
        sa.Column("internal", sa.Boolean(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.String(), nullable=False),
    )
    op.create_table(
        "effectdelivery",
        sa.Column("target", sa.String(), primary_key=True),
        sa.Column("effect_id", sa.String(), primary_key=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=False),
    )
    op.create_index(
        "effectdelivery_waits",
        "effectdelivery",
        ["target", "due_at"],
        sqlite_where=_WAITS,
        postgresql_where=_WAITS,
    )
    op.create_index("ix_effectdelivery_effect_id", "effectdelivery", ["effect_id"])


def downgrade() -> None:
    raise Halt("migration 0016 is not undone. Restore the backup made before it.")
