"""A pain.001 carries exactly the payouts it was given, validates, and never differs on a re-run."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from device_adapters.types import Rejected
from orchestrator.core.references import attempted, end_to_end_id, uetr
from orchestrator.edges.bank import pain
from orchestrator.edges.bank.latin import latin
from orchestrator.edges.bank.money import EXPONENTS, from_minor, to_minor
from orchestrator.edges.bank.types import Address, BankReason, Debtor, PaymentOrder

HOME = Address("Hauptstraße", "1a", "10115", "Berlin", "DE")
DEBTOR = Debtor("Proofrail Safeguarding", "DE02120300000000202051", HOME)
AT, DAY = datetime(2026, 11, 23, 12, 0, 0, 999, tzinfo=UTC), date(2026, 11, 23)


def payout(number: int, **facts) -> PaymentOrder:
    payout_id = number.to_bytes(32, "big")
    base = PaymentOrder(
        payout_id,
        end_to_end_id(payout_id[::-1]),
        uetr(payout_id),
        "Zoë Ångström",
        "FR7630006000011234567890189",
        HOME,
        100 + number,
    )
    return replace(base, **facts)


def write(payouts, **options) -> bytes:
    return pain.write(payouts, DEBTOR, pain.message_id(payouts), AT, DAY, **options)


@cache
def schema() -> etree.XMLSchema:
    sepaxml = pytest.importorskip("sepaxml")
    path = Path(sepaxml.__file__).parent / "schemas" / "pain.001.001.09.xsd"
    return etree.XMLSchema(etree.parse(str(path)))


def texts(data: bytes, name: str) -> list[str]:
    return [value.text for value in etree.fromstring(data).iter(f"{{*}}{name}")]


def test_pain__payouts__validates_against_the_official_schema():
    data = write([payout(1), payout(2, bic="AGRIFRPP", text="Ladevorgänge 11/2026")])
    schema().assertValid(etree.fromstring(data))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 99_999_999_999), min_size=1, max_size=5), st.booleans())
def test_pain__any_amounts__sums_are_exact_and_valid(cents, batch_booking):
    payouts = [payout(i, amount_cents=value) for i, value in enumerate(cents)]
    data = write(payouts, batch_booking=batch_booking)
    schema().assertValid(etree.fromstring(data))
    assert {to_minor(value, "EUR", "") for value in texts(data, "CtrlSum")} == {sum(cents)}
    assert [to_minor(value, "EUR", "") for value in texts(data, "InstdAmt")] == cents
    assert set(texts(data, "NbOfTxs")) == {str(len(cents))}
    assert texts(data, "BtchBookg") == [str(batch_booking).lower()]


def test_pain__same_payouts_in_another_order__same_bytes():
    payouts = [payout(i) for i in range(9)]
    assert write(payouts) == write(random.Random(1).sample(payouts, 9))


def test_pain__other_payouts_or_attempt__other_ids():
    again = replace(payout(1), end_to_end_id=end_to_end_id(attempted(payout(1).payout_id, 1)))
    ids = [
        pain.message_id([payout(1)]),
        pain.message_id([payout(2)]),
        pain.message_id([again]),
        pain.payment_information_id([payout(1)]),
    ]
    assert len(set(ids)) == 4 and {len(value) for value in ids} == {34}


def test_pain__account_as_people_write_it__is_written_as_banks_want_it():
    data = write([payout(1, iban="fr76 3000 6000 0112 3456 7890 189", bic="agrifrpp")])
    schema().assertValid(etree.fromstring(data))
    assert texts(data, "IBAN")[-1] == payout(1).iban and texts(data, "BICFI")[-1] == "AGRIFRPP"


def test_pain__order__carries_the_ids_that_come_back():
    data = write([payout(7)])
    assert texts(data, "EndToEndId") == [payout(7).end_to_end_id]
    assert texts(data, "UETR") == [payout(7).uetr]
    assert texts(data, "TwnNm") == ["Berlin"] * 2 and not texts(data, "AdrLine")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"amount_cents": 0}, BankReason.AMOUNT_NOT_POSITIVE),
        ({"amount_cents": -1}, BankReason.AMOUNT_NOT_POSITIVE),
        ({"amount_cents": 100_000_000_000}, BankReason.AMOUNT_NOT_POSITIVE),
        ({"currency": "USD"}, BankReason.CURRENCY_MISMATCH),
        ({"iban": "FR7630006000011234567890180"}, BankReason.IBAN_INVALID),
        ({"iban": "DE0212030000000020205"}, BankReason.IBAN_INVALID),  # a digit short
        ({"iban": "ZZ02120300000000202051"}, BankReason.IBAN_INVALID),
        ({"iban": ""}, BankReason.IBAN_INVALID),
        (
            {"iban": "BR1500000000000010932840814P2"},
            BankReason.IBAN_INVALID,
        ),  # genuine, and not SEPA
        ({"bic": "NOBIC"}, BankReason.BIC_INVALID),
        ({"name": "中村"}, BankReason.NAME_NOT_LATIN),
        ({"name": " "}, BankReason.NAME_NOT_LATIN),
        ({"name": "x" * 71}, BankReason.NAME_TOO_LONG),
        ({"text": "<b>"}, BankReason.NAME_NOT_LATIN),
        ({"address": replace(HOME, town="")}, BankReason.ADDRESS_INCOMPLETE),
        ({"address": replace(HOME, country="de")}, BankReason.ADDRESS_INCOMPLETE),
        ({"end_to_end_id": "x" * 36}, BankReason.REFERENCE_INVALID),
        ({"uetr": "not-a-uuid"}, BankReason.REFERENCE_INVALID),
    ],
)
def test_pain__payout_no_bank_takes__is_refused_by_name(facts, reason):
    for act in (pain.check, lambda bad: write([payout(2), bad])):
        with pytest.raises(Rejected) as refusal:
            act(payout(1, **facts))
        assert refusal.value.reason == reason
        assert payout(1).payout_id.hex() in refusal.value.detail


@pytest.mark.parametrize(
    "payouts",
    [[], [payout(1), payout(1)], [payout(1), payout(2, end_to_end_id=payout(1).end_to_end_id)]],
)
def test_pain__none_or_one_twice__is_refused(payouts):
    with pytest.raises(Rejected):
        write(payouts)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Jürgen Müller & Söhne", "Juergen Mueller + Soehne"),
        ("Łódź  œuvre", "Lodz oeuvre"),
        ("Ðorđe Ñandú", "Dorde Nandu"),
        ("Mu\u0308ller", "Mueller"),
        ("O’Neil", "O'Neil"),
    ],
)
def test_latin__european_names__become_bank_spelling(text, plain):
    assert latin(text, 70, "") == plain


@settings(deadline=None)
@given(st.text())
def test_latin__any_text__is_bank_spelling_or_refused(text):
    try:
        assert set(latin(text, 70, "")) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ "
        )
    except Rejected as refusal:
        assert refusal.reason in (BankReason.NAME_NOT_LATIN, BankReason.NAME_TOO_LONG)


@settings(deadline=None)
@given(st.integers(0, 10**15 - 1), st.sampled_from(sorted(EXPONENTS)))
def test_money__any_amount__round_trips_exactly(amount_minor, currency):
    assert to_minor(from_minor(amount_minor, currency), currency, "") == amount_minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "+-1",
        "1e3",
        "1,00",
        "0.001",
        "1.005",
        "NaN",
        " 1",
        ".",
        "1.2.3",
        "١",
        "1_0",
        "1" * 19,
        "93000000000000000",  # above 63 bits in cents
    ],
)
def test_money__not_an_exact_amount__is_refused(text):
    with pytest.raises(Rejected) as refusal:
        to_minor(text, "EUR", "Ntry[1]/Amt")
    assert refusal.value.reason == BankReason.AMOUNT_MALFORMED


def test_money__zeros_beyond_the_cents__are_no_difference():
    assert to_minor("1.50000", "EUR", "") == to_minor("1.5", "EUR", "") == 150
    assert to_minor("7", "JPY", "") == 7 and from_minor(5) == "0.05"
