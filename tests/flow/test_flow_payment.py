"""Records become lines of a bank statement, totals agree, and any id leads to the payment."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from hashlib import sha256

import pytest

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from device_adapters.types import STREAM_BIT, Assurance, device_id, event_id
from orchestrator.core import ledger
from orchestrator.core.audit import verify
from orchestrator.core.audit.bundle import sealed as resealed
from orchestrator.core.payment import Stage
from orchestrator.core.receipt import public_key_of, read_receipt
from orchestrator.edges.store import agreements, bank_files, evidence, payments, payouts
from orchestrator.operations import gateways
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.demo import parties
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from tests.support import invariants
from tests.support.store_queries import newest_booked
from tests.support.whole_rail import AT_BANK, WholeRail

PRICES = {"cp": 489_900, "meter": 312_500}  # micro-euro per kWh, as scripts/demo/parties.py agrees


@pytest.fixture(scope="module")
def day(paid_rail: WholeRail) -> WholeRail:
    """A day of records, paid out and on the bank's statement of the day."""
    taken = len(_statements(paid_rail))
    assert paid_rail.stack.bank.close_day()["ok"]
    paid_rail.until(lambda: len(_statements(paid_rail)) > taken, "the statement of the day")
    return paid_rail


def _statements(rail: WholeRail) -> list[bank_files.BankStatementRow]:
    with rail.store.read() as session:
        return [row for row in bank_files.statements(session) if row.day is not None]


def _readings(record: bytes) -> list[int]:
    """Return the registers of a record in mWh, read without the project's adapters."""
    payload = json.loads(record.split(b"|")[1], parse_float=Decimal, parse_int=Decimal)
    return [int(reading["RV"] * 1_000_000) for reading in payload["RD"]]


def _owed(rail: WholeRail, name: str) -> int:
    """Return the value of a device's records by its agreement, in micro-euro."""
    registers = [_readings(record) for record in rail.sent[name]]
    if name.startswith("meter"):
        first = registers[0][-1]  # counting begins at the first reading
        energy = registers[-1][-1] - first
    else:
        first, energy = registers[0][0], sum(last - begin for begin, *_, last in registers)
    price = PRICES[name.split("-")[0]]
    return (first + energy) * price // 1_000_000 - first * price // 1_000_000


def test_records__of_a_whole_day__are_settled_paid_and_booked_to_the_unit(day):
    assert set(day.stages()) == {Stage.RECONCILED}
    applied = invariants.applied_claims(day)
    settled = {
        day.agreement(name).agreement_id: sum(
            amount
            for ((claim, amount),) in applied.values()
            if "0x" + claim.agreement.hex() == day.agreement(name).agreement_id
        )
        for name in day.funded
    }
    assert settled == {day.agreement(name).agreement_id: _owed(day, name) for name in day.funded}
    assert {row.payment_id: row.amount_micro for row in day.all_payments()} == {
        payment: charge.amount_micro for payment, (charge,) in applied.items()
    }
    orders = invariants.bank_rows(day, "SELECT iban, cents FROM orders")
    left = sum(log.args["amount"] for log in invariants.chain_logs(day, "PaymentRail", "Withdrawn"))
    for payee in parties.PAYEES:
        address = day.stack.party(payee.index).address
        rest = day.stack.chain.view("PaymentRail", "withdrawable", address)
        assert rest < ledger.MICRO_PER_CENT  # only a rest below a cent
        left += rest
        paid = sum(row["cents"] for row in orders if row["iban"] == parties.iban(payee))
        (balance,) = invariants.bank_rows(
            day, "SELECT SUM(cents) AS cents FROM lines WHERE account = ?", parties.iban(payee)
        )
        assert paid == balance["cents"] > 0
    total = sum(row["cents"] for row in orders) * ledger.MICRO_PER_CENT + left
    assert total == sum(settled.values())


