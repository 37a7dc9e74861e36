"""Ledger = chain means the chain: the contracts' own sums against ledger and stored logs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.reconcile import (
    BankFacts,
    BreakKind,
    ChainFacts,
    ContractTotals,
    Ledger,
    Mint,
    reconcile,
)
from orchestrator.edges.chain.client import Chain
from tests.support.rail_copy import RailCopy
from tests.support.small_rail import has_anvil

TOTALS = ContractTotals("0xab", 100, 95, 40, 30, 20, 5, 7)
TOKENS = {"issued": 100, "escrow": 40, "pending": 30, "withdrawable": 20, "frozen": 5}
CHAIN = ChainFacts(100, mints=[Mint(b"\1" * 32, 100)], owed_micro=7, totals=TOTALS)
LEDGER = Ledger(tokens=TOKENS, owed_micro=7)


def totals_that_differ(chain: ChainFacts, ledger: Ledger) -> set[str]:
    breaks = reconcile(chain, ledger, BankFacts("DE0")).breaks
    assert all(
        item.kind == BreakKind.LEDGER_DIFFERS_FROM_CHAIN and item.owner and item.action
        for item in breaks
        if item.ids[0].startswith("total:")
    )
    return {item.ids[0] for item in breaks if item.ids and item.ids[0].startswith("total:")}


def test_totals__that_agree__are_no_break():
    assert totals_that_differ(CHAIN, LEDGER) == set()
    assert totals_that_differ(replace(CHAIN, totals=None), Ledger()) == set()  # no node was asked


@pytest.mark.parametrize("change", [1, -1])
@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("supply_micro", {"total:supply", "total:supply_of_logs"}),
        ("rail_micro", set()),
        ("escrow_micro", {"total:escrow"}),
        ("pending_micro", {"total:pending"}),
        ("withdrawable_micro", {"total:withdrawable"}),
        ("frozen_micro", {"total:frozen"}),
        ("owed_micro", {"total:owed", "total:owed_by_logs"}),
    ],
)
def test_totals__number_of_the_node_that_changed__is_a_break(field, named, change):
    changed = replace(TOTALS, **{field: getattr(TOTALS, field) + change})
    held = {"escrow_micro", "pending_micro", "withdrawable_micro", "frozen_micro"}
    # tokens that are missing: the rail holds less than it owes
    missing = (field in held and change > 0) or (field == "rail_micro" and change < 0)
    wanted = named | ({"total:rail_balance"} if missing else set())
    assert totals_that_differ(replace(CHAIN, totals=changed), LEDGER) == wanted


def test_attack__tokens_sent_to_the_rail_by_a_stranger__are_named_and_no_break():
    """On 0.3.0 one token sent to the rail was stuck, and an open break for ever: anyone could keep
    `reconcile` and `reserves` from ever holding again. Now it waits for the steward's sweep."""
    donated = replace(TOTALS, rail_micro=TOTALS.rail_micro + 17)
    result = reconcile(replace(CHAIN, totals=donated), LEDGER, BankFacts("DE0"))
    assert result.unswept_micro == 17
    assert totals_that_differ(replace(CHAIN, totals=donated), LEDGER) == set()
    assert reconcile(CHAIN, LEDGER, BankFacts("DE0")).unswept_micro == 0
    assert reconcile(ChainFacts(100), LEDGER, BankFacts("DE0")).unswept_micro == 0


@pytest.mark.parametrize("name", TOKENS)
def test_totals__account_of_the_ledger_that_changed__is_a_break(name):
    changed = replace(LEDGER, tokens=TOKENS | {name: TOKENS[name] + 1})
    named = "supply" if name == "issued" else name
    assert totals_that_differ(CHAIN, changed) == {f"total:{named}"}


def _without(name: str) -> tuple[str, ...]:
    """A log that a node left out before it proved itself: neither stored nor posted."""
    log = f"SELECT rowid FROM chainlog WHERE name = '{name}' ORDER BY block_number DESC LIMIT 1"
    kind = name.lower()
    entry = f"SELECT entry_id FROM ledgerentry WHERE kind = '{kind}' ORDER BY number DESC LIMIT 1"
    return (
        f"DELETE FROM chainlog WHERE rowid = ({log})",
        f"DELETE FROM ledgerposting WHERE entry_id = ({entry})",
        f"DELETE FROM ledgerentry WHERE entry_id = ({entry})",
    )


_MOVED = (
    "UPDATE ledgerposting SET amount_minor = amount_minor + 1 WHERE id = (SELECT MIN(id) FROM "
    "ledgerposting WHERE account LIKE '{}:%' AND asset = 'tEUR/6')"
)
LIES = {
    "a mint was never read": (_without("Minted"), "total:supply_of_logs"),
    "a redemption was never read": (_without("Redeemed"), "total:supply"),
    "a settlement was never read": (_without("Settled"), "total:escrow"),
    "a release was never read": (_without("Released"), "total:withdrawable"),
    "a stored log changed": (
        ("UPDATE chainlog SET args = replace(args, '\"cents\": ', '\"cents\": 1')"),
        "total:supply_of_logs",
    ),
    "escrow in the ledger changed": ((_MOVED.format("escrow"),), "total:escrow"),
    "pending in the ledger changed": ((_MOVED.format("pending"),), "total:pending"),
    "tokens in the ledger changed": ((_MOVED.format("token"),), "total:supply"),
}


@pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
@pytest.mark.parametrize("name", LIES)
def test_reconcile__lie_planted_in_the_store__is_a_break_and_exit_1(tmp_path, name):
    statements, named = LIES[name]
    copy = RailCopy(tmp_path / "home")
    copy.sql(*([statements] if isinstance(statements, str) else statements))
    view = copy.json_of("reconcile", code=1)
    assert named in {identity for item in view["breaks"] for identity in item["ids"]}
    assert copy.json_of("reserves", code=1)["holds"] is False


@pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
def test_reconcile__node_whose_numbers_are_others__is_a_break_and_exit_1(tmp_path, monkeypatch):
    copy, real = RailCopy(tmp_path / "home"), Chain.view
    assert copy.json_of("reconcile")["asked_chain"] is True

    def lying(chain, contract, function, *args, at=None):
        result = real(chain, contract, function, *args, at=at)
        return result + 1 if function == "totalSupply" else result

    monkeypatch.setattr(Chain, "view", lying)
    view = copy.json_of("reconcile", code=1)
    ids = {identity for item in view["breaks"] for identity in item["ids"]}
    assert {"total:supply", "total:supply_of_logs"} <= ids and view["difference_micro"] == 1
    assert copy.json_of("reserves", code=1)["differing_totals"]
    assert copy.json_of("reconcile", "--offline")["asked_chain"] is False


@pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
def test_reconcile__node_that_is_silent__says_so_and_never_that_all_is_well(tmp_path):
    copy = RailCopy(tmp_path / "home")
    path = copy.home / "rail.json"
    path.write_text(path.read_text().replace(copy.rail.testnet.url, "http://127.0.0.1:9"))
    message = copy.json_of("reconcile", code=2)["error"]["message"]
    assert "does not answer" in message and "--offline" in message
