"""Devices keep their records until the rail's own receipt, no matter what happens meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.topics import acknowledgements_topic, receipts_topic
from orchestrator.core.later_outcome import acknowledgement
from orchestrator.core.receipt import ReceiptRecord, Receipts, public_key_of
from orchestrator.edges.broker import credentials
from orchestrator.edges.store import later_outcomes
from orchestrator.ingest.inlet_loop import InletLoop
from orchestrator.ingest.outcome_sender import OutcomeSender
from orchestrator.steps.collect import collect
from services.simulated_devices.faults import Fault, commit
from services.simulated_devices.fleet import Fleet
from services.simulated_devices.record import counter_of, evidence_of
from tests.support.bare_rail import BareRail
from tests.support.broker_process import HOST, PATIENCE_S, ROOT, BrokerProcess, take, until


def _receipts() -> Receipts:
    key = ec.generate_private_key(ec.SECP256R1())
    return Receipts(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


class AcceptingRail:
    """Answers "accepted" to each new record and "duplicate" to others; stores all in `records`."""

    def __init__(self, broker: BrokerProcess, receipts: Receipts) -> None:
        self._receipts, self.records = receipts, []
        self.inlet = broker.inlet()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for batch in self.inlet.batches():
            out = []
            for message in batch:
                answers = [self._answer(record) for record in message.body.split(b"\n")]
                receipt = self._receipts.sign(message.device, answers, int(time.time()))
                out.append((receipts_topic(message.device), receipt))
            self.inlet.publish_many(out)

    def _answer(self, record: bytes) -> ReceiptRecord:
        outcome = "duplicate" if record in self.records else "accepted"
        self.records.append(record)
        return ReceiptRecord(evidence_of(record).hex(), None, outcome, "0x01")

    def close(self) -> None:
        self.inlet.close()
        self._thread.join(PATIENCE_S)


@pytest.fixture
def broker(tmp_path):
    process = BrokerProcess(tmp_path).start()
    yield process
    process.end()


def _fleet(broker: BrokerProcess, receipts: Receipts, **named) -> Fleet:
    fleet = Fleet(broker.home, seed=7, receipt_key_pem=receipts.public_pem, **named)
    fresh = [d.name for d in fleet.devices.values() if not (d.folder / "password").exists()]
    given = credentials.issue_many(broker.home, fresh, "device")
    assert fleet.connect(HOST, broker.port, given, PATIENCE_S) == []
    return fleet


def test_records__without_a_rail_and_across_a_restart__kept_until_the_receipt(broker):
    receipts = _receipts()
    fleet = _fleet(broker, receipts)
    records_by_device = {name: d.make_records(3) for name, d in fleet.devices.items()}
    for name, device in fleet.devices.items():
        device.publish(records_by_device[name])
        assert device.collect(timeout_s=0.1) == 0
    fleet.close()

    again = _fleet(broker, receipts)
    assert {name: d.unreceipted() for name, d in again.devices.items()} == records_by_device
    rail = AcceptingRail(broker, receipts)
    assert again.until_receipted(PATIENCE_S, resend_after_s=0.5)
    assert again.totals()["unreceipted"] == 0
    for name, device in again.devices.items():
        assert set(device.outcomes) == {
            evidence_of(record).hex() for record in records_by_device[name]
        }
    assert {record for records in records_by_device.values() for record in records} <= set(
        rail.records
    )
    again.close()
    rail.close()


def test_records__broker_killed_before_anyone_saw_them__reach_the_rail(broker):
    receipts = _receipts()
    fleet = _fleet(broker, receipts, charge_points=1, meters=0)
    device = fleet["cp-0001"]
    records = device.make_records(5)
    device.publish(records)
    broker.kill()
    broker.start()
    rail = AcceptingRail(broker, receipts)
    assert fleet.until_receipted(PATIENCE_S, resend_after_s=0.5)
    assert set(rail.records) == set(records)
    assert device.unreceipted() == []
    fleet.close()
    rail.close()


def test_records__taken_by_a_rail_that_then_lost_them__sent_again(broker):
    receipts = _receipts()
    forgetful = broker.inlet()
    fleet = _fleet(broker, receipts, charge_points=1, meters=0)
    device = fleet["cp-0001"]
    records = device.make_records(5)
    device.publish(records)
    broker.position = take(forgetful, b"\n".join(records))[-1].position
    forgetful.close()
    rail = AcceptingRail(broker, receipts)
    assert fleet.until_receipted(PATIENCE_S, resend_after_s=0.5)
    assert set(rail.records) == set(
        records
    )  # a record may come twice: sent again before its receipt arrived
    assert device.outcomes == {evidence_of(record).hex(): "accepted" for record in records}
    fleet.close()
    rail.close()


def test_receipts__of_another_key_or_for_another_device__answer_nothing(broker):
    receipts, stranger = _receipts(), _receipts()
    fleet = _fleet(broker, receipts, charge_points=2, meters=0)
    device, rail = fleet["cp-0001"], broker.inlet()
    (record,) = device.session("7.25")
    answer = [ReceiptRecord(evidence_of(record).hex())]
    topic = receipts_topic(device.name)
    bad = [stranger.sign(device.name, answer, 1), receipts.sign("cp-0002", answer, 1), b"junk"]
    rail.publish_many([(topic, receipt) for receipt in bad])
    assert until(lambda: device.collect(0.1) or len(device.refused_receipts) == len(bad))
    assert device.unreceipted() == [record]
    assert set(device.refused_receipts) == {
        "receipt_other_key",
        "other_device",
        "receipt_malformed",
    }
    rail.publish_many([(topic, receipts.sign(device.name, answer, 1))])
    assert until(lambda: device.collect(0.1))
    assert device.unreceipted() == []
    assert set(device.answers(record)) == {"accepted"}
    fleet.close()


def test_faults__each_on_demand__arrive_as_they_are_or_not_at_all(broker):
    receipts = _receipts()
    rail = AcceptingRail(broker, receipts)
    fleet = _fleet(broker, receipts, charge_points=2, meters=1)
    for device in (fleet["cp-0001"], fleet["meter-0001"]):
        sent = {fault: commit(fault, device, other="cp-0002") for fault in Fault}
        closing = device.make_records(1)
        device.publish(closing)
        assert until(lambda c=closing: c[0] in rail.records)
        assert sent[Fault.FOREIGN_TOPIC][0] not in rail.records
        seen = [f for f in Fault if f not in (Fault.FOREIGN_TOPIC, Fault.RETAINED)]
        for fault in seen:
            assert until(lambda records=sent[fault]: set(records) <= set(rail.records)), fault
        old, new = sent[Fault.REPLAY]
        assert counter_of(old) == counter_of(new)
        later, earlier = sent[Fault.OUT_OF_ORDER]
        assert rail.records.index(later) < rail.records.index(earlier)
        twice = sent[Fault.DUPLICATE][0]
        assert until(lambda d=device, r=twice: [d.collect(), len(d.answers(r)) > 1][1])
        assert device.answers(twice)[:2] == ["accepted", "duplicate"]
    assert fleet.until_receipted(PATIENCE_S, resend_after_s=1)
    fleet.close()
    rail.close()


def test_simulator__as_a_process__answers_with_its_totals(broker):
    receipts = _receipts()
    rail = AcceptingRail(broker, receipts)
    key = broker.home / "receipt.pem"
    key.write_bytes(receipts.public_pem)
    command = [sys.executable, "-m", "scripts.simulate_devices", "--home", str(broker.home)]
    command += ["--broker-port", str(broker.port), "--receipt-key", str(key), "--seed", "3"]
    command += ["--issue-passwords", "--rounds", "2", "--records", "10", "--pause", "0"]
    command += ["--patience", str(PATIENCE_S)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE_S
    )
    rail.close()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {"away": [], "accepted": 80, "unreceipted": 0}
    for secret in ("key.pem", "password", "journal.sqlite3"):
        mode = os.stat(broker.home / "devices" / "cp-0001" / secret).st_mode
        assert mode & 0o777 == 0o600


class OutcomeRail:
    """A rail of this test at a real broker: intake, rules and the sender of outcomes.

    The sender takes a turn when the test says so, on the clock of `bare`.
    """

    def __init__(self, broker: BrokerProcess, bare: BareRail, receipts: Receipts) -> None:
        self._bare, broker.position = bare, bare.place.intake.log_position()
        self.inlet = broker.inlet(acknowledgements=True)
        given = receipts, lambda: bare.place.clock, bare.rail.log
        self._loop = InletLoop(self.inlet, bare.place.intake, *given)
        self.sender = OutcomeSender(bare.place.store, self.inlet, *given)
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def open(self, device: str) -> list[later_outcomes.LaterOutcomeRow]:
        with self._bare.place.store.read() as session:
            return list(later_outcomes.page(session, device, 0, 10_000, open_only=True))

    def send_later(self, seconds: int) -> int:
        self._bare.place.clock += seconds
        return self.sender.turn()

    def close(self) -> None:
        self.inlet.close()
        self._thread.join(PATIENCE_S)


def test_outcomes__device_away_rail_killed_ack_lost_stranger__all_arrive_once_in_order(
    broker, tmp_path
):
    receipts, bare = _receipts(), BareRail(tmp_path / "rail")
    device = bare.place.fleet["cp-0001"]
    device.receipt_key = public_key_of(receipts.public_pem)
    rail = OutcomeRail(broker, bare, receipts)
    link = device.connect(HOST, broker.port, broker.password(device.name, "device"))
    assert link.wait_ready(PATIENCE_S)
    records = [commit(Fault.IMPLAUSIBLE_READING, device)[0] for _ in range(200)]
    assert until(lambda: [device.collect(0.1)] and not device.unreceipted())
    assert set(device.outcomes.values()) == {"accepted"}
    link.close()

    collect(bare.rail)  # the rules drop them while the device is away
    rail.close()  # and the rail dies before it has sent anything
    rail = OutcomeRail(broker, bare, receipts)
    dropped = rail.open(device.name)
    assert [row.counter for row in dropped] == [counter_of(record) for record in records]
    assert rail.sender.turn() == 1
    assert [rail.send_later(s) for s in (29, 1, 59, 1)] == [0, 1, 0, 1]  # growing pauses

    stranger = broker.link("stranger")
    ids = [row.outcome_id for row in dropped]
    stranger.publish_raw(acknowledgements_topic(device.name), acknowledgement(ids), qos=1)
    stranger.acknowledge(acknowledgement(ids))  # as itself: these are not its outcomes
    stranger.publish(b"behind it")
    assert until(lambda: bare.place.stored()[2] == ["malformed"])
    assert len(rail.open(device.name)) == 200

    link = device.connect(HOST, broker.port)
    link.acknowledge = lambda body: None  # the acknowledgement is lost
    assert until(lambda: device.collect_outcomes(0.1))
    del link.acknowledge
    assert len(rail.open(device.name)) == 200
    device.ask_for_outcomes()
    assert until(
        lambda: [device.collect_outcomes(0.05), rail.send_later(1)] and not rail.open(device.name)
    )
    assert [evidence for evidence, _, _ in device.later_outcomes] == [
        evidence_of(record).hex() for record in records
    ]
    assert {outcome for _, outcome, _ in device.later_outcomes} == {"implausible_reading"}
    assert all(" mWh" in detail for _, _, detail in device.later_outcomes)
    assert device.refused_receipts == {}
    assert [rail.send_later(s) for s in (1, 60, 7 * 86_400)] == [0, 0, 0]
    broker.position = None  # an oracle reads the whole log, and no acknowledgement
    oracle = broker.inlet("oracle", "oracle")
    stranger.publish(b"last")
    assert {m.protocol for m in take(oracle, b"last")} == {"ocmf"}
    rail.close()
    bare.close()
