"""The simulated bank keeps correct books, answers in valid ISO 20022, and survives a kill."""

from __future__ import annotations

import json
import time
from datetime import date
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from lxml import etree
from stdnum import iban as stdnum_iban

from orchestrator.edges.bank import camt
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.bank.types import StatusReport
from services.bank import BankClient, main, new_iban
from services.processes import Process, start
from services.simulated_bank.bank import SimulatedBank
from services.simulated_bank.books import BankAccounts
from tests.support.bank_customer import (
    CLOSED,
    CONFIG,
    DAY,
    PAYEE,
    PAYER,
    REFERENCE,
    SAFE,
    SCHEMAS,
    BankCustomer,
    order,
    payout,
)


@pytest.fixture
def customer(tmp_path):
    return BankCustomer(tmp_path / "bank")


@pytest.fixture
def funded(customer):
    instruction = {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": 50_000}
    assert customer.instruct(**instruction, reference=REFERENCE) == {"ok": True}
    customer.fetch()
    return customer


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=f"the camt schemas are not at {SCHEMAS}")
@pytest.mark.parametrize("batch_booking", [True, False])
def test_bank__whole_day__writes_schema_valid_files(funded, batch_booking):
    funded.send("p.xml", order(payout(1), payout(2), batch_booking=batch_booking))
    funded.instruct(kind="return", end_to_end_id=payout(1).end_to_end_id)
    funded.instruct(kind="close_day")
    funded.fetch()
    roots = [etree.QName(etree.fromstring(data)).namespace[-15:] for data in funded.files]
    assert {"camt.054.001.08", "camt.053.001.08"} <= set(roots)


def test_bank__funding__arrives_with_its_reference(customer):
    customer.instruct(
        kind="pay", **{"from": PAYER, "to": SAFE}, amount_cents=50_000, reference=REFERENCE
    )
    (notice,) = customer.fetch()
    (line,) = notice.lines
    assert (line.amount_minor, line.reference, line.counterparty_iban, line.kind) == (
        50_000,
        REFERENCE,
        PAYER,
        "camt.054",
    )
    assert line.path == "Ntfctn[1]/Ntry[1]/NtryDtls/TxDtls[1]" and line.bank_reference


@pytest.mark.parametrize("batch_booking", [True, False])
def test_bank__payouts__are_accepted_booked_and_on_the_statement(funded, batch_booking):
    funded.send("p.xml", order(payout(1), payout(2), batch_booking=batch_booking))
    report, notice = funded.fetch()
    assert report.code == "ACCP" and not [s for s in report.statuses if s.is_rejected]
    assert [line.amount_minor for line in notice.lines] == [-1_000, -1_000]
    assert {line.end_to_end_id for line in notice.lines} == {
        payout(1).end_to_end_id,
        payout(2).end_to_end_id,
    }
    funded.instruct(kind="close_day")
    (statement,) = funded.fetch()
    assert (statement.balances.opening_minor, statement.balances.closing_minor) == (0, 48_000)
    entries = {line.path.split("/")[1] for line in statement.lines}
    assert len(entries) == (2 if batch_booking else 3)
    assert funded.bank.books.is_balanced()


