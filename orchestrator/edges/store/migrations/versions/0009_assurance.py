"""Who stands for an event, and which gateway signed it."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # all earlier events were signed by their devices
    columns = {"assurance": "device", "gateway": ""}
    for name, default in columns.items():
        op.add_column("event", sa.Column(name, sa.String(), nullable=False, server_default=default))
    signed_by_gateways = sa.text("gateway <> ''")
    op.create_index(
        "event_behind",
        "event",
        ["gateway", "counter"],
        sqlite_where=signed_by_gateways,
        postgresql_where=signed_by_gateways,
    )
    signed_by_gateway = sa.text("gateway <> ''")
    op.create_index(
        "event_by_gateway",
        "event",
        ["gateway"],
        sqlite_where=signed_by_gateway,
        postgresql_where=signed_by_gateway,
    )


def downgrade() -> None:
    raise Halt("migration 0009 is not undone. Restore the backup made before it.")
