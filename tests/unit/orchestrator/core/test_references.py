"""References round-trip from ids to what banks print and back, and never collide on bad input."""

from __future__ import annotations

import re
from base64 import b32decode
from string import ascii_uppercase, digits
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.identity import payout_account
from orchestrator.core.references import (
    account_number,
    end_to_end_id,
    find_reference,
    funding_reference,
    is_reference,
    normalise,
    uetr,
)

IDS = st.binary(min_size=32, max_size=32)


def test_end_to_end_id__known_id__is_the_documented_encoding():
    text = end_to_end_id(bytes(range(32)))
    assert text == "PRAAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQT"
    assert b32decode(text[2:]) == bytes(range(20))


@settings(deadline=None)
@given(IDS)
def test_end_to_end_id__any_id__fits_the_bank_field(payout_id):
    text = end_to_end_id(payout_id)
    assert len(text) == 34 and re.fullmatch("PR[A-Z2-7]{32}", text)


@settings(deadline=None)
@given(IDS)
def test_funding_reference__any_id__is_valid_iso_11649_of_25_characters(agreement_id):
    text = funding_reference(agreement_id)
    assert len(text) == 25 and text[:2] == "RF" and text[4:6] == "PR" and is_reference(text)
    assert int(text[6:], 36) == int.from_bytes(agreement_id[:12], "big")


def test_funding_reference__standard_example__check_digits_agree():
    assert is_reference("RF18 5390 0754 7034")
    assert not is_reference("RF19 5390 0754 7034")


@settings(deadline=None)
@given(IDS, st.integers(0, 24), st.integers(1, 25))
def test_funding_reference__digit_for_digit_or_letter_for_letter__is_refused(
    agreement_id, at, step
):
    """A digit for a letter shifts the rest and slips through once in 97: the standard's limit."""
    text = funding_reference(agreement_id)
    alphabet = next(letters for letters in (digits, ascii_uppercase) if text[at] in letters)
    other = alphabet[(alphabet.index(text[at]) + step) % len(alphabet)]
    changed = text[:at] + other + text[at + 1 :]
    assert changed == text or not is_reference(changed)


@settings(deadline=None)
@given(IDS)
def test_normalise__printed_in_groups_and_lower_case__is_the_reference(agreement_id):
    text = funding_reference(agreement_id)
    printed = "\xa0".join(text[i : i + 4] for i in range(0, 25, 4)).lower()
    assert normalise(printed) == text and is_reference(printed)


@settings(deadline=None)
@given(IDS)
def test_find_reference__inside_free_text__finds_it_once(agreement_id):
    text = funding_reference(agreement_id)
    assert find_reference(f"Rf: strom {text[:6]} {text[6:].lower()} danke") == text
    assert find_reference("no reference here") == ""


def test_find_reference__two_references__decides_nothing():
    both = funding_reference(b"\1" * 32) + " " + funding_reference(b"\2" * 32)
    assert find_reference(both) == ""


@pytest.mark.parametrize("text", ["", "RF", "RF1", "RF18", "R" * 26, "RF18½5390", "RFÄÄ5390", "💶"])
def test_is_reference__not_a_reference__is_false(text):
    assert not is_reference(text)


@settings(deadline=None)
@given(IDS)
def test_uetr__any_id__is_a_stable_version_4_uuid(payout_id):
    assert uetr(payout_id) == uetr(payout_id)
    assert UUID(uetr(payout_id)).version == 4 and uetr(payout_id)[19] in "89ab"


def test_references__id_of_wrong_length__is_our_bug():
    with pytest.raises(ValueError):
        end_to_end_id(b"short")


@pytest.mark.parametrize(
    "printed",
    [
        "DE02120300000000202051",
        "DE02 1203 0000 0000 2020 51",
        "de02 1203 0000 0000 2020 51",
        "IBAN DE02 1203 0000 0000 2020 51",
        "IBAN: DE02-1203-0000-0000-2020-51 ",
        "DE02.1203.0000.0000.2020.51",
    ],
)
def test_account_number__of_an_iban__has_one_form(printed):
    assert account_number(printed) == "DE02120300000000202051"
    assert payout_account(printed) == payout_account("DE02120300000000202051")


@pytest.mark.parametrize("number", ["12030000/202051", "123-304958", "517852257", "", "Ada / Co"])
def test_account_number__that_is_no_iban__stays_as_printed(number):
    assert account_number(f" {number} ") == number
