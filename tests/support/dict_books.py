"""A context in dictionaries for the posting rules of bank lines, as a rebuild has one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.bank_posting import (
    CreditBooked,
    PayoutMoved,
    UnmintedCredit,
    entries_for,
    in_order,
    line_ids,
    open_payout,
)
from orchestrator.core.identity import payout_account
from orchestrator.core.reconcile import StatementLine, distinct

DAY = date(2026, 11, 20)
NORD = "DE02120300000000202051"
ONE, TWO, THREE = ("0x" + bytes([n] * 32).hex() for n in (1, 2, 3))
AGREEMENT = "0x" + "aa" * 32
LINE = StatementLine(
    account="DE89",
    booking_date=DAY,
    value_date=DAY,
    amount_minor=-1_234,
    currency="EUR",
    source=b"\7" * 32,
    path="Stmt[1]/Ntry[1]",
    kind="camt.053",
    end_to_end_id="E1",
    bank_reference="B1",
    counterparty_iban=NORD,
)


@dataclass
class DictBooks:
    """Books with three payouts in transit; `take` posts bank lines by the rules."""

    orders: dict[str, tuple[str, int]] = field(default_factory=dict)  # EndToEndId: (payout, cents)
    batches: dict[str, list[str]] = field(default_factory=dict)  # PmtInfId: EndToEndIds
    entries: list[ledger.Entry] = field(default_factory=list)
    booked: set[str] = field(default_factory=set)
    lines: dict[str, StatementLine] = field(default_factory=dict)  # credit id: line
    effects: list = field(default_factory=list)

    def __post_init__(self) -> None:
        for payout, cents in self.orders.values():
            self.entries.append(ledger.redeemed(payout, ledger.WALLETS, cents))

    def is_booked(self, ids):
        return bool(self.booked & set(ids))

    def payout(self, end_to_end_id):
        if end_to_end_id not in self.orders:
            return None
        payout = self.orders[end_to_end_id][0]
        entries = [entry for entry in self.entries if entry.ref.split("/")[0] == payout]
        return open_payout(payout, "0x" + payout_account(NORD).hex(), entries)

    def batch(self, batch):
        return [self.payout(order) for order in self.batches.get(batch, [])]

    def agreement(self, reference, at):
        return AGREEMENT if reference == "RF18KNOWN" else None

    def credits(self, cents):
        for credit, line in sorted(self.lines.items()):
            balances = ledger.balances(
                posting
                for entry in self.entries
                if entry.ref == credit
                for posting in entry.postings
            )
            for account in (ledger.FUNDING, ledger.UNALLOCATED):
                if balances.get((account, ledger.EUR)) == -cents:
                    yield UnmintedCredit(credit, account, line.reference, line.counterparty_iban)

    def take(self, *lines: StatementLine):
        """Post the lines of one file as a step does."""
        for booked in in_order(distinct(lines)):
            posted = entries_for(booked, self)
            self.booked.update(line_ids(booked))
            ids = [entry.entry_id for entry in self.entries]
            assert not {entry.entry_id for entry in posted.entries} & set(ids)
            self.entries += posted.entries
            self.effects += posted.effects
            for effect in posted.effects:
                if isinstance(effect, CreditBooked):
                    self.lines[effect.credit_id] = booked.line
        return self

    def balances(self) -> dict[str, int]:
        totals = ledger.balances(posting for entry in self.entries for posting in entry.postings)
        return {
            account: cents
            for (account, asset), cents in totals.items()
            if asset == ledger.EUR and cents and account != ledger.DEPOSITS
        }

    def stages(self) -> list[str]:
        return [effect.stage for effect in self.effects if isinstance(effect, PayoutMoved)]


def books(**batches: list[str]) -> DictBooks:
    return DictBooks({"E1": (ONE, 1_234), "E2": (TWO, 766), "E3": (THREE, 766)}, batches)


SENT = {ledger.IN_TRANSIT: -2_766}
REST = -(766 + 766)  # in transit once the first payout is booked
