"""The register of breaks: since when, whose, and what two officers signed about each as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from orchestrator.core import ledger
from orchestrator.core.approval import Office
from orchestrator.core.reconcile import Break, BreakKind, Leg, StatementLine
from orchestrator.core.reconcile.register import break_ids, covers, facts
from orchestrator.edges.store import add_new, approvals, bank_files, breaks
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.errors import Halt
from orchestrator.steps.bank_files import post_lines
from orchestrator.steps.breaks import register_breaks
from tests.support.officers import CHAIN_ID, EXPIRY_S, employ, seat_for_commands, seated_keys
from tests.support.rail_copy import RailCopy
from tests.support.small_rail import has_anvil

FILE = b"\xfe" * 32
BASE = Break(BreakKind.EXTRA, Leg.BANK, ("aa",), ("f:1",), 0, -777, "EUR/2", "bank desk", "Ask.")


def test_break_id__of_the_same_difference__depends_on_no_amount_and_no_wording():
    [first] = break_ids([BASE])
    assert first == next(iter(break_ids([replace(BASE, found_minor=1, detail="x", closed="y")])))
    others = [
        replace(BASE, ids=("ab",)),
        replace(BASE, kind=BreakKind.MISSING),
        replace(BASE, leg=Leg.CHAIN),
    ]
    assert first not in break_ids(others) and len(break_ids(others)) == 3
    assert len(break_ids([BASE, BASE])) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"expected_minor": 1},
        {"found_minor": 1},
        {"asset": "tEUR/6"},
        {"lines": ()},
    ],
)
def test_resolution__of_a_break_that_changed_since__no_longer_covers_it(changed):
    detail = facts(BASE) | {"note": "asked"}
    assert covers(detail, BASE) and not covers(detail, replace(BASE, **changed))


needs_anvil = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


class BreaksRail(RailCopy):
    """A copy of the lived rail with two officers and a line that nobody ordered."""

    def __init__(self, home, monkeypatch) -> None:
        super().__init__(home)
        self.opened = self.store()
        officers = employ(home, self.opened, "Ada", "Ben", keys=seated_keys())
        seat_for_commands(monkeypatch, *officers)
        # the approvals of these tests are made at the time of the commands
        office = Office(CHAIN_ID, frozenset(officers), 0, EXPIRY_S)
        self.rail_ = replace(
            self.rail.rail, store=self.opened, now=lambda: self.now, office=lambda: office
        )
        self.now, self.lines = 1_800_000_000, 0

    def book(self, cents: int, day: date = date(2030, 1, 1)) -> None:
        """A debit that the bank notifies, and what the rail books of it."""
        self.lines += 1
        line = StatementLine(
            account=self.rail.iban,
            booking_date=day,
            value_date=day,
            amount_minor=cents,
            currency="EUR",
            source=FILE,
            path=f"Ntry[{self.lines}]",
            kind="camt.054",
            bank_reference=f"X{self.lines}",
        )
        with self.opened.write() as session:
            add_new(
                session,
                [
                    bank_files.BankFileRow(
                        file_hash=f"{self.lines:064}",
                        direction="in",
                        name="n",
                        kind="camt",
                        body=b"",
                        at=self.now,
                    )
                ],
            )
            bank_files.add_lines(session, [line], FILE.hex())
            post_lines(session, [line], self.now)
            self.rail_.memory.files_taken += 1
            assert store_ledger.balances(session)[ledger.UNEXPLAINED, ledger.EUR]

    def register(self) -> int:
        return register_breaks(self.rail_)

    def rows(self) -> dict[str, tuple[str, int, str, str | None]]:
        with self.opened.read() as session:
            return {
                row.break_id: (row.kind, row.first_seen, row.closed, row.resolved_by)
                for row in breaks.listed(session)
            }

    def open(self) -> list[str]:
        return [row["break_id"] for row in self.json_of("breaks")]

    def resolve(self, break_id: str) -> str:
        identity = self.json_of(
            "breaks",
            "resolve",
            break_id[:12],
            "--note",
            "the bank's own fee, paid back from own funds",
            "--as",
            "Ada",
        )["approval"]
        self.json_of("approval", "approve", identity, "--as", "Ben")
        return identity


@pytest.fixture
def copy(tmp_path, monkeypatch):
    rail = BreaksRail(tmp_path / "home", monkeypatch)
    yield rail
    rail.opened.close()


@needs_anvil
def test_breaks__registered_twice__keep_their_first_sight_and_their_owner(copy):
    copy.book(-777)
    assert copy.register() == 1
    [(break_id, row)] = copy.rows().items()
    assert row == ("extra", copy.now, "", None)
    copy.now += 86_400
    assert copy.register() == 0  # no new file, no approval: nothing to do
    copy.book(-5)
    assert copy.register() == 1
    assert copy.rows()[break_id][1] == copy.now - 86_400
    [view, _] = copy.json_of("breaks")
    assert (view["owner"], view["state"], view["since"]) == ("bank desk", "open", 1_800_000_000)
    assert view["action"].startswith("Ask the bank")


@needs_anvil
def test_break__resolved_by_two_officers__no_longer_fails_reconcile_and_stays_listed(copy):
    copy.book(-777)
    copy.register()
    copy.json_of("reconcile", code=1)
    [break_id] = copy.open()
    identity = copy.json_of("breaks", "resolve", break_id, "--note", "n", "--as", "Ada")["approval"]
    copy.json_of("reconcile", code=1)  # one signature resolves nothing
    assert copy.json_of("approval", "approve", identity, "--as", "Ada", code=2)
    copy.json_of("approval", "approve", identity, "--as", "Ben")
    view = copy.json_of("reconcile")
    assert view["breaks"] == [] and [b["break_id"] for b in view["resolved"]] == [break_id]
    assert copy.open() == []
    [listed] = copy.json_of("breaks", "--all")
    assert (listed["state"], listed["resolved_by"]) == ("resolved", identity)
    copy.register()
    assert copy.rows()[break_id][3] == identity
    with copy.opened.read() as session:
        assert approvals.get(session, identity).executed_at == copy.now


@needs_anvil
def test_break__whose_amount_changes_after_it_was_resolved__is_open_again(copy):
    """The payout keeps its id, and so does the break; what was signed is another amount."""
    copy.sql("UPDATE bankline SET body = replace(body, '-472', '-473')")
    [break_id] = [b["break_id"] for b in copy.json_of("breaks") if b["leg"] == "bank"]
    copy.resolve(break_id)
    assert states(copy)[break_id] == ("resolved", 473)
    copy.sql("UPDATE bankline SET body = replace(body, '-473', '-474')")
    assert states(copy)[break_id] == ("open", 474)


def states(copy: BreaksRail) -> dict[str, tuple[str, int]]:
    return {b["break_id"]: (b["state"], b["found_minor"]) for b in copy.json_of("breaks", "--all")}


@needs_anvil
def test_break__found_no_more__is_closed_in_the_register_and_comes_back_open(copy):
    copy.book(-777, date(2025, 10, 9))  # of a day whose statement leaves it out
    copy.register()
    assert {row[0] for row in copy.rows().values()} == {"extra", "not_confirmed"}
    copy.sql(
        "UPDATE bankline SET body = replace(body, '2025-10-09', '2030-01-01') WHERE path = "
        "'Ntry[1]'"
    )
    copy.book(-5)
    copy.register()
    closed = {kind: why for kind, _, why, _ in copy.rows().values() if why}
    assert closed["not_confirmed"] == "found no more"
    assert {b["state"] for b in copy.json_of("breaks", "--all")} == {"open", "closed"}
    copy.sql(
        "UPDATE bankline SET body = replace(body, '2030-01-01', '2025-10-09') WHERE path = "
        "'Ntry[1]'"
    )
    copy.book(-6)
    copy.register()
    assert {why for kind, _, why, _ in copy.rows().values() if kind == "not_confirmed"} == {""}


@needs_anvil
def test_resolution__whose_row_was_changed_by_hand__stops_the_rail(copy):
    copy.book(-777)
    copy.resolve(copy.open()[0])
    copy.sql("UPDATE approval SET detail = replace(detail, '-777', '-778')")
    with pytest.raises(Halt, match="does not hold"):
        copy.register()
    assert "does not hold" in copy.json_of("reconcile", code=2)["error"]["message"]


@needs_anvil
@pytest.mark.parametrize("start", ["0x", "0xffffffffffff"])
def test_resolve__of_no_break_or_of_several__signs_nothing(copy, start):
    copy.book(-777)
    copy.book(-5)
    refusal = copy.json_of("breaks", "resolve", start, "--note", "n", "--as", "Ada", code=2)
    assert "Nothing was signed" in refusal["error"]["message"]
    assert copy.json_of("approval", "list") == []
