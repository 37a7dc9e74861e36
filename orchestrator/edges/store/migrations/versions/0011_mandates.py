"""Mandates of version 2, ends with a grace, owners' consents, payout minimums."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0011"
down_revision = "0010"

_ZERO = "0x" + "00" * 32


def upgrade() -> None:
    # all earlier mandates are of version 1
    numbers = {"mandate_version": "1", "grace_s": "0"}
    large = ("start", "bond_micro", "schedule", "begins_at", "ends_at")
    texts = {"fleet": _ZERO, "cites": _ZERO}
    columns = [
        *((name, sa.Integer(), default) for name, default in numbers.items()),
        *((name, sa.BigInteger(), "0") for name in large),
        *((name, sa.String(), default) for name, default in texts.items()),
    ]
    for name, kind, default in columns:
        column = sa.Column(name, kind, nullable=False, server_default=default)
        op.add_column("agreement", column)
    # contracts of version 1 take claims until the end of the facts
    times = {name: sa.column(name, sa.BigInteger()) for name in ("expiry", "closes_at", "ends_at")}
    agreement = sa.table("agreement", *times.values())
    end = sa.case((times["closes_at"] > 0, times["closes_at"]), else_=times["expiry"])
    op.execute(agreement.update().values(ends_at=end))
    for name in ("agreement_ends", "agreement_closes"):
        op.drop_index(name, "agreement")
    op.create_index("agreement_over", "agreement", ["stage", "ends_at"])
    minimum = sa.Column("payout_minimum_micro", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("party", minimum)
    op.create_table(
        "ownerconsent",
        sa.Column("device_id", sa.String(), primary_key=True),
        sa.Column("product_address", sa.String(), primary_key=True),
        sa.Column("agreement_id", sa.String(), primary_key=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    raise Halt("migration 0011 is not undone. Restore the backup made before it.")
