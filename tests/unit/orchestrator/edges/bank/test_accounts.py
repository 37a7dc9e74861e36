"""Account numbers are taken as people write them, and refused by the rules of their country."""

from __future__ import annotations

import pytest

from device_adapters.types import Rejected
from orchestrator.edges.bank.accounts import bic, iban, sepa_iban
from orchestrator.edges.bank.types import BankReason
from services.bank import new_iban

GENUINE = "DE02120300000000202051"


@pytest.mark.parametrize(
    "text",
    [
        GENUINE,
        GENUINE.lower(),
        "DE02 1203 0000 0000 2020 51",
        " de02 12030000 0000202051 ",
    ],
)
def test_iban__as_people_write_it__has_one_form(text):
    assert iban(text) == sepa_iban(text) == GENUINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DE",
        "DE02120300000000202052",
        "DE0212030000000020205",
        "DE021203000000002020510",
        "XX02120300000000202051",
        "DE02120300000000ABCDEF",
        "DE02\u00a01203000000002020O1",
        "GB82WEST1234569876543",
        "RF18539007547034",
        "０E02120300000000202051",
    ],
)
def test_iban__wrong_in_any_way__is_refused_by_name(text):
    with pytest.raises(Rejected) as refusal:
        iban(text, "--iban")
    assert refusal.value.reason is BankReason.IBAN_INVALID
    assert refusal.value.detail.startswith("--iban: ")


def test_iban__every_simulated_account__is_one():
    assert all(sepa_iban(new_iban(n)) == new_iban(n) for n in range(0, 10**10, 10**8 + 7))


@pytest.mark.parametrize(
    ("text", "country_is_sepa"),
    [
        ("GB82WEST12345698765432", True),
        ("CH9300762011623852957", True),
        ("BR1500000000000010932840814P2", False),
        ("AE070331234567890123456", False),
    ],
)
def test_iban__outside_the_sepa_countries__is_genuine_and_yet_not_payable(text, country_is_sepa):
    assert iban(text) == text
    if country_is_sepa:
        assert sepa_iban(text) == text
    else:
        with pytest.raises(Rejected, match="outside the SEPA countries"):
            sepa_iban(text)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("MARKDEFF", "MARKDEFF"),
        ("markdeff", "MARKDEFF"),
        ("MARKDEFFXXX", "MARKDEFFXXX"),
    ],
)
def test_bic__as_people_write_it__has_one_form(text, form):
    assert bic(text) == form


@pytest.mark.parametrize("text", ["", "NOBIC", "MARKDE", "MARKZZFF", "MARKDEFFXX", "1ARKDEF!"])
def test_bic__wrong_in_any_way__is_refused_by_name(text):
    with pytest.raises(Rejected) as refusal:
        bic(text)
    assert refusal.value.reason is BankReason.BIC_INVALID
