"""Plain names: debts, approvals and next steps are called what they are; payouts are due.

The journal's rows get the plain names too, and keep their hashes: `core.ledger.chain_hash` covers
the words of 0.3.0. Their append-only triggers are off for that moment alone.
"""

import json

import sqlalchemy as sa
from alembic import op

from orchestrator.edges.store.migrations.append_only import allow_update, refuse_update
from orchestrator.errors import Halt

revision = "0004"
down_revision = "0003"

# table, column, new column
_COLUMNS = (
    ("payment", "effect", "next_step"),
    ("approval", "decision_id", "approval_id"),
    ("approval", "proposal", "proposer_signature"),
    ("approval", "approval", "approver_signature"),
)
# table, column, value of 0.3.0, new value
_VALUES = (
    ("payment", "next_step", "pay_out", "release"),
    ("payout", "stage", "ordered", "due"),
    ("payout", "stage", "held", "waiting_for_approval"),
    ("chainlog", "name", "CreditPaid", "DebtPaid"),
    ("knownbreak", "kind", "credit_unpaid", "debt_unpaid"),
)
_JOURNAL_KINDS = {"credited": "debt_recorded", "credit_paid": "debt_paid"}
_PREFIXES = {  # table, column: (of 0.3.0, plain)
    ("ledgerposting", "account"): ("credit_due:", "debt_due:"),
    ("ledgerentry", "source"): ("decision:", "approval:"),
}
_JOURNAL = ("ledgerentry", "ledgerposting")
_INDEXES = {
    "payment_due": ("payment", ["next_step", "due_at"]),
    "ix_debt_agreement_id": ("debt", ["agreement_id"]),
    "ix_debt_payee": ("debt", ["payee"]),
    "ix_approval_kind": ("approval", ["kind"]),
    "ix_approval_subject": ("approval", ["subject"]),
}
_OLD_INDEXES = (
    ("payment_due", "payment"),
    ("ix_credit_agreement_id", "credit"),
    ("ix_credit_payee", "credit"),
    ("ix_decision_kind", "decision"),
    ("ix_decision_subject", "decision"),
)


def upgrade() -> None:
    for name, table in _OLD_INDEXES:
        op.drop_index(name, table_name=table)
    op.rename_table("credit", "debt")
    op.rename_table("decision", "approval")
    for table, old, new in _COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    for table, column, old, new in _VALUES:
        _replace(table, column, old, new)
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns)
    _rename_in_journal()
    _rename_in_pending()


def _rename_in_journal() -> None:
    for table in _JOURNAL:
        allow_update(op, table)
    for old, new in _JOURNAL_KINDS.items():
        _replace("ledgerentry", "kind", old, new)
    for (table, column), (old, new) in _PREFIXES.items():
        field = sa.column(column)
        rows = sa.table(table, field).update().where(field.startswith(old, autoescape=True))
        op.execute(rows.values({column: sa.func.replace(field, old, new)}))
    for table in _JOURNAL:
        refuse_update(op, table)


def _rename_in_pending() -> None:
    for old, new in _JOURNAL_KINDS.items():
        _replace("pendingentry", "kind", old, new)
    number, postings = sa.column("number"), sa.column("postings")
    table = sa.table("pendingentry", number, postings)
    bind = op.get_bind()
    named = sa.select(number, postings).select_from(table).where(postings.contains("credit_due:"))
    for key, text in bind.execute(named).all():
        rows = [[a.replace("credit_due:", "debt_due:"), *rest] for a, *rest in json.loads(text)]
        bind.execute(table.update().where(number == key).values(postings=json.dumps(rows)))


def _replace(table: str, column: str, old: str, new: str) -> None:
    field = sa.column(column)
    op.execute(sa.table(table, field).update().where(field == old).values({column: new}))


def downgrade() -> None:
    raise Halt(
        "Revision 0004 is not undone: what was stored is never dropped. "
        "Next: restore the backup that was made before it."
    )
