"""Rebuilds the journal: each source in turn passes the posting rules, then entries are
hash-chained."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.core import ledger
from orchestrator.core.chain_posting import entries_of_block
from orchestrator.core.ledger import GENESIS, Entry, chain_hash
from orchestrator.edges.chain.client import SeenBlock
from orchestrator.edges.store import Session, all_rows, approvals, bank_files, blocks
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.products import Product
from orchestrator.rebuild import decided
from orchestrator.rebuild.bank import Files
from orchestrator.rebuild.contexts import RawBank, RawChain, RawPayout, RebuiltJournal
from orchestrator.rebuild.findings import Differences
from orchestrator.rebuild.history import ChainHistory
from orchestrator.rebuild.sources import in_order


@dataclass(frozen=True, slots=True)
class Numbered:
    """An entry with its place and hash in a journal."""

    number: int
    entry: Entry
    hash: str

    @property
    def text(self) -> str:
        """Return one line of canonical JSON: the bytes that are compared."""
        entry = self.entry
        return json.dumps(
            {
                "at": entry.at,
                "entry_id": entry.entry_id,
                "hash": self.hash,
                "kind": entry.kind,
                "number": self.number,
                "ref": entry.ref,
                "source": entry.source,
                "postings": [[p.account, p.asset, p.amount_minor] for p in entry.postings],
            },
            sort_keys=True,
            separators=(",", ":"),
        )


def stored_journal(session: Session) -> list[Numbered]:
    """Return the entries of the store with their numbers and hashes, in order."""
    return [Numbered(row.number, item, row.hash) for row, item in store_ledger.entries(session)]


def chained(entries: Iterable[Entry]) -> Iterator[Numbered]:
    """Return entries in their order, numbered from 1 and hash-chained from GENESIS."""
    previous = GENESIS
    for number, item in enumerate(entries, 1):
        previous = chain_hash(previous, item)
        yield Numbered(number, item, previous)


def balance_lines(balances: Mapping[tuple[str, str], int]) -> list[str]:
    """Return one line of canonical JSON per account, by asset and account."""
    return [
        json.dumps(
            {"account": account, "amount_minor": amount, "asset": asset},
            sort_keys=True,
            separators=(",", ":"),
        )
        for (account, asset), amount in sorted(balances.items(), key=lambda i: i[0][::-1])
    ]


def digest(lines: Iterable[str]) -> str:
    """Return the SHA-256 of lines, each ended by a line feed."""
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


class Fold:
    """Folds sources, one after the other, into `journal`; `files` has the content of the bank's
    files."""

    def __init__(
        self,
        session: Session,
        history: ChainHistory,
        rails: Collection[str],
        products: Mapping[str, Product],
        mandates: Mapping[str, tuple[str, int]],
        findings: Differences,
    ) -> None:
        self.journal = RebuiltJournal()
        owners = {
            (row.account, row.statement): row.file_hash for row in bank_files.statements(session)
        }
        accounts = frozenset(account for account, _ in owners)
        self.files = Files(RawBank(self.journal, mandates), findings, accounts, owners=owners)
        # what contracts logged before the rail knew them has a source of its own
        self._since = blocks.followed(session)
        self._chain = RawChain(rails, history, products, self.journal, self._since)
        self._session, self._history, self._findings = session, history, findings
        self._blocks = {f"block:{block.hash}": block for block in history.blocks}
        last_late = max(self._since.values(), default=0)
        self._late = {
            f"late:{block.hash}": block for block in history.blocks if block.number <= last_late
        }
        self._files = {
            f"file:{row.file_hash}": row.at for row in all_rows(session, bank_files.BankFileRow)
        }
        self._approvals = {
            f"approval:{row.approval_id}": row
            for row in all_rows(session, approvals.ApprovalRow, approvals.ApprovalRow.executed_at)
            if row.executed_at is not None
        }

    def run(self, journal: Iterable[str]) -> None:
        """Fold all sources.

        Args:
            journal: The sources of the stored entries, in their order.
        """
        taken = list(journal)
        tracks = list(self._blocks), list(self._late), self._files_and_approvals(set(taken))
        order = in_order(taken, *tracks)
        for done, source in enumerate(order, 1):
            if source in self._blocks:
                self._block(self._blocks[source])
            elif source in self._late:
                self._block(self._late[source], "late")
            elif source in self._files:
                self._file(source)
            elif source in self._approvals:
                decided.fold(self._approvals[source], self.files.bank)
            else:
                self._findings.add(
                    "source",
                    source,
                    "entries name it, and there is no such block, file or executed approval",
                )
            self._findings.progress("sources", done, len(order))

    def _files_and_approvals(self, with_entries: set[str]) -> list[str]:
        """Return files in the order in which they were stored, with approvals that have no entry.

        Such an approval (an order that goes out again) comes right before the first file that was
        stored after it.
        """
        silent = [
            (row.executed_at, name)
            for name, row in self._approvals.items()
            if name not in with_entries
        ]
        order: list[str] = []
        for source, at in self._files.items():
            while silent and silent[0][0] <= at:
                order.append(silent.pop(0)[1])
            order.append(source)
        return order + [name for _, name in silent]

    def _block(self, block: SeenBlock, origin: str = "block") -> None:
        logs = [
            log
            for log in self._history.logs[block.hash]
            if (block.number <= self._since.get(log.address, 0)) == (origin == "late")
        ]
        self.journal.post(entries_of_block(block.hash, block.timestamp, logs, self._chain, origin))
        for log in logs:
            if log.name == "Redeemed":
                args = log.args
                self.files.bank.order(
                    RawPayout(
                        args["order"],
                        args["beneficiary"],
                        args["account"],
                        args["cents"],
                        log.tx_hash,
                        block.timestamp,
                    )
                )

    def _file(self, source: str) -> None:
        row = bank_files.get(self._session, source.removeprefix("file:"))
        if row is not None:
            self.files.fold(row)
            self._session.expunge(row)


def compare(stored: list[Numbered], rebuilt: list[Numbered], findings: Differences) -> None:
    """Report every entry that is missing, too many, or different from what its source makes."""
    rebuilt_by_id = {numbered.entry.entry_id: numbered for numbered in rebuilt}
    stored_by_id = {numbered.entry.entry_id: numbered for numbered in stored}
    before = len(findings.differences)
    for numbered in stored:
        twin = rebuilt_by_id.get(numbered.entry.entry_id)
        if twin is None:
            findings.add(
                "ledger entry",
                numbered.number,
                f"{numbered.entry.kind} {numbered.entry.ref} is in the journal, "
                "and no source makes it",
                numbered.entry.source,
            )
        else:
            _compare_entry(numbered, twin, findings)
    for numbered in rebuilt:
        if numbered.entry.entry_id not in stored_by_id:
            findings.add(
                "ledger entry",
                numbered.entry.source,
                "the journal has no entry "
                f"{numbered.entry.kind} {numbered.entry.ref}, and its source makes one",
            )
    if len(findings.differences) == before:
        _compare_chain(stored, rebuilt, findings)


def _compare_entry(stored: Numbered, rebuilt: Numbered, findings: Differences) -> None:
    name = f"{stored.number} ({stored.entry.kind} {stored.entry.ref})"
    for part in ("kind", "ref", "at", "source"):
        stored_value, rebuilt_value = getattr(stored.entry, part), getattr(rebuilt.entry, part)
        if stored_value != rebuilt_value:
            findings.add("ledger entry", name, part, stored_value, rebuilt_value)
    if stored.entry.postings != rebuilt.entry.postings:
        findings.add("ledger entry", name, "postings", _text(stored.entry), _text(rebuilt.entry))


def _text(entry: Entry) -> str:
    return ", ".join(f"{p.account} {p.amount_minor} {p.asset}" for p in entry.postings)


def _compare_chain(stored: list[Numbered], rebuilt: list[Numbered], findings: Differences) -> None:
    """Report the first entry of which only order, number or hash differs."""
    for stored_entry, rebuilt_entry in zip(stored, rebuilt, strict=True):
        if stored_entry.text == rebuilt_entry.text:
            continue
        same_content = stored_entry.entry == rebuilt_entry.entry
        same_place = stored_entry.number == rebuilt_entry.number
        part = "hash" if same_content and same_place else "order"
        what = {
            "hash": (stored_entry.hash, rebuilt_entry.hash),
            "order": (stored_entry.entry.entry_id, rebuilt_entry.entry.entry_id),
        }[part]
        findings.add("ledger entry", stored_entry.number, part, *what)
        return


def balances_of(journal: Iterable[Numbered]) -> dict[tuple[str, str], int]:
    """Return {(account, asset): balance in minor units} of a journal."""
    return ledger.balances(p for numbered in journal for p in numbered.entry.postings)
