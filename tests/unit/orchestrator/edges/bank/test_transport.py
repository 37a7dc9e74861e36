"""Bytes of the transport are no content: a file reads alike with and without them."""

from __future__ import annotations

import random

import pytest

from orchestrator.edges.bank.reading import read
from orchestrator.edges.bank.transport import swift_rows, without_padding

ACCOUNT = "DE02120300000000202051"
FIELDS = {
    "MT940": f":20:A\r\n:25:{ACCOUNT}\r\n:28C:1/1\r\n:60F:C261119EUR1,00\r\n"
    ":61:2611201120C25,50NTRFX\r\n:86:Tee\r\n:62F:C261120EUR26,50\r\n",
    "MT941": f":20:A\r\n:25:{ACCOUNT}\r\n:28:1\r\n:13:2611201200\r\n:60F:C261119EUR1,00\r\n"
    ":90D:0EUR0,00\r\n:90C:1EUR25,50\r\n:62F:C261120EUR26,50\r\n",
    "MT942": f":20:A\r\n:25:{ACCOUNT}\r\n:28C:1\r\n:34F:EUR0,\r\n:13D:2611201200+0100\r\n"
    ":61:2611201120C25,50NTRFX\r\n:86:Tee\r\n",
}
HEADER = "{1:F01AAAABEBBAXXX0000000000}{2:O%s1200970103BBBBGB2LXXXX22221234569701031201N}{4:\r\n"
FRAMES = {
    "end of block": ("", "-"),
    "Ctrl-Z": ("", "\x1a"),
    "Ctrl-Z after the last field": ("", "-\r\n\x1a\x1a"),
    "SOH and ETX": ("\x01", "-\x03"),
    "STX and ETX": ("\x02\r\n", "-\r\n\x03\r\n"),
    "NUL padding": ("\0\0", "-" + "\0" * 90),
    "byte order mark": ("\ufeff", "-\r\n"),
    "blocks": (HEADER, "-}{5:{CHK:123456789ABC}}"),
    "end of block 5 on rows": (HEADER, "-}\r\n{5:{CHK:123456789ABC}}\x03"),
    "separators": ("", "--\r\n=====\r\n***"),
}


def text_of(kind: str, frame: str) -> str:
    begin, end = FRAMES[frame]
    number = kind.removeprefix("MT")
    return (begin % number if "%" in begin else begin) + FIELDS[kind] + end


def facts(data: bytes) -> tuple:
    reading = read(data)
    return (
        [item.reason for item in reading.problems],
        [
            (
                report.kind,
                report.id,
                report.account,
                [balance.amount_minor for balance in report.balances],
                *((line.amount_minor, line.text) for line in report.lines),
            )
            for report in reading.reports
        ],
    )


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", FIELDS)
def test_swift__bytes_of_the_transport__are_no_content(kind, frame):
    problems, reports = facts(text_of(kind, frame).encode())
    assert problems == [] and [report[0] for report in reports] == [kind]
    assert (problems, reports) == facts(FIELDS[kind].encode())


@pytest.mark.parametrize(("left", "right"), ["äå", "äü", "Æå", "æå", "éè", "àè", "ãõ"])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_swift__braces_of_a_national_set__frame_blocks(left, right, encoding):
    text = text_of("MT940", "blocks").replace("{", left).replace("}", right)
    assert facts(text.encode(encoding)) == facts(FIELDS["MT940"].encode())


def test_swift__national_letters_in_a_text__stay_text():
    text = FIELDS["MT940"].replace("Tee", "Tee\r\nä4 Stück\r\n-über").encode()
    [(*_, (minor, words))] = facts(text)[1]
    assert minor == 2_550 and words == "Tee ä4 Stück -über"


def test_swift__several_messages_framed_one_by_one__are_several():
    later = (
        FIELDS["MT940"].replace("28C:1/1", "28C:2/1").replace("C261119EUR1,00", "C261120EUR26,50")
    )
    later = later.replace("62F:C261120EUR26,50", "62F:C261121EUR52,00")
    problems, reports = facts(f"\x01{FIELDS['MT940']}-\x03\x01{later}-\x03".encode())
    assert problems == [] and [report[3] for report in reports] == [[100, 2_650], [2_650, 5_200]]


def test_swift__end_of_block_glued_to_a_balance__is_not_part_of_it():
    for end in ("-}", "-}{5:{CHK:1}}", "}"):
        assert facts((FIELDS["MT940"].rstrip() + end).encode()) == facts(FIELDS["MT940"].encode())


def test_swift__text_after_a_balance__is_named():
    assert facts((FIELDS["MT940"] + "and more\r\n").encode())[0] == [
        "value_malformed",
        "missing_element",
    ]


CAMT = (
    '<?xml version="1.0" encoding="ISO-8859-1"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:'
    'camt.054.001.08"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>M</MsgId></GrpHdr><Ntfctn><Id>Ü</Id>'
    f"<Acct><Id><IBAN>{ACCOUNT}</IBAN></Id></Acct></Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
)


@pytest.mark.parametrize("begin", [b"", b"\0", b"\0\0\0", b"\x01", b"\x02\x01"])
@pytest.mark.parametrize("end", [b"", b"\x1a", b"\r\n\x1a", b"\x03", b"\0" * 70, b"\n\0\n"])
def test_xml__bytes_of_the_transport__are_no_content(begin, end):
    problems, reports = facts(begin + CAMT.encode("latin-1") + end)
    assert problems == [] and [report[1] for report in reports] == ["Ü"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_xml__of_two_bytes_a_letter__keeps_its_nuls(encoding):
    data = CAMT.replace("ISO-8859-1", "UTF-16").encode(encoding)
    assert without_padding(data) == data and facts(data)[0] == []


@pytest.mark.parametrize("data", [b"\x1a", b"\0\0\0\0", b"\x01\r\n\x03"])
def test_padding__of_nothing__is_an_empty_file(data):
    assert [item.reason for item in read(data).problems] == ["empty"]


def test_rows__of_random_bytes__are_read():
    randomly = random.Random(7)
    marks = ["{4:", "-}", "ä4:", "\x01", "\n", ":20:", ":61:", "-", "å", "{1:F01A", "940", "\0"]
    for _ in range(2_000):
        text = "".join(randomly.choices(marks, k=randomly.randint(0, 30)))
        assert all(row is None or "\n" not in row for _, row, _ in swift_rows(text))
        read(f":25:1\n:61:2611201120C1,00NTRF\n{text}".encode())
