"""API keys have a time, and the former key of a rotated one is accepted for a while."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column(
        "apikey", sa.Column("created_at", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column("apikey", sa.Column("former_hash", sa.String(), nullable=True))
    op.add_column(
        "apikey", sa.Column("former_until", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_index("ix_apikey_former_hash", "apikey", ["former_hash"])


def downgrade() -> None:
    raise Halt(
        "Revision 0007 is not undone: former keys would be accepted for ever. "
        "Next: restore the backup that was made before it."
    )
