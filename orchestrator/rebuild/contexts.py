"""Answers from raw material what the posting rules ask: dictionaries instead of the store.

The rules are core/chain_posting and core/bank_posting; the live rail answers the same questions
from its store. A rebuild checks that both lead to the same entries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from oracles.types import Claim
from orchestrator.core import ledger
from orchestrator.core.bank_context import (
    KnownBank,
    KnownCredit,
    KnownMandate,
    KnownPayout,
    OpenPayout,
    open_payout,
    questions,
)
from orchestrator.core.ledger import Entry, entry_id
from orchestrator.core.mandate import opened_mandate
from orchestrator.core.outside import TokenHistory
from orchestrator.core.reconcile import StatementLine, distinct
from orchestrator.core.references import attempted, end_to_end_id
from orchestrator.edges.bank.order_files import Ordered
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.products import Product
from orchestrator.rebuild.history import ChainHistory, place

_NOBODY = "0x" + "00" * 20
_WAITS = (ledger.FUNDING, ledger.UNALLOCATED)


@dataclass
class RebuiltJournal:
    """The entries so far, in order, each once.

    Attributes:
        entries: Entry id -> entry.
        reclaimed: Accounts whose escrow was given back.
        about: Id of a payout or credit -> the entries about it.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    reclaimed: set[str] = field(default_factory=set)  # accounts whose escrow was given back
    about: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))

    def post(self, items: Iterable[Entry]) -> None:
        """Add entries; one whose id is there already changes nothing."""
        for item in items:
            if item.entry_id not in self.entries:
                self.entries[item.entry_id] = item
                self.about[item.ref.split("/")[0]].append(item)
                if item.kind == "reclaimed":
                    self.reclaimed |= {posting.account for posting in item.postings}

    def under(self, ref: str) -> list[Entry]:
        """Return entries whose reference is this id, or begins with it and a slash."""
        return self.about.get(ref, [])


class RawChain:
    """core.chain_posting.ChainContext over the node's history."""

    def __init__(
        self,
        rails: Collection[str],
        history: ChainHistory,
        products: Mapping[str, Product],
        journal: RebuiltJournal,
        since: Mapping[str, int],
    ) -> None:
        self.rails, self._history, self._journal = rails, history, journal
        self.outside = TokenHistory(
            lambda: history.named("WaterfallCreated"), self._transfers, lambda: since
        )
        self._products = products
        self._opened = {log.args["agreement"]: log.args for log in history.named("AgreementOpened")}
        self._around: dict[str, list[DecodedLog]] = defaultdict(list)
        for logs in history.logs.values():
            for log in logs:
                self._around[log.tx_hash].append(log)

    def claims(self, log: DecodedLog) -> Sequence[Claim]:
        """Return the claims of a `Settled` log."""
        return self._history.claims[place(log)]

    def payee(self, agreement: str, facts: bytes) -> str | None:
        """Return the payee of a claim; None if its product is not known."""
        opened = self._opened.get(agreement)
        if opened is None:
            return None
        if opened["payee"] != _NOBODY:
            return opened["payee"]
        product = self._products.get(opened_mandate(opened)["product"].lower())
        return product.payee(facts) if product else None

    def around(self, log: DecodedLog) -> Sequence[DecodedLog]:
        """Return the logs of the same transaction, in order."""
        return self._around[log.tx_hash]

    def _transfers(self, address: str) -> list[DecodedLog]:
        return [
            log
            for log in self._history.named("Transfer")
            if address in (log.args["from"].lower(), log.args["to"].lower())
        ]

    def settled(self, payment: str) -> Entry | None:
        """Return the entry by which an earlier block settled a payment."""
        return self._journal.entries.get(entry_id("settled", payment))


@dataclass
class RawPayout:
    """A payout as the chain ordered it, and as approvals have ordered it again."""

    payout_id: str
    payee: str
    account: str
    cents: int
    tx_hash: str
    ordered_at: int
    attempt: int = 0
    end_to_end_id: str = ""


@dataclass
class RawCredit:
    """Money that came in.

    Attributes:
        cents: Its amount.
        agreement: The agreement that it is for; None if it is not known yet.
    """

    cents: int
    agreement: str | None


@dataclass
class RawBank:
    """The state of payouts and credits, from which the posting rules of bank lines are answered.

    Attributes:
        journal: The entries so far.
        mandates: Funding reference -> (agreement, expiry in Unix seconds).
        payouts: Payout id -> payout.
        by_reference: The EndToEndId last ordered under -> payout.
        sent: EndToEndId -> its order in an order file.
        moved: EndToEndIds of which the bank booked something.
        refused: EndToEndIds that the bank refused before it booked anything.
        booked: Line id -> the line that was posted under it.
        credit_rows: Credit id -> money that came in.
    """

    journal: RebuiltJournal
    mandates: Mapping[str, tuple[str, int]]
    payouts: dict[str, RawPayout] = field(default_factory=dict)
    by_reference: dict[str, RawPayout] = field(default_factory=dict)
    sent: dict[str, Ordered] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    booked: dict[str, StatementLine] = field(default_factory=dict)
    credit_rows: dict[str, RawCredit] = field(default_factory=dict)

    def order(self, payout: RawPayout) -> None:
        """Order a payout under the references of its attempt; earlier references are void."""
        self.by_reference.pop(payout.end_to_end_id, None)
        identity = attempted(bytes.fromhex(payout.payout_id[2:]), payout.attempt)
        payout.end_to_end_id = end_to_end_id(identity)
        self.payouts[payout.payout_id] = self.by_reference[payout.end_to_end_id] = payout

    def known(self, lines: Sequence[StatementLine]) -> KnownBank:
        """Return what the posting of bookings depends on.

        Args:
            lines: The lines that may report these bookings.
        """
        bookings = distinct(lines)
        asked = questions(bookings)
        return KnownBank(
            bookings,
            self.booked.keys(),
            {
                reference: _known_payout(self.by_reference[reference])
                for reference in asked.end_to_end_ids & self.by_reference.keys()
            },
            {batch: self._batch(batch) for batch in asked.batches},
            {
                reference: self._mandate(reference)
                for reference in asked.references & self.mandates.keys()
            },
            {cents: self._credits(cents) for cents in asked.amounts},
            self.journal.about,
        )

    def _batch(self, batch: str) -> list[KnownPayout]:
        rows = [
            payout
            for reference, payout in self.by_reference.items()
            if reference in self.sent
            and self.sent[reference].batch == batch
            and reference not in self.refused
        ]
        return [_known_payout(row) for row in sorted(rows, key=lambda row: row.payout_id)]

    def _mandate(self, reference: str) -> KnownMandate:
        agreement, expiry = self.mandates[reference]
        is_reclaimed = ledger.escrow(agreement) in self.journal.reclaimed
        return KnownMandate(agreement, expiry, is_reclaimed)

    def _credits(self, cents: int) -> list[KnownCredit]:
        return [
            KnownCredit(credit_id, line.reference, line.counterparty_iban)
            for credit_id in sorted(c for c, row in self.credit_rows.items() if row.cents == cents)
            if (line := self.booked.get(credit_id))
        ]

    def opened(self, row: RawPayout) -> OpenPayout:
        """Return a payout as its entries describe it."""
        return open_payout(row.payout_id, row.account, self.journal.under(row.payout_id))


def _known_payout(row: RawPayout) -> KnownPayout:
    return KnownPayout(row.payout_id, row.account)
