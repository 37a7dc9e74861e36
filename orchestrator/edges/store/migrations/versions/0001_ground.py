"""The ground: every table, and triggers that keep the journal, evidence and facts append-only.

This file never changes: a table that changes gets a revision of its own, so that a database of any
age comes to the same schema.
"""

import sqlalchemy as sa
from alembic import op

from orchestrator.edges.store.migrations.append_only import protect
from orchestrator.errors import Halt

revision = "0001"
down_revision = None

_APPEND_ONLY = ("evidence", "paymentfact", "ledgerentry", "ledgerposting", "bankfile")
_INDEXES = (
    ("ix_ledgerentry_ref", "ledgerentry", ["ref"]),
    ("ix_ledgerposting_account", "ledgerposting", ["account"]),
    ("ix_ledgerposting_entry_id", "ledgerposting", ["entry_id"]),
    ("ix_payout_stage", "payout", ["stage"]),
    ("ix_bankline_end_to_end_id", "bankline", ["end_to_end_id"]),
    ("ix_funding_stage", "funding", ["stage"]),
    ("ix_agreement_device_id", "agreement", ["device_id"]),
    ("ix_event_payment_id", "event", ["payment_id"]),
    ("event_by_counter", "event", ["agreement_id", "counter"]),
    ("ix_event_evidence_hash", "event", ["evidence_hash"]),
    ("ix_rejection_reason", "rejection", ["reason"]),
    ("ix_payment_agreement_id", "payment", ["agreement_id"]),
    ("ix_payment_payout_id", "payment", ["payout_id"]),
    ("ix_payment_stage", "payment", ["stage"]),
    ("ix_payment_settlement_tx", "payment", ["settlement_tx"]),
    ("payment_due", "payment", ["effect", "due_at"]),
    ("ix_payment_batch_digest", "payment", ["batch_digest"]),
    ("ix_paymentfact_payment_id", "paymentfact", ["payment_id"]),
    ("ix_chainsend_ref", "chainsend", ["ref"]),
    ("ix_chainsend_stage", "chainsend", ["stage"]),
    ("ix_chainlog_tx_hash", "chainlog", ["tx_hash"]),
    ("ix_chainlog_block_number", "chainlog", ["block_number"]),
)


def upgrade() -> None:
    _create_ledger()
    _create_bank()
    _create_parties()
    _create_evidence()
    _create_payments()
    _create_chain()
    _create_access()
    for name, table, columns in _INDEXES:
        op.create_index(name, table, columns)
    protect(op, _APPEND_ONLY)


