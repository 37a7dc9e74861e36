"""A shared roof by command: its payments are divided, taken, paid by the bank, and reconciled."""

from __future__ import annotations

import json
import sys
from functools import partial
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands import waterfall as commands
from orchestrator.core import ledger
from orchestrator.core.ledger import TEUR
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.store import agreements, payouts
from orchestrator.edges.store import ledger as store_ledger
from orchestrator.rebuild import rebuild
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views.trace import trace
from services.bank import new_iban
from tests.support.open_rail import OpenRail, open_rail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")

CLI, MINTER, PRICE = CliRunner(), 3, 300_000  # 0.30 EUR per kWh
PEOPLE = {"Dach GbR": 30, "Stadtwerke": 31, "Sparkasse": 32}  # development accounts
_ADDRESS = {"street": "Am Kanal", "building": "2", "post_code": "14467", "town": "Potsdam"}


def shared_rail() -> OpenRail:
    """Return the rail of all tests, with three more parties that have bank accounts."""
    rail = open_rail()
    folder = rail.settings.keys / "parties"
    for name, index in PEOPLE.items():
        file = name.split()[0].lower()
        if file in keystore.names(folder):
            continue
        key = keystore.development_account(index).key.hex()
        account, iban = keystore.create(folder, file, key), new_iban(index)
        party = agreements.PartyRow(
            address=account.address, name=name, iban=iban, country="DE", **_ADDRESS
        )
        rail.agreement_ops.save_parties([party])
        rail.agreement_ops.pay_to_bank(account, iban)
        customer = {"closed": False, "balance_cents": 0, "kind_of_account": "customer"}
        rail.instruct_bank({"kind": "open", "iban": iban, "name": name, **customer})
    return rail


@pytest.fixture
def rail(monkeypatch):
    """After each test chain, ledger and bank agree, every sub-account by name."""
    started = shared_rail()
    started.with_oracles_down()
    started.next_day()
    monkeypatch.setattr(commands, "time", SimpleNamespace(time=lambda: started.clock))
    monkeypatch.setattr(commands, "patience", lambda: started.mine)
    yield started
    assert started.worker.halted == {}
    started.agree_with_the_chain()
    assert breaks(started) == []


def breaks(rail: OpenRail) -> list[str]:
    """Return the ids of the breaks between the contracts' totals and the ledger."""
    with rail.store.read() as session:
        result = reconcile_store(
            session, rail.iban, rail.clock, partial(contract_totals, rail.chain)
        )
    return [item.ids[0] for item in result.breaks if item.ids and "total:" in str(item.ids[0])]


def run(rail: OpenRail, *words: str):
    return CLI.invoke(cli.app, ["waterfall", *words, "--home", str(rail.home)])


