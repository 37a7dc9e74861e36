"""The parts of a rebuild: prices that differ, references that are void, differences by name."""

from __future__ import annotations

from dataclasses import replace

from oracles.types import Claim
from orchestrator.core import ledger
from orchestrator.core.bank_context import BankContext
from orchestrator.core.outcome import ClaimOutcome
from orchestrator.core.references import attempted, end_to_end_id
from orchestrator.edges.bank.order_files import Ordered
from orchestrator.edges.bank.types import OrderStatus, StatusReport
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.products.metered_energy import product
from orchestrator.rebuild import Rebuilt
from orchestrator.rebuild.bank import Files
from orchestrator.rebuild.claims import _check_prices
from orchestrator.rebuild.contexts import RawBank, RawPayout, RebuiltJournal
from orchestrator.rebuild.findings import Differences
from orchestrator.rebuild.history import Applied
from tests.support.dict_books import LINE
from tests.support.meter_streams import AGREEMENT, IMPORT_NUMBER, TERMS, agreement

PAYOUT = "0x" + "ab" * 32
FIRST, SECOND = (end_to_end_id(attempted(bytes.fromhex(PAYOUT[2:]), n)) for n in (0, 1))


def applied(sequence: int, kwh: int, amount: int) -> Applied:
    """A session of so many kWh an hour after the last, paid with this amount."""
    start, end = sequence * 10_000_000, sequence * 10_000_000 + kwh * 1_000_000
    facts = product.EnergyFacts(
        start,
        end,
        kwh * 1_000_000,
        sequence * 7_200,
        sequence * 7_200 + 3_600,
        product.ReadingKind.ACTUAL,
        IMPORT_NUMBER,
    )
    claim = Claim(AGREEMENT, sequence, sequence, sequence, b"", product.encode_facts(facts))
    return Applied(claim, ClaimOutcome(amount, 0), DecodedLog("Settled", {}, "0x01", 1, "0x02", 0))


def priced(*claims: Applied) -> list[str]:
    findings = Differences()
    _check_prices(agreement(terms=TERMS), product, claims, findings)
    return [f"{difference.stored} {difference.rebuilt}" for difference in findings.differences]


def test_prices__as_the_chain_paid_them__differ_nowhere() -> None:
    assert priced(applied(1, 2, 600_000), applied(2, 5, 1_500_000)) == []


def test_prices__one_claim_paid_otherwise__is_reported_with_both_amounts() -> None:
    assert priced(applied(1, 2, 600_000), applied(2, 5, 1_500_001)) == ["1500001 1500000"]


def test_prices__a_claim_that_the_rules_refuse__is_reported_by_the_refusal() -> None:
    assert priced(applied(1, 2, 600_000), applied(2, 99, 7)) == ["7 FuseExceeded"]


def bank() -> RawBank:
    books = RawBank(RebuiltJournal(), {})
    books.order(RawPayout(PAYOUT, "0x44", "0xacc", 500, "0x01", 1))
    books.journal.post([ledger.redeemed(PAYOUT, ledger.withdrawable("0x44"), 500)])
    books.sent[FIRST] = Ordered("M1", "B1", FIRST, 500, "DE00")
    return books


def asked(books: RawBank) -> BankContext:
    """Return the books that the posting rules ask, for lines with each reference of these tests."""
    credits = [replace(LINE, amount_minor=5, reference=f"RF{n}", path=f"{n}") for n in (1, 2, 3)]
    debits = [
        replace(LINE, end_to_end_id=reference, batch="B1", path=reference)
        for reference in (FIRST, SECOND)
    ]
    return BankContext(books.known([*credits, *debits]))


def test_payout__ordered_again__is_known_by_its_new_reference_only() -> None:
    books = bank()
    payout = books.payouts[PAYOUT]
    assert asked(books).payout(FIRST).in_transit == 500
    payout.attempt = 1
    books.order(payout)
    assert asked(books).payout(FIRST) is None
    assert asked(books).payout(SECOND).payout_id == PAYOUT
    assert asked(books).batch("B1") == []  # what went out under it is void


def test_batch__order_refused_by_a_status__is_not_among_the_open_ones() -> None:
    books = bank()
    assert [payout.payout_id for payout in asked(books).batch("B1")] == [PAYOUT]
    rejected = OrderStatus(FIRST, "RJCT", "AC04", "")
    report = StatusReport("S", "M1", "PART", "", (rejected,), b"")
    Files(books, Differences())._refuse(report)
    assert asked(books).batch("B1") == []


def test_batch__status_of_another_message__refuses_nothing() -> None:
    books = bank()
    whole = StatusReport("S", "M2", "RJCT", "AM05", (), b"")
    Files(books, Differences())._refuse(whole)
    assert len(asked(books).batch("B1")) == 1


def test_batch__refused_after_the_bank_booked_it__changes_nothing() -> None:
    books = bank()
    books.moved.add(FIRST)
    report = StatusReport("S", "M1", "RJCT", "AC04", (), b"")
    Files(books, Differences())._refuse(report)
    assert books.refused == set()


def test_agreement__mandate_over_or_escrow_given_back__funds_nothing() -> None:
    books = RawBank(RebuiltJournal(), {"RF1": ("0xa1", 1_000), "RF2": ("0xa2", 1_000)})
    books.journal.post([ledger.reclaimed("0x01:1", "0xa2", 5)])
    assert asked(books).agreement("RF1", 999) == "0xa1"
    assert asked(books).agreement("RF1", 1_000) is None
    assert asked(books).agreement("RF2", 5) is None
    assert asked(books).agreement("RF3", 5) is None


def test_first_difference__one_side_ends__is_reported_as_empty() -> None:
    rebuilt = Rebuilt(1, ["a", "b"], ["a"], [], {})
    assert rebuilt.first == (2, "b", "") and not rebuilt.same
    assert Rebuilt(1, ["a"], ["a"], [], {}).first is None
