"""A fleet's agreement on a real chain: one claim a period for all of its meters.

Records, rail, oracles, contracts, bank and books are real; only all of it runs in this process.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from device_adapters.types import Rejected
from orchestrator import cli
from orchestrator.core.registration import RegistrationReason
from orchestrator.edges.store import citations, payments
from orchestrator.products import products, refusal_text
from orchestrator.rebuild import rebuild
from orchestrator.steps.reconcile import reconcile_store
from orchestrator.views import payment as payment_view
from tests.support.fleet_rail import FLEET, HEAD, FleetRail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
RULES = products()[FLEET]
PRICE = 300_000  # micro-euro a kWh


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRail]:
    """Two periods, played once: m-0005 is silent in the first, m-0003 too late for it."""
    rail = FleetRail(tmp_path_factory.mktemp("fleet") / "home")
    rail.start()
    yield rail
    rail.stop()


def run(rail: FleetRail, *arguments: str) -> Any:
    done = CliRunner().invoke(cli.app, ["--home", str(rail.home), *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def shown(rail: FleetRail, *arguments: str) -> str:
    done = CliRunner().invoke(cli.app, ["--home", str(rail.home), *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def facts(row: payments.PaymentRow) -> Any:
    return RULES.decode_facts(bytes.fromhex(row.facts[2:]))


def test_fleet__two_periods__are_two_payments_and_late_energy_is_in_the_second(fleet):
    rail = fleet
    rail.fund(HEAD, 20_000)
    rail.work(4)
    end = rail.next_period()
    kwh = {"m-0001": "1.5", "m-0002": "2", "m-0004": "0.25"}
    records = [rail.read(name, amount, end - 60) for name, amount in kwh.items()]
    late = rail.read("m-0003", "2", end - 120)
    assert rail.deliver(*records, rail.close(end)) == ["accepted"] * 4
    first = rail.until(1, "posted")
    assert first.amount_micro == 3.75 * PRICE
    assert rail.deliver(late) == ["accepted"]
    rail.work(4)
    end = rail.next_period()
    records = [rail.read(name, "1", end - 30) for name in rail.meters[:4]]
    assert rail.deliver(*records, rail.close(end)) == ["accepted"] * 5
    of_both_periods = rail.read("m-0005", "4", end - 45)
    # by HTTP: the oracles get it from the rail, when they lack it
    assert rail.deliver(of_both_periods, oracles=False) == ["accepted"]
    second = rail.until(2, "posted")
    assert second.amount_micro == (4 + 2 + 4) * PRICE
    claims = facts(first), facts(second)
    assert claims[1].rows == claims[0].rows_after
    assert [step.counters for step in claims[0].steps].count(0) == 2
    with rail.store.read() as session:
        used = [citations.cited_by(session, [row.payment_id]) for row in (first, second)]
    bodies = [[record.body for record in next(iter(item.values()))] for item in used]
    assert list(map(len, bodies)) == [3, 5] and late not in [*bodies[0], *bodies[1]]


def test_books__of_a_fleet__add_up_and_are_made_again_from_raw_material(fleet):
    rail = fleet
    rail.until_reconciled(2)
    again = rebuild(rail.store, rail.chain)
    assert again.same, again.differences[:3]
    assert again.read["claims"] == again.read["prices"] == 2
    with rail.store.read() as session:
        assert not reconcile_store(session, rail.iban).breaks


@pytest.mark.parametrize("sequence", [1, 2])
def test_bundle__of_a_fleet_s_payment__is_verified_from_its_records_alone(
    fleet, tmp_path, sequence
):
    payment, file = fleet.until(sequence, "reconciled").payment_id, str(tmp_path / "bundle.json")
    run(fleet, "audit", "export", payment, "-o", file)
    report = run(fleet, "audit", "verify", file)
    assert report["ok"] and report["complete"]
    bundle = json.loads(Path(file).read_text())
    assert len(bundle["devices"]) == len(bundle["supporting"]) + 1


# --- what people see


def test_trace__of_a_fleet_s_payment__counts_what_it_does_not_list(fleet, monkeypatch):
    payment = fleet.until(2, "reconciled").payment_id
    assert "5 records of m-" in shown(fleet, "trace", payment)
    monkeypatch.setattr(payment_view, "SHOWN", 4)
    monkeypatch.setattr("orchestrator.commands.trace._RECORDS_SHOWN", 2)
    monkeypatch.setattr("orchestrator.commands.trace._DEVICES_NAMED", 4)
    tree = " ".join(shown(fleet, "trace", payment).replace("│", "").split())
    assert "cited or heard: 5 records of 5 devices" in tree
    assert "... 3 more; --json shows 4, `proofrail audit export` all of them" in tree
    assert "5 read, 0 silent" in tree
    life = run(fleet, "trace", payment)["life"]
    assert life["supporting_total"] == {"records": 5, "devices": 5}
    assert len(life["supporting"]) == 4


def test_meters__of_a_payment__are_a_table_for_the_annex_of_an_invoice(fleet, tmp_path):
    payment, file = fleet.until(1, "reconciled").payment_id, tmp_path / "meters.csv"
    printed = shown(fleet, "payment", "meters", payment, "-o", str(file))
    assert "5 meters, 2 silent: 3.750 kWh" in printed
    rows = {row["device"]: row for row in csv.DictReader(file.open())}
    assert sorted(rows) == fleet.meters
    assert (rows["m-0001"]["energy"], rows["m-0005"]["energy"]) == ("1.500", "0.000")
    assert (rows["m-0002"]["register_before"], rows["m-0002"]["register"]) == (*("5.000", "7.000"),)
    assert (rows["m-0002"]["counter_before"], rows["m-0002"]["counter"]) == ("0", "1")
    view = run(fleet, "payment", "meters", payment)
    assert view["energy"] == 3_750 and view["meters"][0]["read_at"] % 60 == 0


def test_show__agreement_of_a_fleet__has_its_meters_in_a_line_and_its_payments(fleet):
    view = run(fleet, "agreement", "show", fleet.agreements[HEAD])
    assert view["terms"]["meters"].startswith("5, together 25 kWh")
    assert view["payments"] == {"reconciled": 2} and view["newest"]["sequence"] == 2
    assert "2, 4.125000 tEUR: 2 reconciled" in shown(
        fleet, "agreement", "show", fleet.agreements[HEAD]
    )


def test_statement__of_its_payee__has_one_movement_a_payout(fleet):
    view = run(fleet, "party", "statement", "Ladepunkt Nord eG")
    moved = [(row["kind"], row["amount_micro"]) for row in view["entries"]]
    assert [amount for kind, amount in moved if kind == "settled"] == [3.75 * PRICE, 10 * PRICE]
    assert len(moved) == 4  # and a payout for each


def test_open__meter_that_pays_by_its_own_agreement__is_refused_before_anything_is_sent(fleet):
    fleet.enrol(["cp-own", "head-2"])
    fleet.agree("cp-own")
    with pytest.raises(Rejected) as refusal:
        fleet.open_fleet(["cp-own"], head="head-2")
    assert refusal.value.reason == RegistrationReason.DEVICE_CHARGED_ELSEWHERE
    assert refusal.value.detail.startswith("cp-own: agreement 0x")
    assert "head-2" not in fleet.agreements
    with pytest.raises(Rejected) as refusal:
        fleet.open_fleet(["m-new", "m-newer"], head="head-2")
    assert refusal.value.reason == RegistrationReason.DEVICE_NOT_ACTIVE
    fleet.enrol(["m-new", "m-newer"], owner=fleet.payer.address)
    with pytest.raises(Rejected) as refusal:
        fleet.open_fleet(["m-new", "m-newer"], head="head-2")
    assert refusal.value.reason == RegistrationReason.OWNER_DIFFERS
    assert "m-new" in refusal.value.detail and fleet.payee.address in refusal.value.detail
    with pytest.raises(Rejected):
        fleet.agree("m-0002")


# --- a rail that lies


def test_attack__rail_claims_from_false_rows__the_contract_refuses_it_and_nothing_is_lost(
    fleet, monkeypatch
):
    """The oracles vouch for the step; the contract has the rows. Then payer and payee go on."""
    rail, held, last = fleet, fleet.escrow(), facts(fleet.until(2, "reconciled"))
    end = rail.next_period()
    steps = tuple(step._replace(energy=step.energy - 500) for step in last.steps)
    with monkeypatch.context() as lie:  # each meter is half a kilowatt-hour back
        false = RULES.encode_facts(last._replace(steps=steps))
        lie.setattr(payments, "facts_before", lambda *_: false)
        rail.deliver(rail.read("m-0001", "1", end - 60), rail.close(end))
        refused = rail.until(3, "refused")
    assert refusal_text(FLEET, refused.reason).endswith("(RowsUnknown)")
    assert facts(refused).energy == 1_500 and rail.escrow() == held
    rail.skip()
    end = rail.next_period()
    rail.deliver(rail.read("m-0002", "5", end - 60), rail.close(end))
    only_read = rail.until(4, "posted")
    assert only_read.amount_micro == 0 and facts(only_read).kind == RULES.FleetKind.READ
    end = rail.next_period()
    rail.deliver(rail.read("m-0001", "1", end - 60), rail.close(end))
    assert rail.until(5, "posted").amount_micro == 2 * PRICE
    assert rail.escrow() == held - 2 * PRICE
    rail.work(3)
    again = rebuild(rail.store, rail.chain)
    assert again.same, again.differences[:3]
