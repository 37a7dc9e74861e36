"""Reads the bank's files again from their stored bytes: their lines, and what each line posts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from device_adapters.types import Rejected
from orchestrator.core.bank_context import BankEffect, CreditBooked, PayoutMoved
from orchestrator.core.bank_posting import decide
from orchestrator.core.reconcile import StatementLine
from orchestrator.core.reconcile.lines import keys
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.order_files import read_orders
from orchestrator.edges.bank.types import BankStatement, StatusReport
from orchestrator.edges.store import Session, all_rows, bank_files, fundings, payouts
from orchestrator.edges.store.tables import BankLineRow
from orchestrator.rebuild.contexts import RawBank, RawCredit, RawPayout
from orchestrator.rebuild.findings import Differences


@dataclass
class Lines:
    """Every line read so far, by the keys that reports of one booking share."""

    _like: dict[str, list[StatementLine]] = field(default_factory=lambda: defaultdict(list))

    def add(self, lines: Iterable[StatementLine]) -> None:
        """Add lines under their keys."""
        for line in lines:
            for key in filter(None, keys(line)):
                self._like[key].append(line)

    def like(self, new: Iterable[StatementLine]) -> list[StatementLine]:
        """Return the lines that a chain of shared keys connects with these lines."""
        connected: dict[tuple[bytes, str], StatementLine] = {}
        seen_keys: set[str] = set()
        wanted = {key for line in new for key in keys(line) if key}
        while wanted:
            seen_keys |= wanted
            lines = [line for key in wanted for line in self._like[key]]
            connected |= {(line.source, line.path): line for line in lines}
            wanted = {key for line in lines for key in keys(line) if key} - seen_keys
        return list(connected.values())


@dataclass
class Files:
    """The content of the files read so far: rows that the store must have of them.

    Attributes:
        bank: The state of payouts and credits.
        findings: Collects differences.
        accounts: Our IBANs, since MT940 may spell them differently.
        lines: Every line read so far.
        by_place: The line at each (file hash, path).
        statements: Columns of each (account, statement).
        owners: The file hash of each (account, statement) in the store: which of several
            statements with one id has the id alone as its name.
    """

    bank: RawBank
    findings: Differences
    accounts: frozenset[str] = frozenset()  # our IBANs: MT940 may name them otherwise
    lines: Lines = field(default_factory=Lines)
    by_place: dict[tuple[str, str], StatementLine] = field(default_factory=dict)
    statements: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    owners: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def fold(self, row: bank_files.BankFileRow) -> None:
        """Post what a file posts, through the rules of core/bank_posting."""
        if (digest := sha256(row.body).hexdigest()) != row.file_hash:
            self.findings.add(
                "bank file",
                row.name,
                "its bytes were changed: their SHA-256",
                row.file_hash,
                digest,
            )
            return
        try:
            if row.direction == "out":
                self.bank.sent |= {order.end_to_end_id: order for order in read_orders(row.body)}
                return
            content = camt.parse(
                row.body, accounts=self.accounts, taken=partial(self._taken, row.file_hash)
            )
        except Rejected as refusal:
            self.findings.add("bank file", row.name, f"it cannot be read any more: {refusal}")
            return
        if isinstance(content, StatusReport):
            self._refuse(content)
        else:
            self._take(content, row.file_hash)
        self.findings.count("bank files", 1)

    def _refuse(self, report: StatusReport) -> None:
        """Record what a status report rejects, except what the bank has booked or rejected
        before."""
        bank, message = self.bank, report.original_message_id
        orders = [order for order in bank.sent.values() if order.message == message]
        names = {
            name: order.end_to_end_id
            for order in orders
            for name in (order.end_to_end_id, *order.other_names)
        }
        refused = {ref for ref, reason in report.answers(names).items() if reason is not None}
        bank.refused |= refused - bank.moved

    def _taken(self, file_hash: str, account: str, statement: str) -> str:
        """Return "other" if the statement of this name is another file's, else ""."""
        owner = self.owners.get((account, statement), file_hash)
        return "" if owner == file_hash else "other"

    def _take(self, statements: Sequence[BankStatement], digest: str) -> None:
        for statement in statements:
            balances = statement.balances
            self.statements.setdefault(
                (statement.account, statement.id),
                {
                    "file_hash": digest,
                    "day": balances.day.isoformat() if balances else None,
                    "opening_minor": balances.opening_minor if balances else None,
                    "closing_minor": balances.closing_minor if balances else None,
                },
            )
        lines = [line for statement in statements for line in statement.lines]
        self.by_place |= {(digest, line.path): line for line in lines}
        self.lines.add(lines)
        plan = decide(self.bank.known(self.lines.like(lines)))
        for line_id, line in plan.bookings:
            self.bank.booked.setdefault(line_id, line)
        self.bank.journal.post(plan.entries)
        for effect in plan.effects:
            self._apply(effect)
        self.findings.count("bank lines", len(lines))

    def _apply(self, effect: BankEffect) -> None:
        match effect:
            case PayoutMoved():
                reference = self.bank.payouts[effect.payout_id].end_to_end_id
                self.bank.moved.add(reference)
                self.bank.refused.discard(reference)
            case CreditBooked():
                self.bank.credit_rows[effect.credit_id] = RawCredit(effect.cents, effect.agreement)


