"""Rebuild on a rail that has lived: the same bytes; and every change of the database, by its place.

Whoever changes it here has all rights: no trigger is left, and hashes are made to fit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.small_rail import has_anvil, lived
from tests.support.tampering import Change, copied, rebuilt, rechain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

RECONCILED = "SELECT payment_id FROM payment WHERE stage = 'reconciled' LIMIT 1"
CLAIMED = "SELECT evidence_hash FROM event WHERE payment_id IS NOT NULL ORDER BY event_id LIMIT 1"
OF_A_FILE = "SELECT entry_id FROM ledgerentry WHERE number = 1"


def sql(*statements: str, fit: bool = False) -> Change:
    """Statements that change something; fit: and then all hashes of the journal are made again."""

    def change(base: sqlite3.Connection) -> None:
        for statement in statements:
            assert base.execute(statement).rowcount > 0, statement
        if fit:
            rechain(base)

    return change


def one_byte(
    table: str, row: str, with_hash: Callable[[sqlite3.Connection, str, str], None] | None = None
) -> Change:
    """The last digit in a stored body becomes another one."""

    def change(base: sqlite3.Connection) -> None:
        name = f"{'evidence' if table == 'evidence' else 'file'}_hash"
        [(key, body)] = base.execute(f"SELECT {name}, body FROM {table} WHERE {row}").fetchall()
        at = max(i for i, byte in enumerate(body[: len(body) * 2 // 3]) if 0x31 <= byte <= 0x38)
        body = body[:at] + bytes([body[at] + 1]) + body[at + 1 :]
        base.execute(f"UPDATE {table} SET body = ? WHERE {name} = ?", (body, key))
        if with_hash is not None:
            with_hash(base, key, sha256(body).hexdigest())

    return change


def _rename_evidence(base: sqlite3.Connection, old: str, new: str) -> None:
    for table in ("evidence", "event"):
        base.execute(f"UPDATE {table} SET evidence_hash = ? WHERE evidence_hash = ?", (new, old))


# what is done: (how, the place that must be named first or among others, a word of what is said)
TAMPERING: dict[str, tuple[Change, str, str]] = {
    "a byte of evidence": (
        one_byte("evidence", f"evidence_hash = ({CLAIMED})"),
        "evidence",
        "SHA-256",
    ),
    "a byte of evidence, with its name": (
        one_byte("evidence", f"evidence_hash = ({CLAIMED})", _rename_evidence),
        "event",
        "not signed",
    ),
    "an event's time": (
        sql(
            f"UPDATE event SET observed_at_ms = observed_at_ms + 1 WHERE payment_id = "
            f"({RECONCILED})"
        ),
        "event",
        "observed_at_ms",
    ),
    "an event taken out of its payment": (
        sql(f"UPDATE event SET payment_id = NULL WHERE payment_id = ({RECONCILED})"),
        "payment",
        "no evidence",
    ),
    "an event in another payment": (
        sql(
            "UPDATE event SET payment_id = (SELECT payment_id FROM payment WHERE stage = 'posted') "
            f"WHERE payment_id = ({RECONCILED})"
        ),
        "payment",
        "has another evidence",
    ),
    "evidence deleted": (
        sql(f"DELETE FROM evidence WHERE evidence_hash = ({CLAIMED})"),
        "event",
        "no evidence",
    ),
    "a payment's amount": (
        sql(
            f"UPDATE payment SET amount_micro = amount_micro + 1 WHERE payment_id = ({RECONCILED})"
        ),
        "payment",
        "amount_micro",
    ),
    "a payment's payee": (
        sql(
            f"UPDATE payment SET payee = '0x00000000000000000000000000000000000000AA' WHERE "
            f"payment_id = ({RECONCILED})"
        ),
        "payment",
        "payee",
    ),
    "a payment that never settled": (
        sql("UPDATE payment SET stage = 'posted', settlement_tx = '0x00' WHERE stage = 'verified'"),
        "payment",
        "no final settlement",
    ),
    "one posting": (
        sql("UPDATE ledgerposting SET amount_minor = amount_minor + 1 WHERE id = 1"),
        "ledger entry",
        "postings",
    ),
    "both postings of an entry, hashes made to fit": (
        sql(
            "UPDATE ledgerposting SET amount_minor = amount_minor * 2 WHERE entry_id = (SELECT "
            "entry_id FROM ledgerentry WHERE kind = 'settled' LIMIT 1)",
            fit=True,
        ),
        "ledger entry",
        "postings",
    ),
    "an entry's time, hashes made to fit": (
        sql("UPDATE ledgerentry SET at = at - 86400 WHERE number = 3", fit=True),
        "ledger entry",
        "at",
    ),
    "the journal's end cut off": (
        sql(
            "DELETE FROM ledgerposting WHERE entry_id IN (SELECT entry_id FROM ledgerentry ORDER "
            "BY number DESC LIMIT 2)",
            "DELETE FROM ledgerentry WHERE number > (SELECT max(number) - 2 FROM ledgerentry)",
        ),
        "ledger entry",
        "the journal has no entry",
    ),
    "all entries of a bank file, hashes made to fit": (
        sql(
            f"DELETE FROM ledgerposting WHERE entry_id IN ({OF_A_FILE})",
            f"DELETE FROM ledgerentry WHERE entry_id IN ({OF_A_FILE})",
            "UPDATE ledgerentry SET number = number - 1",
            fit=True,
        ),
        "ledger entry",
        "the journal has no entry funding_booked",
    ),
    "an entry that nothing caused, hashes made to fit": (
        sql(
            "INSERT INTO ledgerentry (number, entry_id, kind, ref, at, hash, source) SELECT "
            "max(number) + 1, 'ab', 'funded', 'x', 5, '', 'block:0x00' FROM ledgerentry",
            "INSERT INTO ledgerposting (entry_id, account, asset, amount_minor) VALUES "
            "('ab', 'wallets', 'tEUR/6', -5), ('ab', 'escrow:0x1', 'tEUR/6', 5)",
            fit=True,
        ),
        "ledger entry",
        "no source makes it",
    ),
    "two entries in each other's place, hashes made to fit": (
        sql(
            "UPDATE ledgerentry SET number = 1000 WHERE number = 1",
            "UPDATE ledgerentry SET number = 1 WHERE number = 2",
            "UPDATE ledgerentry SET number = 2 WHERE number = 1000",
            fit=True,
        ),
        "ledger entry",
        "order",
    ),
    "one hash": (
        sql("UPDATE ledgerentry SET hash = 'ff' WHERE number = 4"),
        "ledger entry",
        "hash",
    ),
    "a posting without an entry": (
        sql(
            "INSERT INTO ledgerposting (entry_id, account, asset, amount_minor) VALUES "
            "('ab', 'bank:safeguarding', 'EUR/2', 5)"
        ),
        "balance",
        "EUR/2",
    ),
    "a byte of a bank file": (
        one_byte("bankfile", "rowid = (SELECT max(rowid) FROM bankfile WHERE direction = 'in')"),
        "bank file",
        "SHA-256",
    ),
    "a bank file deleted": (
        sql("DELETE FROM bankfile WHERE file_hash IN (SELECT file_hash FROM bankline)"),
        "bank line",
        "its file does not hold it",
    ),
    "a bank line's amount": (
        sql("UPDATE bankline SET body = replace(body, '20000', '20001')"),
        "bank line",
        "not what its file says",
    ),
    "a bank line deleted": (sql("DELETE FROM bankline WHERE rowid = 1"), "bank line", "not stored"),
    "a booking deleted": (sql("DELETE FROM booking WHERE rowid = 1"), "booking", "not stored"),
    "a statement's balance": (
        sql("UPDATE bankstatement SET closing_minor = closing_minor + 1 WHERE closing_minor > 0"),
        "statement",
        "closing_minor",
    ),
    "a payout's amount": (sql("UPDATE payout SET cents = cents + 1"), "payout", "cents"),
    "a payout's account": (sql("UPDATE payout SET account = '0xff'"), "payout", "account"),
    "a payout that nobody redeemed": (
        sql(
            "INSERT INTO payout SELECT '0x01', payee, account, cents, 'E2E', tx_hash, 'ordered', "
            "reason, file_hash, line_id, ordered_at, attempt, batch, due_on FROM payout"
        ),
        "payout",
        "nothing raw says it",
    ),
    "a credit's agreement": (
        sql("UPDATE funding SET agreement_id = '0xff' WHERE rowid = 1"),
        "credit",
        "agreement_id",
    ),
    "a chain log": (
        sql("UPDATE chainlog SET args = replace(args, '200000000', '200000001')"),
        "chain log",
        "args",
    ),
    "the contract of a chain log": (
        sql("UPDATE chainlog SET address = '0xff' WHERE name = 'MemberSeated'"),
        "chain log",
        "address",
    ),
    "a block's hash": (sql("UPDATE block SET hash = '0xff' WHERE number = 5"), "block", "hash"),
    "an agreement's end": (
        sql("UPDATE agreement SET expiry = expiry + 1"),
        "agreement",
        "terms were changed",
    ),
}


def test_rebuild__nothing_changed__is_the_same_bytes(tmp_path: Path) -> None:
    code, view = rebuilt(copied(lived(), tmp_path), "-o", str(tmp_path / "sides"))
    assert (code, view["differences"], view["first_difference"]) == (0, [], None)
    assert view["same"] and view["stored_sha256"] == view["rebuilt_sha256"]
    stored, recomputed = (
        (tmp_path / "sides" / f"{side}.jsonl").read_bytes() for side in ("stored", "rebuilt")
    )
    assert stored == recomputed and sha256(stored).hexdigest() == view["stored_sha256"]
    lines = [json.loads(line) for line in stored.splitlines()]
    assert {line["kind"] for line in lines if "kind" in line} >= {
        "funding_booked",
        "minted",
        "settled",
        "released",
        "redeemed",
        "payout_booked",
    }
    assert {line["account"]: line["amount_minor"] for line in lines if "account" in line}[
        "token:issued"
    ] == 395_280_000
    assert view["read"]["claims"] == view["read"]["prices"] == 3
    assert view["read"]["evidence"] >= 7 and view["read"]["bank lines"] >= 3


@pytest.mark.parametrize("what", TAMPERING)
def test_rebuild__database_changed__names_the_place(what: str, tmp_path: Path) -> None:
    change, place, text = TAMPERING[what]
    code, view = rebuilt(copied(lived(), tmp_path, change))
    assert (code, view["same"]) == (1, False)
    named = [difference for difference in view["differences"] if difference["place"] == place]
    assert any(text in difference["what"] or text in difference["name"] for difference in named), (
        view["differences"]
    )


def test_rebuild__posting_changed__shows_both_sides_of_the_first_line(tmp_path: Path) -> None:
    code, view = rebuilt(copied(lived(), tmp_path, TAMPERING["one posting"][0]))
    first = view["first_difference"]
    assert (code, first["line"]) == (1, 1)
    sides = [json.loads(first[side])["postings"][0][2] for side in ("stored", "rebuilt")]
    assert sides[0] == sides[1] + 1
    assert view["stored_sha256"] != view["rebuilt_sha256"]
    assert {difference["place"] for difference in view["differences"]} == {
        "ledger entry",
        "balance",
    }


def test_rebuild__database__is_not_written(tmp_path: Path) -> None:
    home = copied(lived(), tmp_path)
    before = _all_of(home)
    assert rebuilt(home)[0] == 0
    assert _all_of(home) == before


def _all_of(home: Path) -> list[str]:
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base:
        return list(base.iterdump())


def test_rebuild__node_away__cannot(tmp_path: Path) -> None:
    code, view = rebuilt(copied(lived(), tmp_path), "--rpc-url", "http://127.0.0.1:9")
    assert code == 2
    assert "blocks cannot be read" in view["error"]["message"]
