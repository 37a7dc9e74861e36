"""How far the rail has read the broker's log."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "logposition",
        sa.Column("reader", sa.String(), primary_key=True),
        sa.Column("log", sa.String(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("logposition")
