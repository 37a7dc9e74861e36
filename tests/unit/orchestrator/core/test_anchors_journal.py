"""Two attacks with the whole database, on a rail with a real chain: both are detected."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.anchors import AnchorVerdict, suffix
from orchestrator.core.ledger import GENESIS, Entry, Posting, chain_hash
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.anchored import read_anchors
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import Store, ledger, lookup
from orchestrator.views.journal_check import check_anchors, check_journal
from tests.support.small_rail import has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CLI = CliRunner()
STRANGER = 15


@pytest.fixture
def home(tmp_path) -> Path:
    """A copy of a lived rail's home; its chain goes on to be the real one."""
    rail = lived()
    with closing(sqlite3.connect(rail.settings.database)) as whole:
        whole.execute("VACUUM INTO ?", (str(tmp_path / "proofrail.sqlite3"),))
    for name in ("rail.json", "deployment.json"):
        shutil.copy(rail.home / name, tmp_path / name)
    (tmp_path / "keys").mkdir(mode=0o700)
    shutil.copy(rail.settings.keys / "sender.json", tmp_path / "keys" / "sender.json")
    return tmp_path


def anchors() -> list:
    rail = lived()
    return read_anchors(rail.chain, {rail.rail.sender.account.address}, rail.chain.head())


def attack(home: Path, *statements: str) -> None:
    """Triggers stop programs, not people: whoever has the file drops them first."""
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base, base:
        for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            base.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            base.execute(statement)


def rechain(home: Path) -> None:
    """Every hash made right again, with the rail's own rule."""
    with closing(sqlite3.connect(home / "proofrail.sqlite3")) as base, base:
        previous = GENESIS
        for number, entry_id, kind, ref, at, source in base.execute(
            "SELECT number, entry_id, kind, ref, at, source FROM ledgerentry ORDER BY number"
        ).fetchall():
            postings = base.execute(
                "SELECT account, asset, amount_minor FROM ledgerposting WHERE entry_id = ? "
                "ORDER BY id",
                (entry_id,),
            )
            entry = Entry(entry_id, kind, ref, tuple(Posting(*p) for p in postings), at, source)
            previous = chain_hash(previous, entry)
            base.execute("UPDATE ledgerentry SET hash = ? WHERE number = ?", (previous, number))


def judged(home: Path, senders: set[str] | None = None):
    """(what the journal says of itself, what the anchors say of it)."""
    rail = lived()
    store = Store(home / "proofrail.sqlite3")
    try:
        own = {rail.rail.sender.account.address} if senders is None else senders
        return check_journal(store), check_anchors(store, rail.chain, own)
    finally:
        store.close()


def test_settlements_and_releases__of_the_rail__carry_the_head_of_their_time():
    rail, anchor_list = lived(), anchors()
    with rail.store.read() as session:
        assert {ledger.hash_of(session, a.number) or GENESIS for a in anchor_list} == {
            a.head for a in anchor_list
        }
        assert ledger.head(session)[0] >= max(a.number for a in anchor_list) > 4
    assert len(anchor_list) >= 3 and len({a.number for a in anchor_list}) > 1
    names = set()
    for anchor in anchor_list:
        function, _ = rail.chain.call_input(anchor.tx_hash, "PaymentRail")  # read past the suffix
        names.add(function)
    assert names == {"settle", "release"}


def test_journal__untouched__holds(home):
    journal, compared = judged(home)
    assert (
        journal.ok
        and compared.verdict is AnchorVerdict.HOLDS
        and compared.anchors == len(anchors())
    )


@pytest.mark.parametrize("place", ["first", "anchored"])
def test_journal__an_amount_changed_and_all_chained_again__only_the_anchors_see_it(home, place):
    newest = max(a.number for a in anchors())
    number = 1 if place == "first" else newest
    attack(
        home,
        "UPDATE ledgerposting SET amount_minor = amount_minor * 2 WHERE entry_id = "
        f"(SELECT entry_id FROM ledgerentry WHERE number = {number})",
    )
    assert judged(home)[0].broken == number
    rechain(home)
    journal, compared = judged(home)
    assert journal.ok  # consistent in itself: the hash chain alone is deceived
    assert compared.verdict is AnchorVerdict.RECHAINED
    assert compared.same_to < number <= compared.entry


def test_journal__its_last_entries_deleted_with_their_postings__only_the_anchors_see_it(home):
    newest = max(a.number for a in anchors())
    attack(
        home,
        "DELETE FROM ledgerposting WHERE entry_id IN "
        f"(SELECT entry_id FROM ledgerentry WHERE number >= {newest})",
        f"DELETE FROM ledgerentry WHERE number >= {newest}",
    )
    journal, compared = judged(home)
    assert journal.ok and journal.entries == newest - 1
    assert (compared.verdict, compared.entry, compared.ends_at) == (
        AnchorVerdict.CUT,
        newest,
        newest - 1,
    )


