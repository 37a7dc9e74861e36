"""Files as banks write them: each fact is read as the bank means it, each fault is named."""

from __future__ import annotations

import io
import json
import random
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from device_adapters.types import Rejected
from orchestrator.cli import app
from orchestrator.edges.bank import camt
from orchestrator.edges.bank.reading import read
from orchestrator.edges.bank.types import BankReason

FILES = Path(__file__).resolve().parents[4] / "data" / "bank_files"
EXPECTED = json.loads((FILES / "expected.json").read_text())
NAMES = sorted(EXPECTED)


def bytes_of(name: str) -> bytes:
    return (FILES / name).read_bytes()


def parse(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["bank", "parse", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def bare(facts: object) -> object:
    """Return only the given facts: without nulls, empty objects, false flags and places."""
    if not isinstance(facts, dict):
        return facts
    bared = {key: bare(value) for key, value in facts.items() if key not in ("path", "line")}
    return {
        key: value
        for key, value in bared.items()
        if value not in (None, {}, False) and (key, value) != ("charges_minor", 0)
    }


def statement(view: dict) -> dict:
    facts = {key: view[key] for key in ("account", "kind", "currency", "page") if view[key]}
    return facts | {
        "balances": [
            f"{b['code']} {b['date']} {b['amount_minor']} {b['currency']}" for b in view["balances"]
        ],
        "lines": [bare(line) for line in view["lines"]],
    }


def named(problems: list[dict]) -> list[str]:
    return [f"{problem['line']} {problem['path']} {problem['reason']}" for problem in problems]


def test_samples__all_of_them__are_expected():
    assert {path.name for path in FILES.iterdir()} - {"expected.json"} == set(NAMES)
    assert len(NAMES) > 40


@pytest.mark.parametrize("name", NAMES)
def test_parse__file_as_a_bank_writes_it__gives_every_fact(name):
    expected = dict(EXPECTED[name])
    code, output = parse(str(FILES / name), "--json")
    view = json.loads(output)
    assert code == expected["exit"]
    assert [statement(item) for item in view["statements"]] == expected["statements"]
    assert named(view["problems"]) == expected.get("problems", [])
    assert named(view["notes"]) == expected.get("notes", [])
    assert [
        f"{item['end_to_end_id']} {item['code']} {item['reason']}"
        for report in view.get("status_reports", ())
        for item in report["statuses"]
    ] == expected.get("statuses", [])


@pytest.mark.parametrize("name", NAMES)
def test_parse__for_people__has_the_same_exit_code_and_names_the_faults(name):
    code, output = parse(str(FILES / name))
    assert code == EXPECTED[name]["exit"]
    assert all(item.split()[-1] in output for item in EXPECTED[name].get("problems", []))


def test_parse__no_such_file__says_so(tmp_path):
    code, output = parse(str(tmp_path / "absent"), "--json")
    assert code == 2 and "absent cannot be opened" in json.loads(output)["error"]["message"]


def test_parse__text_that_steers_terminals__is_shown_and_not_obeyed(tmp_path):
    path = tmp_path / "evil.sta"
    path.write_text(bytes_of("any_mt940_charges.sta").decode().replace("CHG\n", "\x1b[2J[red]\n"))
    _, output = parse(str(path))
    assert "\x1b" not in output and "[red]" in output


def test_lines__of_one_file__name_their_position():
    data = bytes_of("any_053_08_return_and_reversal.xml")
    rows = data.decode().splitlines()
    first, second = read(data).reports[0].lines
    assert "<TxDtls>" in rows[first.line - 1] and "<Ntry>" in rows[second.line - 1]
    assert second.path == "Stmt[1]/Ntry[2]"


def zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


def test_archive__of_several_files__reads_each_and_names_the_bad_one():
    good = bytes_of("at_053_02_stuzza.xml")
    reading = read(zipped({"a.xml": good, "b.txt": b"nothing", "c.xml": good}))
    assert [report.lines[0].path for report in reading.reports] == [
        "a.xml!Stmt[1]/Ntry[1]",
        "c.xml!Stmt[1]/Ntry[1]",
    ]
    assert {item.path: item.reason for item in reading.problems} == {
        "b.txt!": "not_xml",
        "c.xml!Stmt[1]": "duplicate_statement",
    }


def test_archive__bomb_or_broken__is_refused(monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.reading.MAX_FILE_BYTES", 100_000)
    assert [p.reason for p in read(zipped({"a": b" " * 200_000})).problems] == ["too_large"]
    many = zipped({str(number): b"" for number in range(1_001)})
    monkeypatch.setattr("orchestrator.edges.bank.reading.MAX_FILE_BYTES", 10_000_000)
    assert [p.reason for p in read(many).problems] == ["too_large"]
    broken = zipped({"a.xml": b"<a/>"})[:-30]
    assert [p.reason for p in read(broken).problems] == ["archive_malformed"]


def test_xml__millions_of_tags__is_refused_before_it_is_built(monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.xml.MAX_TAGS", 10)
    assert [p.reason for p in read(bytes_of("at_053_02_stuzza.xml")).problems] == ["too_large"]


def test_xml__nested_too_deep__is_refused():
    assert [p.reason for p in read(b"<a>" * 100_000).problems] == ["not_xml"]


def test_summary__that_differs_from_the_entries__is_named():
    data = bytes_of("fi_053_02_conversion.xml").decode()
    for right, wrong, path in [
        ("<Sum>92.35<", "<Sum>92.36<", "Stmt[1]/TxsSummry/TtlCdtNtries/Sum"),
        ("<NbOfNtries>2<", "<NbOfNtries>3<", "Stmt[1]/TxsSummry/TtlNtries"),
        ("<Sum>10<", "<Sum>ten<", "Stmt[1]/TxsSummry/TtlDbtNtries/Sum"),
    ]:
        (problem,) = read(data.replace(right, wrong).encode()).problems
        assert problem.path == path and problem.reason in ("sum_mismatch", "amount_malformed")


@pytest.mark.parametrize(("count", "right"), [(1, True), (2, True), (3, False)])
def test_summary__of_booked_entries_or_of_all__is_right_both_ways(count, right):
    text = bytes_of("any_053_08_return_and_reversal.xml").decode()
    text = text.replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>", 1).replace("45.00", "5.00")
    total = f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries></TtlNtries></TxsSummry>"
    reading = read(text.replace("      <Ntry>", total + "<Ntry>", 1).encode())
    assert (not reading.problems) == right


def test_problems__of_a_file_that_is_nothing_else__are_bounded(monkeypatch):
    monkeypatch.setattr("orchestrator.edges.bank.facts.MAX_PROBLEMS", 5)
    monkeypatch.setattr("orchestrator.edges.bank.statements.MAX_REPORTS", 20)
    monkeypatch.setattr("orchestrator.edges.bank.swift.MAX_REPORTS", 20)
    head, _, tail = bytes_of("any_053_04_nothing_optional.xml").partition(b"    <Stmt>")
    many = read(head + b"<Stmt/>" * 30 + tail[tail.index(b"</Stmt>") + 7 :])
    assert (len(many.problems), len(many.reports)) == (5, 20)
    many = read(b":20:A\n:25:B\n" * 30)
    assert (len(many.problems), len(many.reports)) == (5, 20)


def test_encoding__declared_latin_and_written_by_windows__is_read():
    data = bytes_of("any_053_08_latin1.xml").replace(b"November", b"f\xfcr 5 \x80")
    (report,) = read(data).reports
    assert report.lines[0].text == "für 5 €"


def test_encoding__utf16_declared_and_since_converted__is_read():
    data = bytes_of("any_053_08_latin1.xml").decode("latin-1").replace("ISO-8859-1", "UTF-16")
    assert not read(data.encode()).problems


def test_encoding__not_what_is_declared__is_named_and_lines_are_shown():
    data = bytes_of("any_053_08_latin1.xml").replace(b"ISO-8859-1", b"UTF-8")
    reading = read(data)
    assert [item.reason for item in reading.problems] == ["not_utf8"]
    assert reading.reports[0].lines[0].counterparty.name == "Zoë Ångström"


# any bytes


@cache
def samples() -> list[bytes]:
    return [bytes_of(name) for name in NAMES]


def reads(data: bytes) -> None:
    reading = read(data)
    assert reading.kind or reading.problems
    json.dumps(reading.as_json())
    for item in (*reading.problems, *reading.notes):
        assert isinstance(item.reason, BankReason)
    try:
        camt.parse(data)
    except Rejected as refusal:
        assert isinstance(refusal.reason, BankReason) and refusal.raw == data
    else:
        assert not reading.problems


@settings(max_examples=500, deadline=None)
@given(st.integers(0, len(NAMES) - 1), st.integers(0, 2**32), st.integers(1, 5))
def test_read__any_sample_mutated__is_read_or_named(which, seed, count):
    choose, data = random.Random(seed), bytearray(samples()[which])
    for _ in range(count):
        at, other = choose.randrange(len(data) + 1), choose.randrange(len(data) + 1)
        piece = data[other : other + choose.randrange(60)]
        end = at + choose.choice((0, len(piece), choose.randrange(40)))
        data[at:end] = choose.choice((piece, bytes([choose.randrange(256)]), b""))
    reads(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(NAMES) - 1), st.floats(0, 1))
def test_read__any_sample_cut_off__is_read_or_named(which, part):
    data = samples()[which]
    reads(data[: int(len(data) * part)])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_read__any_bytes_after_a_start_that_we_know__is_read_or_named(tail):
    for start in (b"", b"PK\3\4", b"<Document>", b":20:A\n:25:B\n:60F:C261119EUR1,\n:61:"):
        reads(start + tail)
