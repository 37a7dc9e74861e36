"""More differences to plant: between devices, chain and ledger, without the bank."""

from __future__ import annotations

from orchestrator.core.reconcile import (
    AtRisk,
    Devices,
    OpenDebt,
    Orphan,
    SettledClaim,
    SettlementMoves,
    Stranger,
    Waiters,
)
from tests.support.planted_breaks import PLANTS, K, plant
from tests.support.three_books import ThreeBooks

TX = b"\x11" * 32


@plant((K.LEDGER_DIFFERS_FROM_CHAIN, "open"))
def settlement_that_the_ledger_lacks(books: ThreeBooks) -> None:
    books.settlements = [SettlementMoves(TX, 7)]


@plant((K.AMOUNT, "open"))
def ledger_bank_account_that_is_not_the_lines(books: ThreeBooks) -> None:
    books.bank_cents = 1


@plant((K.DEBT_UNPAID, "open"))
def payee_that_owes(books: ThreeBooks) -> None:
    books.open_debts = [OpenDebt(TX, "0xp", 500, 20)]


@plant((K.KEY_COMPROMISED, "open"))
def payment_on_a_stolen_key(books: ThreeBooks) -> None:
    books.at_risk = [AtRisk(TX, 900, "at_bank", 33)]


@plant((K.REORGANISED, "closed"))
def block_that_left_and_came_back(books: ThreeBooks) -> None:
    books.devices = Devices(orphans=[Orphan("0xab", 3, 3, 50)])


@plant((K.REORGANISED, "open"))
def block_that_left_for_good(books: ThreeBooks) -> None:
    books.devices = Devices(orphans=[Orphan("0xab", 3, 2, 50)])


@plant((K.MISSING, "open"))
def events_that_nothing_holds(books: ThreeBooks) -> None:
    books.devices = Devices(waiting=[Waiters(TX, 2, 60, ""), Waiters(b"\2" * 32, 5, 70, "hole")])


@plant((K.MISSING, "open"))
def events_of_a_payment_that_is_not_there(books: ThreeBooks) -> None:
    books.devices = Devices(lost=[(TX, 4)])


@plant((K.MISSING, "open"))
def settled_claim_without_its_events(books: ThreeBooks) -> None:
    books.devices = Devices(claims=[SettledClaim(TX, 9, (1, 2), b"e", None, b"")])


@plant((K.MISSING, "open"))
def settled_claim_with_a_part_of_its_events(books: ThreeBooks) -> None:
    books.devices = Devices(claims=[SettledClaim(TX, 9, (1, 3), b"e", (1, 2), b"f")])


@plant((K.AMOUNT, "open"))
def settled_claim_over_other_records(books: ThreeBooks) -> None:
    books.devices = Devices(claims=[SettledClaim(TX, 9, (1, 2), b"e", (1, 2), b"f")])


@plant((K.EXTRA, "open"))
def settlement_that_is_not_ours(books: ThreeBooks) -> None:
    books.devices = Devices(strangers=[Stranger(TX, 9)])


ALL = PLANTS  # differences of both files
