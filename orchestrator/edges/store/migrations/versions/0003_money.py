"""The money side: where entries come from, entries not final yet, decisions of two, open breaks."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "ledgerentry", sa.Column("source", sa.String(), nullable=False, server_default="")
    )
    op.create_index("ix_ledgerentry_source", "ledgerentry", ["source"])
    op.create_table(
        "pendingentry",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("block_hash", sa.String(), nullable=False),
        sa.Column("block_number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("postings", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_pendingentry_block_hash", "pendingentry", ["block_hash"])
    op.create_index("ix_pendingentry_state", "pendingentry", ["state"])
    op.add_column(
        "payout", sa.Column("attempt", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column("payout", sa.Column("batch", sa.String(), nullable=False, server_default=""))
    op.add_column("payout", sa.Column("due_on", sa.String(), nullable=True))
    op.add_column("bankline", sa.Column("identity", sa.String(), nullable=False, server_default=""))
    op.add_column("bankline", sa.Column("content", sa.String(), nullable=False, server_default=""))
    op.add_column("bankline", sa.Column("valued", sa.String(), nullable=False, server_default=""))
    op.create_index("ix_bankline_identity", "bankline", ["identity"])
    op.create_index("ix_bankline_content", "bankline", ["content"])
    op.create_index("ix_bankline_valued", "bankline", ["valued"])
    _create_approvals()


def _create_approvals() -> None:
    op.create_table(
        "officer",
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("address"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "decision",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("proposer", sa.String(), nullable=False),
        sa.Column("proposal", sa.String(), nullable=False),
        sa.Column("approver", sa.String(), nullable=True),
        sa.Column("approval", sa.String(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("executed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("decision_id"),
    )
    op.create_index("ix_decision_kind", "decision", ["kind"])
    op.create_index("ix_decision_subject", "decision", ["subject"])
    op.create_table(
        "knownbreak",
        sa.Column("break_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ids", sa.String(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("resolved_by", sa.String(), nullable=True),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("closed", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("break_id"),
    )
    op.create_index("ix_knownbreak_kind", "knownbreak", ["kind"])


def downgrade() -> None:
    raise Halt(
        "Revision 0003 is not undone: decisions and entries are never dropped. "
        "Next: restore the backup that was made before it."
    )