def _create_ledger() -> None:
    op.create_table(
        "ledgerentry",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("entry_id"),
    )
    op.create_table(
        "ledgerposting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("asset", sa.String(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_bank() -> None:
    op.create_table(
        "payout",
        sa.Column("payout_id", sa.String(), nullable=False),
        sa.Column("payee", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=False),
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("file_hash", sa.String(), nullable=True),
        sa.Column("line_id", sa.String(), nullable=True),
        sa.Column("ordered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payout_id"),
        sa.UniqueConstraint("end_to_end_id"),
    )
    op.create_table(
        "bankfile",
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("file_hash"),
    )
    op.create_table(
        "bankline",
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("end_to_end_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("file_hash", "path"),
    )
    op.create_table(
        "booking",
        sa.Column("line_id", sa.String(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("line_id"),
    )
    op.create_table(
        "bankstatement",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("file_hash", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=True),
        sa.Column("opening_minor", sa.BigInteger(), nullable=True),
        sa.Column("closing_minor", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", "statement"),
    )
    op.create_table(
        "funding",
        sa.Column("credit_id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=True),
        sa.Column("cents", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("tx_hash", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("credit_id"),
    )


def _create_parties() -> None:
    op.create_table(
        "device",
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("curve", sa.String(), nullable=False),
        sa.Column("key_x", sa.String(), nullable=False),
        sa.Column("key_y", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "party",
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("iban", sa.String(), nullable=True),
        sa.Column("bic", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("street", sa.String(), nullable=False),
        sa.Column("building", sa.String(), nullable=False),
        sa.Column("post_code", sa.String(), nullable=False),
        sa.Column("town", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("address"),
    )
    op.create_table(
        "agreement",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("product", sa.String(), nullable=False),
        sa.Column("product_address", sa.String(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("payee", sa.String(), nullable=False),
        sa.Column("cap_micro", sa.BigInteger(), nullable=False),
        sa.Column("period_days", sa.Integer(), nullable=False),
        sa.Column("window_s", sa.Integer(), nullable=False),
        sa.Column("expiry", sa.BigInteger(), nullable=False),
        sa.Column("first_counter", sa.BigInteger(), nullable=False),
        sa.Column("required_domain", sa.Integer(), nullable=False),
        sa.Column("salt", sa.String(), nullable=False),
        sa.Column("terms", sa.String(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_id"),
        sa.UniqueConstraint("reference"),
    )


def _create_evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("evidence_hash", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("evidence_hash"),
    )
    op.create_table(
        "event",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("device_id", sa.String(), nullable=False),
        sa.Column("counter", sa.BigInteger(), nullable=False),
        sa.Column("observed_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("evidence_hash", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("event_id"),
    )
    op.create_table(
        "rejection",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("protocol", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_payments() -> None:
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("effect", sa.String(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_counter", sa.BigInteger(), nullable=False),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.Column("evidence_root", sa.String(), nullable=False),
        sa.Column("facts", sa.String(), nullable=False),
        sa.Column("claim_hash", sa.String(), nullable=False),
        sa.Column("batch_digest", sa.String(), nullable=True),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("release_at", sa.BigInteger(), nullable=False),
        sa.Column("settlement_tx", sa.String(), nullable=True),
        sa.Column("release_tx", sa.String(), nullable=True),
        sa.Column("payout_id", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("payment_id"),
        sa.UniqueConstraint("agreement_id", "sequence"),
    )
    op.create_table(
        "paymentfact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.Column("fact", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("payment_id", "fact", "key"),
    )
    op.create_table(
        "attestation",
        sa.Column("batch_digest", sa.String(), nullable=False),
        sa.Column("oracle", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("domain", sa.Integer(), nullable=False),
        sa.Column("signature", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("batch_digest", "oracle"),
    )
    op.create_table(
        "batchclaim",
        sa.Column("batch_digest", sa.String(), nullable=False),
        sa.Column("payment_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("batch_digest", "payment_id"),
    )


def _create_chain() -> None:
    op.create_table(
        "chainsend",
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("chain_id", sa.Integer(), nullable=False),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("nonce", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("block_number", sa.Integer(), nullable=True),
        sa.Column("gas_used", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tx_hash"),
        sa.UniqueConstraint("chain_id", "sender", "nonce"),
    )
    op.create_table(
        "block",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "chainlog",
        sa.Column("block_hash", sa.String(), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("block_number", sa.Integer(), nullable=False),
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("args", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("block_hash", "log_index"),
    )
    op.create_table(
        "proof",
        sa.Column("tx_hash", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tx_hash"),
    )


def _create_access() -> None:
    op.create_table(
        "hole",
        sa.Column("agreement_id", sa.String(), nullable=False),
        sa.Column("first_counter", sa.BigInteger(), nullable=False),
        sa.Column("last_counter", sa.BigInteger(), nullable=False),
        sa.Column("declared_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agreement_id", "first_counter"),
    )
    op.create_table(
        "apikey",
        sa.Column("key_hash", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "idempotency",
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("client", "key"),
    )


def downgrade() -> None:
    raise Halt(
        "Revision 0001 is not undone: evidence and journal are never dropped. "
        "Next: restore the backup that was made before it."
    )