def waterfall(rail: OpenRail, *words: str):
    result = run(rail, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def refused(rail: OpenRail, *words: str) -> str:
    result = run(rail, *words, "--json")
    assert result.exit_code == 2, result.output
    return json.loads(result.output)["error"]["message"]


def created(rail: OpenRail, name: str, *words: str) -> str:
    """Create a waterfall of a roof and return its address, once the rail has read of it."""
    shares = ("--holder", "Dach GbR=25", "--holder", "Stadtwerke=75")
    address = waterfall(rail, "create", name, *shares, *words)["address"]
    rail.work(3)
    return address


def earned(rail: OpenRail, device: str, payee: str, kwh: str) -> None:
    """A device's payment to a payee is settled, and released once its window is over."""
    rail.join(device, 5_000, payee=payee)
    rail.charge(device, kwh)
    rail.until(device, "posted")
    rail.work(6, 30)
    assert rail.payment(device).release_tx


def balances(rail: OpenRail) -> dict[str, int]:
    with rail.store.read() as session:
        sums = store_ledger.balances(session)
    return {account: -total for (account, asset), total in sums.items() if asset == TEUR and total}


def until_booked(rail: OpenRail, own: dict[str, str]) -> None:
    """Let the bank close its days, which are behind the chain's, until it has booked payouts."""
    for _ in range(60):
        with rail.store.read() as session:
            stages = {payouts.get(session, payout).stage for payout in own}
        if stages == {"booked"}:
            return
        rail.close_day()
        rail.work(1)
    raise AssertionError(f"the bank has not booked the payouts: {stages}")


def address_of(name: str) -> str:
    return keystore.development_account(PEOPLE[name]).address


def holder(view: dict, name: str) -> dict:
    return next(row for row in view["holders"] if row["name"] == name)


def test_create__dry_run_first__shows_the_call_and_where_it_would_be(rail):
    shares = ("--holder", "Stadtwerke=75", "--holder", "Dach GbR=25")
    senior = ("--senior", "Sparkasse", "--senior-share", "20", "--senior-limit", "1500.00")
    tried = waterfall(rail, "create", "Roof 0", *shares, *senior, "--dry-run")
    [call] = tried["calls"]
    assert (tried["sent"], call["contract"], call["function"]) == (False, "Waterfalls", "create")
    assert call["arguments"]["terms"]["seniorLimit"] == 1_500_000_000
    assert sorted(call["arguments"]["terms"]["shares"]) == [2_500, 7_500]
    assert waterfall(rail, "list") == [] or "Roof 0" not in str(waterfall(rail, "list"))
    made = waterfall(rail, "create", "Roof 0", *shares, *senior)
    assert (made["sent"], made["address"]) == (True, tried["address"])
    rail.work(3)
    [row] = [item for item in waterfall(rail, "list") if item["name"] == "Roof 0"]
    assert row["address"] == made["address"] and row["senior"]["share_bps"] == 2_000
    text = run(rail, "list").output
    assert "first Sparkasse 20 %" in text and "Stadtwerke 75 %" in text
    again = waterfall(rail, "create", "Roof 0", *shares, *senior)
    assert (again["sent"], again["already"], again["calls"]) == (False, True, [])
    assert "nothing was sent" in run(rail, "create", "Roof 0", *shares, *senior).output


def test_create__killed_after_it_was_sent__is_a_payee_once_it_is_given_again(rail, monkeypatch):
    """Its party was never stored, and the command refused what was there."""
    from orchestrator.operations import waterfalls

    words = ("create", "Roof 16", "--holder", "Dach GbR=100")
    with monkeypatch.context() as killed:
        killed.setattr(waterfalls, "save_party", lambda *_: sys.exit(9))
        assert run(rail, *words).exit_code == 9
    again = waterfall(rail, *words)
    assert (again["sent"], again["already"]) == (False, True)
    with rail.store.read() as session:
        assert agreements.party(session, again["address"]).name == "Roof 16"
    rail.work(3)


def test_create__name_of_a_party__is_refused_as_neither_could_be_named(rail):
    """A roof took the name of a payee, and no command found either by its name."""
    text = refused(rail, "create", "Stadtwerke", "--holder", "Dach GbR=100")
    assert address_of("Stadtwerke") in text and "nothing was sent" in text
    created(rail, "Roof 17")
    assert "Roof 17" in refused(rail, "create", "Roof 17", "--holder", "Dach GbR=100")


def test_show__waterfall_of_a_stranger_with_the_same_name__is_the_own_one(rail):
    """Anyone creates waterfalls on chain, of any name."""
    roof = created(rail, "Roof 18")
    terms = (
        b"Roof 18".ljust(32, b"\0"),
        "0x" + "00" * 20,
        0,
        0,
        [address_of("Sparkasse")],
        [10_000],
    )
    rail.send(9, Call("Waterfalls", "create", (terms,)))
    rail.work(3)
    assert len([item for item in waterfall(rail, "list") if item["name"] == "Roof 18"]) == 2
    assert waterfall(rail, "show", "Roof 18")["address"] == roof
    assert f"Roof 18  {roof}\n" in run(rail, "show", "Roof 18").output  # to be copied


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--holder", "Dach GbR=25"), "sum to 10000 basis points (100 percent), and not to 2500"),
        (("--holder", "Dach GbR=50", "--holder", "Dach GbR=50"), "listed twice"),
        (("--holder", "Dach GbR=0.001"), "is not a share in percent"),
        (("--holder", "Dach GbR"), "is not a holder with its share"),
        (("--holder", "Nobody=100"), "There is no party 'Nobody'"),
        (("--holder", "Dach GbR=100", "--senior", "Sparkasse"), "a share of at most 100 percent"),
    ],
)
def test_create__bad_terms__are_refused_before_anything_is_sent(rail, words, sentence):
    assert sentence in refused(rail, "create", "Roof X", *words)


def test_create__name_too_long__is_refused(rail):
    text = refused(rail, "create", "ü" * 17, "--holder", "Dach GbR=100")
    assert "1 to 32 bytes" in text