def test_reconciliation__after_the_bank_closed_its_day__has_no_break_and_no_difference(day):
    reconciliation = day.reconciliation()
    assert reconciliation.breaks == ()
    assert reconciliation.difference_micro == 0
    assert reconciliation.supply_micro == reconciliation.balance_cents * ledger.MICRO_PER_CENT
    invariants.assert_all(day)


def _ids(rail: WholeRail) -> dict[str, str]:
    """Return one id of each kind that leads to a reconciled payment."""
    with rail.store.read() as session:
        payment = payments.by_ids(session, [newest_booked(session)])[0]
        payout = payouts.get(session, payment.payout_id)
        ((event, *_), *_) = evidence.of_payments(session, [payment.payment_id])[payment.payment_id]
        device = agreements.get(session, payment.agreement_id).device
    return {
        "event": event.event_id,
        "payment": payment.payment_id,
        "settlement": payment.settlement_tx,
        "payout": payout.payout_id,
        "EndToEndId": payout.end_to_end_id,
        "device": device,
    }


def test_trace__by_any_kind_of_id__leads_to_the_payment_and_unknown_ids_to_exit_code_1(day):
    ids = _ids(day)
    *traces, unknown = day.commands(
        *(["trace", identity, "--json"] for identity in ids.values()),
        ["trace", "0x" + "ab" * 32, "--json"],
    )
    for (kind, identity), output in zip(ids.items(), traces, strict=True):
        assert output.returncode == 0, (kind, output.stderr)
        trace = json.loads(output.stdout)
        assert trace["kind"] == {"EndToEndId": "payout"}.get(kind, kind)
        assert ids["payment"] in [row["payment_id"] for row in trace["payments"]], identity
    life = json.loads(traces[list(ids).index("payment")].stdout)["life"]
    assert life["events"] and life["statement_lines"] and life["payout"]
    assert unknown.returncode == 1, unknown.stdout
    assert "not_found" in unknown.stderr + unknown.stdout


def test_payment__of_zero__is_released_with_the_next_of_its_payee(day):
    """It leaves no money pending, so the contract refuses to release it alone."""
    idle = day.fleet["cp-0001"].session(0)
    day.sent["cp-0001"] += idle
    day.fleet["cp-0001"].publish(idle)
    day.until_receipted()
    day.until_settled()
    # its next try is then so late that it cannot coincide with the other payment
    day.until(lambda: _payment_of(day, idle[0]).attempts >= 1, "a look at a payment of nothing")
    assert _payment_of(day, idle[0]).reason.startswith(("goes with", "waits for tomorrow"))
    assert (_payment_of(day, idle[0]).stage, _payment_of(day, idle[0]).amount_micro) == (
        Stage.POSTED,
        0,
    )
    day.measure(1, ["cp-0002"])
    day.until_booked()
    assert _payment_of(day, idle[0]).stage in AT_BANK
    invariants.assert_all(day)


def _payment_of(rail: WholeRail, record: bytes) -> payments.PaymentRow:
    """Return the payment that contains a record."""
    with rail.store.read() as session:
        event = evidence.event_of_evidence(session, sha256(record).hexdigest())
        return payments.by_ids(session, [event.payment_id])[0]


METER, GATEWAY = "sml-0001", "gw-0001"  # a meter without a key, and the gateway that reads it


