"""From the bank to the ledger: stores the bank's files whole, and posts each booked line once.

A statement passes through three calls: `load` what is known about its lines (store), `decide` what
they post (core, pure), and `apply` that (store).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from device_adapters.types import Rejected
from orchestrator.core.bank_file import MACHINE, Fact, Stage
from orchestrator.core.bank_posting import decide
from orchestrator.core.payout import Fact as PayoutFact
from orchestrator.core.reconcile import StatementLine
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.channel import Channel
from orchestrator.edges.bank.types import BankReason, StatusReport
from orchestrator.edges.store import (
    Session,
    Store,
    add_new,
    bank_files,
    bank_postings,
    payouts,
    rejections,
)
from orchestrator.steps import WorkerMemory


class BankFilesContext(Protocol):
    """What reading the bank's files needs of the rail."""

    store: Store
    bank: Channel
    safeguarding: Mapping[str, Any]
    now: Callable[[], int]  # Unix seconds
    log: Any
    memory: WorkerMemory


def read_bank(context: BankFilesContext) -> int:
    """Store and post the bank's new files; return how many. An unreadable one is kept with its
    reason."""
    files = 0
    for name, body in context.bank.receive():
        stage = MACHINE.advance(name, Stage.RECEIVED, _take_file(context, name, body))
        if stage is Stage.TAKEN:
            context.bank.done(name)
        else:
            context.bank.reject(name)
        files += 1
    return files


def _digest_taken(store: Store, accounts: Collection[str], account: str, statement: str) -> str:
    """Return the digest of the statement that was taken under an id; "" if none was.

    It is read from its file again: the store has its balances, and its lines without their place.
    """
    with store.read() as session:
        row = bank_files.statement(session, account, statement)
        file = row and bank_files.get(session, row.file_hash)
    if file is None:
        return ""
    try:
        content = camt.parse(file.body, accounts=accounts)
    except Rejected:  # a later version reads more strictly; no statement has this digest
        return "other"
    digests = {
        other.id: camt.content_digest(other) for other in content if other.account == account
    }
    return digests.get(statement, "other")


def _take_file(context: BankFilesContext, name: str, body: bytes) -> Fact:
    with context.store.read() as session:
        if bank_files.get(session, sha256(body).hexdigest()) is not None:
            return Fact.TAKEN
    accounts = {context.safeguarding["iban"]}
    taken = partial(_digest_taken, context.store, accounts)
    try:
        content = camt.parse(body, accounts=accounts, taken=taken)
        if not isinstance(content, StatusReport):
            _refuse_twins([line for statement in content for line in statement.lines])
    except Rejected as refusal:
        _keep_rejected(context, name, body, refusal)
        return Fact.UNREADABLE
    now = context.now()
    with context.store.write() as session:
        if isinstance(content, StatusReport):
            bank_files.add(session, body, "in", name, "pain.002", now)
            context.memory.files_taken += 1
            _take_statuses(session, content)
            if content.unread:
                context.log.warning(
                    "parts of a bank file not read", name=name, parts=content.unread
                )
            return Fact.TAKEN
        digest = bank_files.add(session, body, "in", name, "camt", now)
        context.memory.files_taken += 1
        for statement in content:
            bank_files.add_statement(
                session, statement.account, statement.id, digest, statement.balances
            )
            bank_files.add_lines(session, statement.lines, digest)
        post_lines(session, [line for statement in content for line in statement.lines], now)
    return Fact.TAKEN


def _refuse_twins(lines: Sequence[StatementLine]) -> None:
    """Refuse an archive with two files of one name: of two lines at one path, one would be lost."""
    twice = [path for path, n in Counter(line.path for line in lines).items() if n > 1]
    if twice:
        raise Rejected(BankReason.ARCHIVE_MALFORMED, f"two lines at {twice[0]:.200}")


def post_lines(session: Session, lines: Sequence[StatementLine], now: int) -> None:
    """Post the lines of a file that were not posted before; they must be stored already.

    Args:
        session: A write session.
        lines: The lines of the file.
        now: Unix seconds.
    """
    known_bank = bank_postings.load(session, lines)
    plan = decide(known_bank)
    bank_postings.apply(session, plan, now)


def _keep_rejected(context: BankFilesContext, name: str, body: bytes, refusal: Rejected) -> None:
    rejection = rejections.RejectionRow(
        received_at=context.now(),
        source="bank",
        device=name,
        protocol="iso20022",
        reason=str(refusal.reason),
        detail=refusal.detail,
        body=body,
    )
    with context.store.write() as session:
        add_new(session, [rejection])
    context.log.warning("bank file rejected", name=name, reason=refusal.reason)


def _take_statuses(session: Session, report: StatusReport) -> None:
    """Record what a status report says; it may stand for a whole message, so the orders of the
    file that it names are looked up."""
    rows = payouts.of_message(session, report.original_message_id)
    payout_ids = {row.end_to_end_id: row.payout_id for row in rows}
    names = payouts.order_names(rows)
    by_reason: dict[str | None, list[str]] = defaultdict(list)
    for reference, reason in report.answers(names).items():
        by_reason[reason].append(payout_ids[reference])
    for reason, ids in by_reason.items():
        fact = PayoutFact.ACCEPTED if reason is None else PayoutFact.REJECTED
        payouts.record_fact(session, ids, fact, reason=reason)
