"""The ground: every table, and triggers that keep the journal, evidence and facts append-only."""

from alembic import op

from orchestrator.edges.store import tables

revision = "0001"
down_revision = None

APPEND_ONLY = ("evidence", "paymentfact", "ledgerentry", "ledgerposting", "bankfile")


def upgrade() -> None:
    tables.SQLModel.metadata.create_all(op.get_bind())
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def downgrade() -> None:
    tables.SQLModel.metadata.drop_all(op.get_bind())
