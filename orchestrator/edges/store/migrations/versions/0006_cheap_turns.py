"""Indexes for what the worker asks in each turn, so that a turn costs the same in a full store."""

import sqlalchemy as sa
from alembic import op

from orchestrator.errors import Halt

revision = "0006"
down_revision = "0005"

_OPEN = sa.text("payment_id IS NULL AND reason IS NULL")
# name: (table, columns)
_INDEXES = {
    "agreement_ends": ("agreement", ["stage", "expiry"]),
    "agreement_closes": ("agreement", ["stage", "closes_at"]),
    "bankfile_named": ("bankfile", ["direction", "name"]),
    "block_open": ("block", ["final", "number"]),
    "chainsend_open": ("chainsend", ["chain_id", "sender", "stage", "nonce"]),
    "chainsend_waiting": ("chainsend", ["chain_id", "stage"]),
    "ix_conflict_reported_tx": ("conflict", ["reported_tx"]),
    "ix_device_compromised_since": ("device", ["compromised_since"]),
    "ix_funding_cents": ("funding", ["cents"]),
    "ix_party_account": ("party", ["account"]),
    "ix_payout_batch": ("payout", ["batch"]),
    "ix_payout_file_hash": ("payout", ["file_hash"]),
    "payment_reach": ("payment", ["agreement_id", "last_counter"]),
}


def upgrade() -> None:
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    op.create_index(
        "event_open",
        "event",
        ["role", "agreement_id", "counter"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def downgrade() -> None:
    raise Halt(
        "Revision 0006 is not undone: what was stored is never dropped. "
        "Next: restore the backup that was made before it."
    )
