"""Rebuild of what people decided and the bank undid: unknown credits, returns, second orders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import approvals
from orchestrator.core.approval import Approval
from orchestrator.edges.store import all_rows, fundings, ledger, payouts
from orchestrator.rebuild import rebuild
from orchestrator.steps.payout_approvals import owed, to_order_again
from orchestrator.steps.unallocated_credits import to_allocate, to_send_back
from tests.support.officers import office_of, seated_keys
from tests.support.small_rail import START, SmallRail, has_anvil
from tests.support.tampering import copied, rebuilt, rechain

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
ADA, BEN = seated_keys()


def pay_in(rail: SmallRail, cents: int, reference: str) -> None:
    rail.instruct_bank(
        {
            "kind": "pay",
            "from": rail.payer_iban,
            "to": "",
            "text": "gift",
            "amount_cents": cents,
            "reference": reference,
        }
    )


def decide(rail: SmallRail, approval: Approval) -> None:
    office = office_of(ADA, BEN, now=rail.clock)
    identity = approvals.propose(rail.store, office, approval, ADA)
    approvals.approve(rail.store, office, identity, BEN)


def rows(rail: SmallRail, table: type) -> list:
    with rail.store.read() as session:
        return list(all_rows(session, table))


def days(rail: SmallRail, many: int) -> None:
    for _ in range(many):
        rail.close_day()
        rail.work(2)


@pytest.fixture(scope="module")
def rail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallRail]:
    """One payout that came back and went out again; one credit without a reference that two
    officers gave to an agreement, and one that they sent back."""
    small_rail = SmallRail(tmp_path_factory.mktemp("story") / "home").start()
    small_rail.fund("cp-0001", 20_000)
    pay_in(small_rail, 700, "RF18539007547034")
    pay_in(small_rail, 300, "")
    small_rail.work(4)
    waiting = {
        row.cents: row for row in rows(small_rail, fundings.FundingRow) if row.stage == "suspense"
    }
    decide(
        small_rail, to_allocate(waiting[700], small_rail.agreements["cp-0002"], small_rail.clock)
    )
    decide(
        small_rail,
        to_send_back(
            waiting[300],
            {
                "name": "Ada Sommer",
                "iban": small_rail.payer_iban,
                "street": "Am Kanal",
                "building": "1",
                "post_code": "14467",
                "town": "Potsdam",
                "country": "DE",
            },
            small_rail.clock,
        ),
    )
    small_rail.clock = START + 100_000
    assert small_rail.take(*small_rail.fleet["cp-0001"].session("12.5")) == ["accepted"]
    small_rail.work(12, 20)
    days(small_rail, 2)
    [payout] = [row for row in rows(small_rail, payouts.PayoutRow) if row.cents != 300]
    assert payout.stage == "booked", payout
    small_rail.instruct_bank(
        {"kind": "return", "end_to_end_id": payout.end_to_end_id, "reason": "AC04"}
    )
    days(small_rail, 1)
    [payout] = [row for row in rows(small_rail, payouts.PayoutRow) if row.cents != 300]
    assert payout.stage == "returned"
    with small_rail.store.read() as session:
        cents = owed(session, payout)
    decide(small_rail, to_order_again(payout, cents, small_rail.payee_iban, small_rail.clock))
    small_rail.work(3)
    days(small_rail, 2)
    yield small_rail
    small_rail.stop()


def test_rebuild__returns_and_approvals__is_the_same_bytes(rail: SmallRail) -> None:
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.differences == [] and rebuilt.same
    with rail.store.read() as session:
        kinds = {item.kind for _, item in ledger.entries(session)}
    assert kinds >= {"unallocated", "allocated", "sent_back", "payout_returned", "reordered"}
    assert rebuilt.read["approvals"] == 3
    assert {row.stage for row in rows(rail, payouts.PayoutRow)} == {"booked"}


def test_rebuild__approval_changed_after_it_was_signed__is_named(
    rail: SmallRail, tmp_path: Path
) -> None:
    home = copied(
        rail,
        tmp_path,
        lambda base: base.execute(
            "UPDATE approval SET detail = replace(detail, '375', '374') WHERE kind = 'order_again'"
        ),
    )
    code, view = rebuilt(home)
    assert code == 1
    assert {difference["place"] for difference in view["differences"]} >= {
        "approval",
        "ledger entry",
    }


def test_rebuild__entry_of_an_approval_without_signatures__is_named(
    rail: SmallRail, tmp_path: Path
) -> None:
    def change(base: sqlite3.Connection) -> None:
        base.execute("UPDATE ledgerentry SET source = 'approval:0x00' WHERE kind = 'allocated'")
        rechain(base)

    code, view = rebuilt(copied(rail, tmp_path, change))
    assert code == 1
    assert ("source", "approval:0x00") in {(d["place"], d["name"]) for d in view["differences"]}


def test_rebuild__order_file_of_another_amount__is_named(rail: SmallRail, tmp_path: Path) -> None:
    home = copied(
        rail,
        tmp_path,
        lambda base: base.execute(
            "UPDATE bankfile SET body = CAST(replace(body, '3.75', '9.75') AS BLOB) "
            "WHERE direction = 'out'"
        ),
    )
    code, view = rebuilt(home)
    assert (code, {difference["place"] for difference in view["differences"]}) == (1, {"bank file"})