@pytest.mark.parametrize(
    ("facts", "reason"), [({"iban": CLOSED}, "AC04"), ({"amount_cents": 50_001}, "AM04")]
)
def test_bank__one_order_it_cannot_take__refuses_that_one_only(funded, facts, reason):
    funded.send("p.xml", order(payout(1, **facts), payout(2)))
    report, notice = funded.fetch()
    assert report.code == "PART"
    assert [(s.end_to_end_id, s.reason) for s in report.statuses if s.is_rejected] == [
        (payout(1).end_to_end_id, reason)
    ]
    assert [line.end_to_end_id for line in notice.lines] == [payout(2).end_to_end_id]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"<CtrlSum>10.00", b"<CtrlSum>10.01", "AM10"),
        (b"<NbOfTxs>1", b"<NbOfTxs>2", "AM18"),
        (b"</Document>", b"", "FF01"),
        (b"<Document", b"<!DOCTYPE x><Document", "FF01"),
        (b"<MsgId>", b"<Other>", "FF01"),
        (b">10.00</InstdAmt>", b">1e1</InstdAmt>", "FF01"),
    ],
)
def test_bank__file_it_cannot_take__refuses_the_whole_file(funded, old, new, reason):
    funded.send("p.xml", order(payout(1)).replace(old, new))
    (report,) = funded.fetch()
    assert (report.code, report.reason) == ("RJCT", reason)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'Ccy="EUR"', b'Ccy="USD"', "AM03"),
        (b">10.00<", b">0.00<", "AM01"),
        (PAYEE.encode(), PAYEE.encode()[:-1] + b"X", "AC01"),
        (SAFE.encode(), PAYER.encode(), "AC02"),
        (b"<TwnNm>Berlin</TwnNm>", b"<AdrLine>Berlin</AdrLine>", "BE04"),
    ],
)
def test_bank__order_it_cannot_take__reports_the_reason(funded, old, new, reason):
    funded.send("p.xml", order(payout(1)).replace(old, new))
    (report,) = funded.fetch()
    assert [(s.code, s.reason) for s in report.statuses] == [("RJCT", reason)]


def test_bank__same_message_twice__books_once(funded):
    data = order(payout(1))
    funded.send("p.xml", data)
    funded.send("q.xml", data)
    reports = [item for item in funded.fetch() if isinstance(item, StatusReport)]
    assert [(r.code, r.reason) for r in reports] == [("ACCP", ""), ("RJCT", "DU01")]
    assert funded.bank.books.balance(SAFE) == 49_000


def test_bank__same_end_to_end_id_in_another_message__books_once(funded):
    funded.send("p.xml", order(payout(1)))
    funded.send("q.xml", order(payout(1), payout(2)))
    reports = [item for item in funded.fetch() if isinstance(item, StatusReport)]
    assert [s.reason for s in reports[1].statuses] == ["DU04", ""]
    assert funded.bank.books.balance(SAFE) == 48_000


def test_bank__order_for_monday__is_booked_on_monday(funded):
    funded.send("p.xml", order(payout(1), day=date(2026, 11, 23)))
    (report,) = funded.fetch()
    assert report.code == "ACCP" and funded.bank.books.balance(SAFE) == 50_000
    answer = funded.instruct(kind="close_day")
    assert (answer["closed"], answer["today"]) == ("2026-11-20", "2026-11-23")
    statement, notice = sorted(funded.fetch(), key=lambda item: item.balances is None)
    assert statement.balances.closing_minor == 50_000
    assert [str(line.booking_date) for line in notice.lines] == ["2026-11-23"]


def test_bank__payout_sent_back__is_a_credit_with_reason(funded):
    funded.send("p.xml", order(payout(1, iban="FR7630006000011234567890189")))
    funded.fetch()
    instruction = {"kind": "return", "end_to_end_id": payout(1).end_to_end_id}
    assert funded.instruct(**instruction)["ok"] and funded.instruct(**instruction) == {
        "ok": False,
        "reason": "AM09",
    }
    (notice,) = funded.fetch()
    (line,) = notice.lines
    assert (line.amount_minor, line.reason, line.is_return) == (1_000, "AC04", True)
    assert line.counterparty_iban == "FR7630006000011234567890189"