def check_rows(session: Session, files: Files, findings: Differences) -> None:
    """Compare stored lines, statements, bookings, credits and payouts with the content of the
    files."""
    bank, seen = files.bank, set()
    for row in all_rows(session, BankLineRow):
        place = (row.file_hash, row.path)
        seen.add(place)
        line = files.by_place.get(place)
        if line is None:
            findings.add("bank line", " ".join(place), "is stored, and its file does not hold it")
        elif bank_files.read_line(row.body) != line or row.end_to_end_id != line.end_to_end_id:
            findings.add("bank line", " ".join(place), "is not what its file says", row.body, line)
    for place in files.by_place.keys() - seen:
        findings.add("bank line", " ".join(place), "is not stored, though its file holds it")
    findings.rows(
        "statement",
        all_rows(session, bank_files.BankStatementRow),
        files.statements,
        lambda row: (row.account, row.statement),
    )
    findings.rows(
        "booking",
        all_rows(session, bank_files.BookingRow),
        {
            line_id: {"file_hash": line.source.hex(), "path": line.path}
            for line_id, line in bank.booked.items()
        },
        lambda row: row.line_id,
    )
    findings.rows(
        "credit",
        all_rows(session, fundings.FundingRow),
        {
            credit_id: {"cents": credit.cents, "agreement_id": credit.agreement}
            for credit_id, credit in bank.credit_rows.items()
        },
        lambda row: row.credit_id,
    )
    findings.rows(
        "payout",
        all_rows(session, payouts.PayoutRow),
        {payout.payout_id: _payout_columns(payout) for payout in bank.payouts.values()},
        lambda row: row.payout_id,
    )
    _check_orders(bank, findings)


def _payout_columns(payout: RawPayout) -> dict[str, Any]:
    columns = {
        "account": payout.account,
        "cents": payout.cents,
        "tx_hash": payout.tx_hash,
        "ordered_at": payout.ordered_at,
        "end_to_end_id": payout.end_to_end_id,
        "attempt": payout.attempt,
    }
    # where a credit is sent back, officers name an account; whose it is, is our own address book's
    return columns | ({"payee": payout.payee} if payout.payee else {})


def _check_orders(bank: RawBank, findings: Differences) -> None:
    """Compare the amounts in order files with the amounts that were burned on chain."""
    for reference, order in bank.sent.items():
        payout = bank.by_reference.get(reference)
        if payout is not None and not payout.attempt and payout.cents != order.cents:
            findings.add(
                "order",
                reference,
                "the order has another amount than was redeemed",
                order.cents,
                payout.cents,
            )