def test_journal__emptied__is_cut(home):
    attack(home, "DELETE FROM ledgerposting", "DELETE FROM ledgerentry")
    journal, compared = judged(home)
    assert journal.ok and (compared.verdict, compared.ends_at) == (AnchorVerdict.CUT, 0)


def test_sends__deleted_too__hide_nothing_since_the_chain_is_asked(home):
    attack(
        home,
        "DELETE FROM chainsend",
        "DELETE FROM chainlog",
        "DELETE FROM block",
        "DELETE FROM ledgerposting",
        "DELETE FROM ledgerentry",
    )
    assert judged(home)[1].verdict is AnchorVerdict.CUT


def test_stored_senders__count_too__so_a_key_that_was_replaced_is_still_heard(home):
    assert judged(home, senders=set())[1].anchors == len(anchors())


def test_postings__of_no_entry__are_seen_though_every_sum_and_hash_holds(home):
    columns = "INSERT INTO ledgerposting (entry_id, account, asset, amount_minor) VALUES "
    attack(home, columns + "('x', 'wallets', 'tEUR/6', 5), ('x', 'frozen', 'tEUR/6', -5)")
    journal, _ = judged(home)
    assert (journal.broken, journal.stray, journal.ok) == (None, 2, False)
    assert not any(journal.sums.values())


def test_stranger__who_anchors_a_lie_behind_a_call_of_its_own__is_not_heard(home):
    """Anyone may release what has matured; what stands behind that call is theirs."""
    rail = lived()
    account = keystore.development_account(STRANGER)
    with rail.store.read() as session:
        posted = lookup.newest_payments(session, "posted", 100)
    times = sorted({payment.release_at for payment, _ in posted})
    call = Call("PaymentRail", "release", (rail.payee.address, times))
    rail.mine(10**6)
    quote = rail.chain.quote(account.address, call, suffix(1, "ab" * 32))
    _, raw = rail.chain.sign(account, rail.chain.nonce(account.address), quote)
    before = len(anchors())
    assert rail.chain.broadcast([raw]) == ["sent"]
    rail.mine()
    own = {rail.rail.sender.account.address}
    both = read_anchors(rail.chain, own | {account.address}, rail.chain.head())
    assert len(both) == before + 1 and both[-1].head == "ab" * 32
    _, compared = judged(home)
    assert compared.verdict is AnchorVerdict.HOLDS and compared.anchors == before


def run(home: Path, *more: str):
    return CLI.invoke(cli.app, ["--home", str(home), "ledger", "check", *more])


def test_ledger_check__untouched__shows_how_far_the_anchors_reach(home):
    answer = run(home, "--json")
    assert answer.exit_code == 0, answer.stdout
    view = json.loads(answer.stdout)
    assert view["ok"] and view["anchors"]["verdict"] == "holds"
    assert view["anchors"]["same_to"] == max(a.number for a in anchors())
    assert "anchors on chain match" in run(home).stdout


def test_ledger_check__cut__exits_1_and_says_where(home):
    attack(home, "DELETE FROM ledgerposting", "DELETE FROM ledgerentry")
    answer = run(home)
    assert answer.exit_code == 1
    assert "cut" in answer.stdout and "ends at entry 0" in " ".join(answer.stdout.split())


def test_ledger_check__rechained__exits_1_and_says_where(home):
    attack(home, "UPDATE ledgerentry SET at = at + 1 WHERE number = 1")
    rechain(home)
    view = json.loads(run(home, "--json").stdout)
    assert not view["ok"] and view["first_broken_entry"] is None
    assert view["anchors"]["verdict"] == "rechained" and view["anchors"]["same_to"] == 0


@pytest.mark.parametrize("how", ["offline", "no node", "node away"])
def test_ledger_check__without_a_node__says_that_anchors_were_not_compared(home, how):
    if how == "no node":
        (home / "rail.json").unlink()
    elif how == "node away":
        (home / "rail.json").write_text('{"rpc_url": "http://127.0.0.1:9"}')
    attack(home, "DELETE FROM ledgerposting", "DELETE FROM ledgerentry")
    more = ("--offline",) if how == "offline" else ()
    answer = run(home, *more)
    assert answer.exit_code == 0
    assert "not compared" in answer.stdout
    view = json.loads(run(home, "--json", *more).stdout)
    assert view["anchors"] is None and view["anchors_not_compared"]
