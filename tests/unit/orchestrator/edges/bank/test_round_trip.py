"""What a kept library writes as camt 052, 053 and 054 of every version, we read back unchanged."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import typing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.models.datatype import XmlDate, XmlDateTime

from orchestrator.edges.bank.money import EXPONENTS, from_minor
from orchestrator.edges.bank.reading import read

SCHEMAS = Path(__file__).resolve().parents[6] / "shared" / "data" / "iso20022"
SAMPLES = Path(__file__).resolve().parents[4] / "data" / "bank_files"
REPORTS = {
    "052": ("bk_to_cstmr_acct_rpt", "rpt"),
    "053": ("bk_to_cstmr_stmt", "stmt"),
    "054": ("bk_to_cstmr_dbt_cdt_ntfctn", "ntfctn"),
}
# all versions that the library knows of one message; of its sisters, each change of shape
VERSIONS = [("053", f"{version:02}") for version in range(2, 13)] + [
    (message, version) for message in ("052", "054") for version in ("02", "04", "08", "12")
]
IBANS = ("DE02120300000000202051", "FR7630006000011234567890189", "NL69INGB0123456789")
TEXT = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij0123456789-/", min_size=1, max_size=30).filter(
    lambda text: text not in ("NOTPROVIDED", "NONREF")
)
DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))


def made(kind: type, value: object) -> object:
    """Facts as an object of the library's class for one version: the names are those of all
    versions, and a fact is wrapped where a version wraps it."""
    if isinstance(value, list):
        return [made(kind, item) for item in value]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return kind(value)
    if not dataclasses.is_dataclass(kind):
        return value
    names = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(value, dict):
        value = {"cd": value} if "cd" in names else {"value": value}
    if "nm" in value and "nm" not in names:
        value = {"pty": value}
    if "bicfi" in value and "bicfi" not in names:
        value = {"bic": value["bicfi"]}
    hints = typing.get_type_hints(kind)
    given_ = {
        name: made(inner(hints[name]), item)
        for name, item in value.items()
        if name in names and item is not None
    }
    return kind(**given_)


def inner(hint: object) -> object:
    """The class behind Optional, Union with None, or list."""
    arguments = [item for item in typing.get_args(hint) if item is not type(None)]
    return inner(arguments[0]) if arguments else hint


def amount(minor: int, currency: str) -> dict:
    return {"value": Decimal(from_minor(abs(minor), currency)), "ccy": currency}


def sign(minor: int) -> str:
    return "DBIT" if minor < 0 else "CRDT"


@st.composite
def lines(draw) -> dict:
    return {
        "minor": draw(st.integers(-(10**9), 10**9).filter(bool)),
        "booked": draw(DAYS),
        "value": draw(DAYS),
        "end": draw(TEXT),
        "name": draw(TEXT),
        "text": draw(TEXT),
        "iban": draw(st.sampled_from(IBANS[1:])),
        "reversal": draw(st.booleans()),
        "reason": draw(st.sampled_from([None, "AC04", "MS03"])),
    }


def entry(line: dict, currency: str) -> dict:
    side = "cdtr" if line["minor"] < 0 else "dbtr"
    money = amount(line["minor"], currency)
    return {
        "amt": money,
        "cdt_dbt_ind": sign(line["minor"]),
        "rvsl_ind": line["reversal"],
        "sts": "BOOK",
        "bookg_dt": {"dt": XmlDate.from_date(line["booked"])},
        "val_dt": {"dt": XmlDate.from_date(line["value"])},
        "bk_tx_cd": {},
        "ntry_dtls": [
            {
                "tx_dtls": [
                    {
                        "refs": {"end_to_end_id": line["end"]},
                        "amt": money,
                        "cdt_dbt_ind": sign(line["minor"]),
                        "amt_dtls": {"tx_amt": {"amt": money}},
                        "rltd_pties": {
                            side: {"nm": line["name"]},
                            f"{side}_acct": {"id": {"iban": line["iban"]}},
                        },
                        "rmt_inf": {"ustrd": [line["text"]]},
                        "rtr_inf": {"rsn": {"cd": line["reason"]}} if line["reason"] else None,
                    }
                ]
            }
        ],
    }


def written(message: str, version: str, drawn_lines: list[dict], currency: str) -> bytes:
    module = importlib.import_module(f"pyiso20022.camt.camt_{message}_001_{version}")
    outer, report = REPORTS[message]
    total = 700 + sum(line["minor"] for line in drawn_lines)
    now = XmlDateTime(2026, 11, 20, 22, 0, 0)
    balances = [
        {
            "tp": {"cd_or_prtry": {"cd": code}},
            "amt": amount(minor, currency),
            "cdt_dbt_ind": sign(minor),
            "dt": {"dt": XmlDate(2026, 11, 20)},
        }
        for code, minor in (("OPBD", 700), ("CLBD", total))
    ]
    document = made(
        module.Document,
        {
            outer: {
                "grp_hdr": {"msg_id": "M", "cre_dt_tm": now},
                report: [
                    {
                        "id": "S",
                        "cre_dt_tm": now,
                        "acct": {"id": {"iban": IBANS[0]}, "ccy": currency},
                        "bal": balances,
                        "ntry": [entry(line, currency) for line in drawn_lines],
                    }
                ],
            }
        },
    )
    return (
        XmlSerializer()
        .render(
            document, ns_map={None: f"urn:iso:std:iso:20022:tech:xsd:camt.{message}.001.{version}"}
        )
        .encode()
    )


@pytest.mark.parametrize(("message", "version"), VERSIONS)
@settings(max_examples=4, deadline=None)
@given(drawn_lines=st.lists(lines(), max_size=4), currency=st.sampled_from(sorted(EXPONENTS)))
def test_camt__written_by_a_library__is_read_back_unchanged(
    message, version, drawn_lines, currency
):
    reading = read(written(message, version, drawn_lines, currency))
    assert not reading.problems and not reading.notes
    (report,) = reading.reports
    assert (report.kind, report.account, report.currency) == (
        f"camt.{message}.001.{version}",
        IBANS[0],
        currency,
    )
    assert [
        (
            item.amount_minor,
            item.currency,
            item.booking_date,
            item.value_date,
            item.is_reversal,
            item.references.end_to_end_id,
            item.counterparty.name,
            item.counterparty.account,
            item.text,
            item.return_reason,
        )
        for item in report.lines
    ] == [
        (
            item["minor"],
            currency,
            item["booked"],
            item["value"],
            item["reversal"],
            item["end"],
            item["name"],
            item["iban"],
            item["text"],
            item["reason"] or "",
        )
        for item in drawn_lines
    ]
    if message != "054":
        assert report.opening().amount_minor == 700
        assert report.closing().amount_minor == 700 + sum(item["minor"] for item in drawn_lines)


def schema(message: str) -> etree.XMLSchema:
    path = SCHEMAS / f"camt.{message}.001.08.xsd"
    if not path.exists():
        pytest.skip(f"the official schema {path.name} is not in {SCHEMAS.name}")
    return etree.XMLSchema(etree.parse(str(path)))


@pytest.mark.parametrize("message", ["053", "054"])
def test_camt__what_the_library_wrote__is_valid_by_the_official_schema(message):
    """Else the round trip would prove nothing about real files."""
    line = {
        "minor": -5,
        "booked": date(2026, 11, 20),
        "value": date(2026, 11, 21),
        "end": "E",
        "name": "N",
        "text": "T",
        "iban": IBANS[1],
        "reversal": True,
        "reason": "AC04",
    }
    schema(message).assertValid(etree.fromstring(written(message, "08", [line], "EUR")))


@pytest.mark.parametrize(
    "name",
    [
        "any_053_08_latin1.xml",
        "any_053_08_pages.xml",
        "any_053_08_prefixes_and_mark.xml",
        "any_053_08_return_and_reversal.xml",
        "any_053_08_utf16.xml",
        "bad_053_08_other_currency.xml",
        "bad_053_08_wrong_details.xml",
        "bad_053_08_wrong_sum.xml",
        "de_053_08_every_reference.xml",
        "jp_053_08_yen.xml",
        "kw_053_08_dinar.xml",
    ],
)
def test_samples__of_version_8__are_valid_by_the_official_schema(name):
    schema("053").assertValid(etree.parse(str(SAMPLES / name)))
