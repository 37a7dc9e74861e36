"""Approvals can be withdrawn; logs are found by their names: the committee is read from them."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for name, kind in (
        ("withdrawn_by", sa.String()),
        ("withdrawal_signature", sa.String()),
        ("withdrawn_at", sa.BigInteger()),
    ):
        op.add_column("approval", sa.Column(name, kind, nullable=True))
    op.create_index("ix_chainlog_name", "chainlog", ["name"])


def downgrade() -> None:
    raise Halt("migration 0013 is not undone. Restore the backup made before it.")
