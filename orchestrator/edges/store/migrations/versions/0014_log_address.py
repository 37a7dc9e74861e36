"""Logs name the contract that made them: a moved rail has two of each kind."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "followedcontract",
        sa.Column("address", sa.String(), primary_key=True),
        sa.Column("since", sa.Integer(), nullable=False),
    )
    op.add_column("chainlog", sa.Column("address", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    raise Halt("migration 0014 is not undone. Restore the backup made before it.")
