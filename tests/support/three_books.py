"""Three consistent sides (chain, ledger, bank) to plant differences into."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from hashlib import sha256

from orchestrator.core.reconcile import (
    BankFacts,
    ChainFacts,
    Devices,
    Ledger,
    LedgerFunding,
    LedgerPayout,
    Mint,
    PayoutRejection,
    Redemption,
    StatementBalances,
    StatementLine,
    distinct,
    reconcile,
)
from orchestrator.core.references import end_to_end_id, funding_reference

ACCOUNT, DAY = "DE02900000000000000001", date(2026, 11, 23)
AGREEMENT = sha256(b"agreement").digest()
REFERENCE = funding_reference(AGREEMENT)


def file(name: str) -> bytes:
    return sha256(name.encode()).digest()


def line(cents: int, path: str, **facts) -> StatementLine:
    defaults = dict(
        account=ACCOUNT,
        booking_date=DAY,
        value_date=DAY,
        amount_minor=cents,
        currency="EUR",
        source=file("053"),
        path=path,
        kind="camt.053",
    )
    return StatementLine(**{**defaults, **facts})


def intraday(booked: StatementLine, **facts) -> StatementLine:
    defaults = dict(kind="camt.054", source=file("054"), path=booked.path.replace("Stmt", "Ntfctn"))
    return replace(booked, **{**defaults, **facts})


class ThreeBooks:
    """One funding of 500.00 and payouts of 10.00, 10.01..., all on one day's camt.053."""

    def __init__(self, payouts: int = 3) -> None:
        credit = line(50_000, "Stmt[1]/Ntry[1]", reference=REFERENCE, bank_reference="B0")
        self.lines = [credit]
        self.payouts, self.redemptions = [], []
        for index in range(payouts):
            payout_id, cents = sha256(bytes([index])).digest(), 1_000 + index
            self.redemptions.append(Redemption(payout_id, cents * 10_000))
            self.payouts.append(
                LedgerPayout(
                    payout_id, end_to_end_id(payout_id), cents, f"DE{index:020}", "PI1", DAY
                )
            )
            self.lines.append(
                line(
                    -cents,
                    f"Stmt[1]/Ntry[{index + 2}]",
                    end_to_end_id=end_to_end_id(payout_id),
                    bank_reference=f"B{index + 1}",
                    batch="PI1",
                    counterparty_iban=f"DE{index:020}",
                )
            )
        self.remint()
        self.rejections: list[PayoutRejection] = []
        self.opening = 0
        self.closing: int | None = None
        self.supply: int | None = None
        self.copies = 0  # how often the bank sends the statement again under another id
        self.received = [0, 0]  # arrival of this day's statement and of the next day's empty one
        self.hidden: int | None = None  # sum of a day without a statement
        self.bank_cents: int | None = None
        self.settlements, self.open_debts, self.at_risk = [], [], []
        self.allocated: frozenset[bytes] = frozenset()
        self.unallocated: frozenset[bytes] = frozenset()
        self.devices = Devices()

    def remint(self) -> None:
        """Mint the funding under the present id of its line."""
        self.mints = [Mint(distinct([self.lines[0]])[0].ids[0], 500_000_000)]

    def ids_of(self, booked: StatementLine) -> frozenset[bytes]:
        return frozenset(distinct([booked])[0].ids)

    def run(self, seed: int = 0, days: tuple[StatementBalances, ...] | None = None):
        mix = random.Random(seed).sample
        burned = sum(item.amount_micro for item in self.redemptions)
        supply = sum(item.amount_micro for item in self.mints) - burned
        fundings = [
            LedgerFunding(item.credit_id, item.amount_micro // 10_000) for item in self.mints
        ]
        balances = self._balances() if days is None else days
        return reconcile(
            ChainFacts(
                supply if self.supply is None else self.supply,
                mix(self.redemptions, len(self.redemptions)),
                mix(self.mints, len(self.mints)),
                self.settlements,
            ),
            Ledger(
                mix(self.payouts, len(self.payouts)),
                fundings,
                {REFERENCE: AGREEMENT},
                open_debts=self.open_debts,
                at_risk=self.at_risk,
                bank_cents=self.bank_cents,
                allocated=self.allocated,
                unallocated=self.unallocated,
            ),
            BankFacts(
                ACCOUNT,
                mix(self.lines, len(self.lines)),
                mix(balances, len(balances)),
                mix(self.rejections, len(self.rejections)),
                self.opening,
            ),
            self.devices,
        )

    def _balances(self) -> tuple[StatementBalances, ...]:
        """Return this day's statement and the others that the bank sends."""
        amounts = [
            item.amount_minor
            for item in self.lines
            if item.kind == "camt.053" and item.source == file("053")
        ]
        closing = self.opening + sum(amounts) if self.closing is None else self.closing
        first = StatementBalances(
            ACCOUNT,
            "S1",
            DAY,
            self.opening,
            closing,
            source=file("053"),
            received_at=self.received[0],
        )
        more = [
            replace(first, statement=f"S1-{copy}", source=file("copy"), received_at=1)
            for copy in range(self.copies)
        ]
        if any(self.received):
            more.append(
                StatementBalances(
                    ACCOUNT,
                    "S2",
                    DAY + timedelta(days=1),
                    closing,
                    closing,
                    source=file("next"),
                    received_at=self.received[1],
                )
            )
        if self.hidden is not None:
            after = closing + self.hidden
            more.append(StatementBalances(ACCOUNT, "S3", DAY + timedelta(days=2), after, after))
        return (first, *more)