def test_take__payments_of_two_devices__reach_each_holder_s_bank_account(rail):
    roof = created(rail, "Roof 1")
    earned(rail, "roof-1a", roof, "3")
    earned(rail, "roof-1b", roof, "2.1")
    view = waterfall(rail, "show", "Roof 1")
    total = int(view["released_at_the_rail"]["amount"])
    assert total == int(5.1 * PRICE) and view["received"]["amount"] == "0"
    dach, works = (holder(view, name) for name in ("Dach GbR", "Stadtwerke"))
    assert int(dach["can_take"]["amount"]) == total // 4
    assert int(works["can_take"]["amount"]) == total * 3 // 4
    tried = waterfall(rail, "take", "Roof 1", "--as", "Dach GbR", "--dry-run")
    [call] = tried["calls"]
    assert (tried["sent"], call["function"], call["to"]) == (False, "payOut", roof)
    assert call["arguments"] == {"holder": address_of("Dach GbR")}
    sent = waterfall(rail, "take", "Roof 1", "--as", "Dach GbR")
    paid = total // 4 // 10_000
    assert holder(sent["after"], "Dach GbR")["taken"]["amount"] == str(paid * 10_000)
    rail.work(4)
    books = balances(rail)
    person, other = address_of("Dach GbR"), address_of("Stadtwerke")
    assert books.get(ledger.share(roof, person), 0) == total // 4 - paid * 10_000
    assert books[ledger.share(roof, other)] == total * 3 // 4
    waterfall(rail, "take", "roof 1", "--as", other, "--by-rail")
    rail.work(4)
    with rail.store.read() as session:
        rows = [r for r in payouts.all_payouts(session) if r.payee in (person, other)]
    assert sorted(row.cents for row in rows) == sorted([paid, total * 3 // 4 // 10_000])
    [income] = waterfall(rail, "income", "Roof 1")
    assert {p["payment"] for p in income["payments"]} == {
        rail.payment(device).payment_id for device in ("roof-1a", "roof-1b")
    }
    parts = {part["name"]: int(part["amount"]) for part in income["parts"]}
    assert parts == {"Dach GbR": total // 4, "Stadtwerke": total * 3 // 4}
    assert (income["amount"]["amount"], income["debts_paid"]["amount"]) == (str(total), "0")
    assert "roof-1a" in run(rail, "income", "Roof 1").output
    own = {row.payout_id: row.payee for row in rows}
    until_booked(rail, own)
    with rail.store.read() as session:
        result = reconcile_store(session, rail.iban, rail.clock)
    plain = {payout.removeprefix("0x") for payout in own}
    matched = {identity for item in result.matches for identity in item.ids}
    assert plain <= {identity.removeprefix("0x") for identity in matched}
    named = [item for item in result.breaks if plain & {str(i) for i in item.ids}]
    assert [item for item in named if not item.closed] == []
    traced(rail, roof, total)


def traced(rail: OpenRail, roof: str, total: int) -> None:
    """Each payment leads to both holders' parts and to the bank's lines about their payouts."""
    for device in ("roof-1a", "roof-1b"):
        words = ["trace", rail.payment(device).payment_id, "--home", str(rail.home)]
        share = json.loads(CLI.invoke(cli.app, [*words, "--json"]).output)["life"]["share"]
        assert share["waterfall"]["address"] == roof
        assert share["came_in"]["amount"] == str(total)  # both were taken in at once
        parts = {part["holder"]["name"]: part for part in share["holders"]}
        for name, micro in (("Dach GbR", total // 4), ("Stadtwerke", total * 3 // 4)):
            [payout] = parts[name]["payouts"]
            assert (parts[name]["amount"], parts[name]["as_tokens"]) == (str(micro), False)
            lines = {line["amount"] for line in payout["statement_lines"]}
            assert lines == {f"-{micro // 10_000}"}
        text = CLI.invoke(cli.app, words).output
        assert "Roof 1 took in" in text
        assert "of it for Dach GbR" in text


def test_take__tokens__go_to_the_holder_s_wallet_account_and_can_be_redeemed(rail):
    roof = created(rail, "Roof 2")
    earned(rail, "roof-2", roof, "1.7")
    person, total = address_of("Dach GbR"), int(1.7 * PRICE)
    before = balances(rail).get(ledger.holder(person), 0)
    waterfall(rail, "take", "Roof 2", "--as", "Dach GbR", "--tokens")
    rail.work(4)
    assert balances(rail)[ledger.holder(person)] == before + total // 4
    with rail.store.read() as session:
        holders = trace(session, rail.payment("roof-2").payment_id)["life"]["share"]["holders"]
    parts = {part["holder"]["address"]: part for part in holders}
    assert (parts[person]["as_tokens"], parts[person]["payouts"]) == (True, [])
    assert not parts[address_of("Stadtwerke")]["as_tokens"]  # it has taken nothing yet
    assert "too little to take" in refused(rail, "take", "Roof 2", "--as", "Dach GbR", "--tokens")
    assert "is no holder" in refused(rail, "take", "Roof 2", "--as", "Sparkasse")
    account = bytes.fromhex("11" * 32)
    rail.send(PEOPLE["Dach GbR"], Call("EuroToken", "redeem", (person, account, 10_000)))
    rail.work(4)
    assert balances(rail)[ledger.holder(person)] == before + total // 4 - 10_000


def test_show__matured_money__is_released_and_taken_in_one_command(rail):
    senior = ("--senior", "Sparkasse", "--senior-share", "100", "--senior-limit", "0.25")
    roof = created(rail, "Roof 3", *senior)
    rail.join("roof-3", 5_000, payee=roof)
    rail.charge("roof-3", "1")
    rail.until("roof-3", "posted")
    rail.mine(120)  # its window is over, and the rail has not looked yet
    view = waterfall(rail, "show", "Roof 3")
    assert (view["matured_at_the_rail"]["amount"], view["released_at_the_rail"]["amount"]) == (
        str(PRICE),
        "0",
    )
    sent = waterfall(rail, "take", "Roof 3", "--as", "Sparkasse")
    assert [call["function"] for call in sent["calls"]] == ["release", "payOut"]
    after = sent["after"]
    assert holder(after, "Sparkasse")["taken"]["amount"] == "250000"
    assert holder(after, "Stadtwerke")["can_take"]["amount"] == str((PRICE - 250_000) * 3 // 4)
    text = run(rail, "show", "Roof 3").output
    assert "first" in text and "0.250000" in text


def test_attack__donation_and_a_stranger_s_waterfall__stay_in_the_books(rail):
    """Anyone may send tokens to a waterfall, or create one over somebody's wallet."""
    roof = created(rail, "Roof 4")
    mint = (bytes.fromhex("0d" * 32), address_of("Sparkasse"), 80_000)
    rail.send(MINTER, Call("EuroToken", "mint", mint))
    rail.send(PEOPLE["Sparkasse"], Call("EuroToken", "transfer", (roof, 70_001)))
    rail.work(4)
    books = balances(rail)
    assert books[ledger.share(roof, address_of("Stadtwerke"))] == 52_500
    assert books[ledger.undivided(roof)] == 1
    [income] = waterfall(rail, "income", "Roof 4")
    assert (income["from"], income["payments"]) == (address_of("Sparkasse"), [])
    assert "sent by" in run(rail, "income", "Roof 4").output
    owners = sorted([rail.payer.address, rail.chain.deployment.addresses["PaymentRail"]])
    terms = (bytes(32), "0x" + "0" * 40, 0, 0, owners, [1, 9_999])
    rail.send(PEOPLE["Sparkasse"], Call("Waterfalls", "create", (terms,)))
    rail.work(4)
    assert breaks(rail) == []


def test_rebuild__every_entry_of_waterfalls__is_made_again(rail):
    roof = created(rail, "Roof 5")
    earned(rail, "roof-5", roof, "1")
    waterfall(rail, "take", "Roof 5", "--as", "Stadtwerke", "--tokens")
    rail.work(4)
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.differences == []


def test_reconcile__ledger_that_gives_a_holder_too_much__names_the_sub_account(rail):
    roof = created(rail, "Roof 6")
    credit = bytes.fromhex("0e" * 32)
    rail.send(MINTER, Call("EuroToken", "mint", (credit, roof, 40_000)))
    rail.work(4)
    assert breaks(rail) == []
    wrong = partial(contract_totals, rail.chain)
    people = (address_of("Dach GbR"), address_of("Stadtwerke"))

    def swapped(*args):
        totals = wrong(*args)
        first, second = (ledger.share(roof, person) for person in people)
        totals.outside[first], totals.outside[second] = (
            totals.outside[second],
            totals.outside[first],
        )
        return totals

    with rail.store.read() as session:
        result = reconcile_store(session, rail.iban, rail.clock, swapped)
    named = {str(item.ids[0]) for item in result.breaks if item.ids}
    assert {f"total:{ledger.share(roof, person)}" for person in people} <= named
