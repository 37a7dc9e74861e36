"""Parametric cover whose seasons need premiums that the rail settled before they began.

provePremium
├── given a settled payment of the named agreement, past its window and never disputed
│   └── it should be proved once, by the insured
└── given none, a disputed one, one of another agreement, one within its window, a refused claim
    └── it should revert by name
price
├── given no premium, or one that was settled after the season began
│   └── it should refuse PremiumUnpaid
├── given a premium for each season: it should pay, and state a season again for no other premium
└── given terms that ask for none: it should pay
open
└── given a premium that is no agreement's id: it should revert
"""

from __future__ import annotations

import pytest

from orchestrator.products import products
from orchestrator.products.index.pricing import NUMBERS
from orchestrator.products.index.tariff import IndexFacts
from tests.support.contracts.contract_rail import DAY, EURO, MORE, RELEASED
from tests.support.contracts.settled import payment_id

RULES = products()["parametric_cover"]
UNPAID = f"product {NUMBERS['PremiumUnpaid']}"
TERMS = {
    "about": "field:7",
    "metrics": "measured 0..100000",
    "plus": "measured falling: 600=4.00, 1200=0",
    "ceiling": "4.00",
    "period": "1..366 days",
    "stations": "st-1, st-2, st-3",
    "quantity": "rain mm",
    "measure": "sum",
    "step": "0.1",
}


class CoverRail:
    """A rail with a cover whose terms name the agreement that its premiums are paid by."""

    def __init__(self, contracts) -> None:
        self.contracts = contracts
        contracts.cover = self.product = contracts.add_product("ParametricCover")
        self.agreement = self.open("0x" + contracts.agreement.hex())
        self.claims = 0

    def open(self, premium: str | None) -> bytes:
        words = TERMS if premium is None else TERMS | {"premium": premium}
        terms = RULES.parse_terms(words)
        if premium is None:  # no line about it at all
            terms = terms.replace(b"premium=none\n", b"")
        changes = {"product": self.product.address, "terms": terms, "first_counter": 0}
        (agreement,) = self.contracts.agreements(1, **changes)
        return agreement

    def premium(self, sequence: int = 1, agreement: bytes | None = None):
        """Settle a premium; its window is still open."""
        return self.contracts.settle(self.contracts.claim(agreement, sequence))

    def prove(self, settlement, index: int = 0, sender=None, cover: bytes | None = None) -> str:
        """Return the error of proving a premium; prove it where there is none."""
        method, sender = self.product.provePremium, sender or self.contracts.payee
        _, *proof = settlement.dispute(index)
        arguments = (cover or self.agreement, *proof)
        refusal = self.contracts.refusal(method, *arguments, sender=sender)
        if not refusal:
            method(*arguments, sender=sender)
        return refusal

    def season(self, begin: int, measured: int = 900, cover: bytes | None = None, days: int = 1):
        """Settle a season; return its amount and the name of its refusal."""
        self.contracts.wait(max(begin + days * DAY - self.contracts.now, 1))
        facts = RULES.encode_facts(IndexFacts(begin, begin + days * DAY, 10_000, 3, (measured,)))
        self.claims += 1
        claim = self.contracts.claim(cover or self.agreement, self.claims, facts=facts)
        settled = self.contracts.settle(claim, product=self.product)
        return settled.amounts[0], settled.named[0]

    def later(self) -> int:
        """Wait until all windows are over; return the time."""
        self.contracts.wait(RELEASED)
        return self.contracts.now


@pytest.fixture
def rail(contracts):
    return CoverRail(contracts)


def test_season__with_a_premium_settled_before_it__is_paid_and_stated_again(rail):
    premium = rail.premium()
    begin = rail.later()
    assert rail.prove(premium) == ""
    cover = rail.product.coverOf(rail.agreement)
    assert bytes(cover[0]) == rail.contracts.agreement and cover[1:3] == (1, 0)
    assert rail.season(begin) == (2 * EURO, "None")
    assert rail.season(begin, measured=750) == (EURO, "None")  # the same season, and no premium
    assert rail.product.coverOf(rail.agreement)[2] == 1


