"""A context in dictionaries for the posting rules of bank lines, as a rebuild has one."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

from orchestrator.core import ledger
from orchestrator.core.bank_context import (
    CreditBooked,
    KnownBank,
    KnownCredit,
    KnownMandate,
    KnownPayout,
    PayoutMoved,
)
from orchestrator.core.bank_posting import decide
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

    def known(self, lines: tuple[StatementLine, ...]) -> KnownBank:
        """Return all there is as the rules take it."""
        account = "0x" + payout_account(NORD).hex()
        payouts = {ref: KnownPayout(payout, account) for ref, (payout, _) in self.orders.items()}
        credits, entries = defaultdict(list), defaultdict(list)
        for credit, line in sorted(self.lines.items()):
            credits[line.amount_minor].append(
                KnownCredit(credit, line.reference, line.counterparty_iban)
            )
        for entry in self.entries:
            entries[entry.ref.split("/")[0]].append(entry)
        return KnownBank(
            distinct(lines),
            self.booked,
            payouts,
            {batch: [payouts[ref] for ref in refs] for batch, refs in self.batches.items()},
            {"RF18KNOWN": KnownMandate(AGREEMENT, 1 << 40)},
            credits,
            entries,
        )

    def take(self, *lines: StatementLine):
        """Post the lines of one file as a step does."""
        plan = decide(self.known(lines))
        ids = [entry.entry_id for entry in self.entries]
        assert not {entry.entry_id for entry in plan.entries} & set(ids)
        assert len({entry.entry_id for entry in plan.entries}) == len(plan.entries)
        self.booked |= {line_id for line_id, _ in plan.bookings}
        self.entries += plan.entries
        self.effects += plan.effects
        credits = {e.credit_id for e in plan.effects if isinstance(e, CreditBooked)}
        self.lines |= {line_id: line for line_id, line in plan.bookings if line_id in credits}
        return self

    def balances(self) -> dict[str, int]:
        totals = ledger.balances(posting for entry in self.entries for posting in entry.postings)
        return {
            account: cents
            for (account, asset), cents in totals.items()
            if asset == ledger.EUR and cents and account != ledger.DEPOSITS
        }

    def stages(self) -> list[str]:
        return [effect.fact for effect in self.effects if isinstance(effect, PayoutMoved)]


def books(**batches: list[str]) -> DictBooks:
    return DictBooks({"E1": (ONE, 1_234), "E2": (TWO, 766), "E3": (THREE, 766)}, batches)


SENT = {ledger.IN_TRANSIT: -2_766}
REST = -(766 + 766)  # in transit once the first payout is booked