def _behind_gateway(rail: WholeRail) -> tuple[SimulatedMeter, str]:
    """Enrol the gateway and its meter, open and fund an agreement; return (the gateway, password).

    The agreement takes what a gateway stands for.
    """
    stack, ops = rail.stack, rail.stack.agreement_ops
    station = SimulatedMeter(stack.home / GATEWAY, GATEWAY, DeviceKind.CHARGE_POINT, None, 0)
    parties.enrol(stack, {GATEWAY: station}, [GATEWAY])
    owner, deployment = stack.party(2), stack.chain.deployment
    wanted = gateways.next_assignment(stack.chain, METER, GATEWAY, 0, 0)
    signature = gateways.sign(wanted, deployment, owner)
    ops.assign(gateways.SignedAssignment(METER, owner.address, wanted, signature))
    least = Assurance.GATEWAY.number
    terms = EnergyTerms(312_500, 24_000, continuous=True, assurance=least)
    mandate = parties.sign_mandate(
        stack,
        METER,
        products()["metered_energy"],
        parties.HOUSEHOLD,
        parties.UTILITY,
        terms=encode_terms(terms),
        first_counter=1 << STREAM_BIT,
    )
    (reference,) = parties.open_all(stack, [mandate])
    parties.transfer(stack, parties.HOUSEHOLD, 10_000, reference)
    return station, stack.issue_devices([GATEWAY])[GATEWAY]


def _sealed(station: SimulatedMeter, number: int, at: int, register: str) -> bytes:
    content = f'[{{"bn":"{METER}:","bt":{at},"n":"1-0:1.8.0","u":"kWh","v":{register}}}]'
    seal = SealClaims(GATEWAY, METER, (1 << STREAM_BIT) + number, at)
    key = (station.folder / "key.pem").read_bytes()
    return write_cose(seal, content_claims("senml", content.encode()), key)


def test_meter_without_a_key__behind_its_gateway__is_paid_and_its_bundle_verifies(day, tmp_path):
    """The gateway publishes on its own topic and gets the receipts there; the audit is offline."""
    station, password = _behind_gateway(day)
    began = int(time.time()) + 1  # after the assignment
    records = [_sealed(station, n, began + n, kwh) for n, kwh in ((1, "100.0"), (2, "100.2"))]
    day.until(lambda: time.time() > began + 3, "the time of the readings")
    broker = day.stack.broker
    link = DeviceLink(broker["host"], broker["port"], GATEWAY, password)
    try:
        assert link.wait_ready(60), link.refusal
        assert all(link.publish(record, "sealed") for record in records)
        answers: dict[str, str] = {}

        def answered() -> bool:
            key = public_key_of((day.stack.settings.keys / "receipt.pub.pem").read_bytes())
            for receipt in link.receipts(0.5):
                content = read_receipt(receipt, key)
                assert content["device"] == GATEWAY
                answers.update({row["evidence"]: row["outcome"] for row in content["records"]})
            return len(answers) == 2

        day.until(answered, "a receipt for each sealed record")
    finally:
        link.close()
    assert answers == {sha256(record).hexdigest(): "accepted" for record in records}
    day.until_booked()
    event = "0x" + event_id(device_id(METER), (1 << STREAM_BIT) + 2).hex()
    (traced,) = day.commands(["trace", event, "--json"])
    life = json.loads(traced.stdout)["life"]
    assert life["amount"] == "62500"  # micro-euro: 0.2 kWh
    assert {(row["assurance"], row["gateway"]) for row in life["events"]} == {("gateway", GATEWAY)}
    bundle = tmp_path / "bundle.json"
    (exported,) = day.commands(["audit", "export", life["payment_id"], "-o", str(bundle)])
    assert exported.returncode == 0, exported.stderr
    text, (checked,) = (
        bundle.read_text(),
        day.commands(["audit", "verify", str(bundle)], home=tmp_path / "none"),
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{GATEWAY} for {METER} (assurance: gateway)" in checked.stdout
    honest = json.loads(text)
    assert [entry["id"] for entry in honest["devices"]] == [
        "0x" + device_id(name).hex() for name in (METER, GATEWAY)
    ]
    for change, stage in (
        (lambda changed: changed["devices"].pop(), "evidence"),  # without the gateway's history
        (lambda changed: changed["devices"][0]["history"].clear(), "device_key"),
    ):
        changed = json.loads(text)
        change(changed)
        failed = verify(resealed(changed), products()).failed
        assert failed is not None and failed.stage == stage, failed
