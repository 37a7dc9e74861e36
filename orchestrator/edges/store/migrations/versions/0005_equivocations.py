"""Every valid signature of an oracle is kept, and which oracle signed two different claims."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "signedbatch",
        sa.Column("batch_digest", sa.String(), nullable=False),
        sa.Column("rail", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("claims", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("batch_digest"),
    )
    op.create_table(
        "signedclaim",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("batch_digest", sa.String(), nullable=False),
        sa.Column("claim_hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id", "batch_digest"),
    )
    op.create_table(
        "oraclesignature",
        sa.Column("batch_digest", sa.String(), nullable=False),
        sa.Column("oracle", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("batch_digest", "oracle"),
    )
    op.create_table(
        "equivocation",
        sa.Column("oracle", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("first_digest", sa.String(), nullable=False),
        sa.Column("second_digest", sa.String(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("reported_tx", sa.String(), nullable=True),
        sa.Column("refusal", sa.String(), nullable=False),
        sa.Column("barred_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("oracle"),
    )


def downgrade() -> None:
    raise Halt(
        "Revision 0005 is not undone: evidence against an oracle is never dropped. "
        "Next: restore the backup that was made before it."
    )