@pytest.mark.parametrize(
    "instruction",
    [
        {"kind": "rob"},
        {"kind": "pay"},
        {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": 1.5},
        {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": -1},
        {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": 100_001},
        {"kind": "pay", "from": PAYER, "to": "DE00", "amount_cents": 1},
        {"kind": "pay", "from": {}, "to": SAFE, "amount_cents": 1},
        {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": 1, "text": "\x01"},
        {"kind": "pay", "from": PAYER, "to": SAFE, "amount_cents": 1, "reference": "x" * 36},
        {"kind": "open", "iban": new_iban(9), "name": "x", "balance_cents": 2**63},
        {"kind": "open", "iban": "DE00", "name": "x"},
    ],
)
def test_bank__bad_instruction__is_answered_and_moves_nothing(customer, instruction):
    assert customer.instruct(**instruction)["ok"] is False
    assert customer.bank.books.last_line() == 0 and customer.fetch() == []


def test_bank__instruction_that_fails_half_way__leaves_nothing_behind(customer):
    def half(_):
        customer.bank.books.next_day()
        raise ValueError("half way")

    customer.bank._actions["half"] = half
    assert customer.instruct(kind="half")["ok"] is False and customer.bank.books.today == DAY


def test_bank__orders_that_fit_alone_but_not_together__accepts_what_is_covered(funded):
    funded.send("p.xml", order(payout(1, amount_cents=30_000), payout(2, amount_cents=30_000)))
    report, _ = funded.fetch()
    assert [s.reason for s in report.statuses] == ["", "AM04"]
    assert funded.bank.books.balance(SAFE) == 20_000


def test_bank__killed_between_commit_and_move__repeats_files_not_bookings(funded, monkeypatch):
    funded.channel.send("p.xml", order(payout(1)))
    monkeypatch.setattr("services.simulated_bank.bank._move", _killed)
    with pytest.raises(KeyboardInterrupt):
        funded.bank.step()
    monkeypatch.undo()
    first = {path.name: path.read_bytes() for path in funded.channel.inbox.glob("*.xml")}
    funded.bank.books.db.executemany(
        "UPDATE outgoing SET delivered = 0 WHERE name = ?", [(name,) for name in first]
    )
    funded.bank = SimulatedBank(funded.home, CONFIG)
    funded.bank.step()
    rewritten = {path.name: path.read_bytes() for path in funded.channel.inbox.glob("*.xml")}
    assert rewritten == first and len(first) == 2 and funded.bank.books.balance(SAFE) == 49_000
    assert not list(funded.channel.outbox.glob("*.xml"))


def _killed(*_):
    raise KeyboardInterrupt


def test_bank__file_delivered_again_after_archive__is_refused_as_repetition(funded):
    data = order(payout(1))
    funded.send("p.xml", data)
    (funded.channel.outbox / "p.xml").write_bytes(data)
    funded.bank.step()
    reports = [item for item in funded.fetch() if isinstance(item, StatusReport)]
    assert [r.reason for r in reports] == ["", "DU01"]
    assert funded.bank.books.balance(SAFE) == 49_000


def test_new_iban__any_number__is_valid():
    assert all(stdnum_iban.is_valid(new_iban(number)) for number in range(0, 10**10, 10**8 + 7))


def test_bank__own_process__serves_resumes_after_a_kill_and_stops_cleanly(tmp_path, capsys):
    client, home = BankClient(tmp_path), str(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    arguments = ("--home", home, "serve", "--config", str(config))
    process = Process("bank", "services.bank", arguments, ready=tmp_path / "ready")
    running = _start(process, tmp_path / "logs")
    try:
        assert client.pay(PAYER, SAFE, 50_000, REFERENCE) == {"ok": True}
        running.kill()
        running.join()
        running = _start(process, tmp_path / "logs")
        pay = ["pay", "--home", home, "--from", PAYER, "--amount", "1.50", "--reference", "x"]
        assert main(pay) == 0 and main([*pay[:6], "99999.00"]) == 1
        assert client.close_day()["closed"] == "2026-11-20"
        assert "AM04" in capsys.readouterr().out
    finally:
        running.terminate()
        running.join()
    assert running.exitcode == 0
    lines = [
        line
        for _, data in Folder(tmp_path / "to_bank", tmp_path / "from_bank").receive()
        for report in camt.parse(data)
        for line in report.lines
        if line.kind == "camt.053"
    ]
    assert [line.amount_minor for line in lines] == [50_000, 150]
    assert BankAccounts(tmp_path / "books.sqlite3").balance(SAFE) == 50_150


def _start(process: Process, logs: Path) -> ForkServerProcess:
    """Start the bank and return once it serves."""
    running, deadline = start(process, logs), time.monotonic() + 240
    while not process.serves():
        assert running.exitcode is None and time.monotonic() < deadline
        time.sleep(0.02)
    return running