def test_season__without_its_own_premium__is_refused(rail):
    begin = rail.contracts.now
    assert rail.season(begin) == (0, UNPAID)


def test_season__second_on_one_premium__is_refused(rail):
    premium = rail.premium()
    begin = rail.later()
    assert rail.prove(premium) == ""
    assert rail.season(begin) == (2 * EURO, "None")
    assert rail.season(begin + DAY) == (0, UNPAID)
    assert rail.prove(premium) == "PremiumInvalid"  # a premium is proved once


def test_season__premium_settled_after_it_began__is_refused(rail):
    begin = rail.contracts.now - 10
    premium = rail.premium()
    rail.later()
    assert rail.prove(premium) == ""
    assert rail.season(begin) == (0, UNPAID)


def test_premium__disputed__proves_nothing_even_when_the_dispute_is_retracted(rail):
    premium = rail.premium()
    payment = rail.contracts.dispute(premium)
    rail.contracts.disputes.retract(payment, sender=rail.contracts.payer)
    begin = rail.later()
    assert rail.prove(premium) == "PremiumDisputed"
    assert rail.season(begin) == (0, UNPAID)


def test_premium__within_its_dispute_window__proves_nothing_yet(rail):
    assert rail.prove(rail.premium()) == "PremiumPending"


def test_premium__of_another_agreement__proves_nothing(rail):
    (other,) = rail.contracts.agreements(1)
    premium = rail.premium(agreement=other)
    rail.later()
    assert rail.prove(premium) == "PremiumInvalid"


def test_premium__of_nothing_or_never_settled_or_changed__proves_nothing(rail):
    nothing = rail.contracts.settle(rail.contracts.claim(kwh=0))
    assert (nothing.amounts, nothing.named) == ([0], ["None"])
    premium = rail.premium(sequence=2)
    rail.later()
    assert rail.prove(nothing) == "PremiumInvalid"
    _, sequence, outcome, root, proof = premium.dispute()
    method, payee = rail.product.provePremium, rail.contracts.payee
    richer = (*outcome[:3], outcome[3] + 1, *outcome[4:])
    for changed in (
        (sequence, richer, root, proof),
        (sequence + 1, outcome, root, proof),
        (sequence, outcome, outcome[0], proof),
    ):
        arguments = (rail.agreement, *changed)
        assert rail.contracts.refusal(method, *arguments, sender=payee) == "PremiumInvalid"


def test_premium__proved_by_anyone_else__is_refused(rail):
    """A stranger who proves a later premium first would take the earlier ones from the insured."""
    premium = rail.premium()
    rail.later()
    for sender in (rail.contracts.stranger, rail.contracts.payer, rail.contracts.steward):
        assert rail.prove(premium, sender=sender) == "NotInsured"
    assert rail.prove(premium, cover=payment_id(rail.agreement, 1)) == "UnknownAgreement"
    plain = rail.open(None)
    assert rail.prove(premium, cover=plain) == "PremiumInvalid"


def test_cover__whose_terms_name_no_premium__pays_without_one(rail):
    for premium in (None, "none"):
        rail.claims = 0
        cover = rail.open(premium)
        assert rail.season(rail.contracts.now, cover=cover) == (2 * EURO, "None")


def test_terms__whose_premium_is_no_agreement__are_refused_by_contract_and_python(rail):
    sound = RULES.parse_terms(TERMS | {"premium": "0x" + "1a" * 32})
    for wrong in ("0x" + "1a" * 31 + "1", "0x" + "0" * 64, "0x" + "1g" * 32, "1a" * 33, "one"):
        terms = sound.replace(b"0x" + b"1a" * 32, wrong.encode())
        changes = {"product": rail.product.address, "terms": terms, "device": MORE[-1]}
        opening = rail.contracts.opening(rail.contracts.mandate(**changes))
        sender = rail.contracts.stranger
        refusal = rail.contracts.refusal(rail.contracts.rail.open, *opening, sender=sender)
        assert refusal == "TermsMalformed", wrong
        with pytest.raises(Exception, match="neither an agreement's id nor none"):
            RULES.parse_terms(TERMS | {"premium": wrong})
