"""An answer that was not final is followed by another one, which is sent until it is taken."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlmodel import update

from device_adapters.topics import ACKNOWLEDGEMENT, outcomes_topic
from device_adapters.types import LogPosition, Message
from orchestrator.core.later_outcome import acknowledgement, read_outcomes
from orchestrator.core.payment import Fact
from orchestrator.core.receipt import Receipts, public_key_of
from orchestrator.edges.store import Store, evidence, later_outcomes, tables
from orchestrator.ingest.outcome_sender import OutcomeSender
from orchestrator.steps.collect import collect, verify
from orchestrator.views.trace import trace
from services.simulated_devices.faults import Fault, commit
from tests.support.bare_rail import BareRail
from tests.support.small_intake import joined

CP = "cp-0001"
RECEIPTS = Receipts(
    ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)


class BrokerAir:
    """Stands for the broker. `away`: it takes nothing."""

    def __init__(self) -> None:
        self.away, self.sent = False, []

    def publish_many(self, items: Iterable[tuple[str, bytes]]) -> int:
        new = [] if self.away else list(items)
        self.sent += new
        return len(new)

    def publish(self, body: bytes, protocol: str) -> bool:  # of a device
        return True


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Give a database with all tables: a copy is faster than the migrations."""
    path = tmp_path_factory.mktemp("empty") / "rail.sqlite3"
    Store(path).close()
    return path


@pytest.fixture
def bare(tmp_path, empty):
    shutil.copy(empty, tmp_path)
    bare_rail = BareRail(tmp_path, hole_patience_s=30)
    yield bare_rail
    bare_rail.close()


class OutcomeParts:
    """The sender of a rail with the air it sends into."""

    def __init__(self, bare: BareRail) -> None:
        self.bare, self.air = bare, BrokerAir()
        self.sender = OutcomeSender(
            bare.place.store, self.air, RECEIPTS, lambda: bare.place.clock, bare.rail.log
        )

    def drop(
        self, name: str = CP, count: int = 1, source: str = "mqtt", gateway: str = ""
    ) -> list[bytes]:
        """Take records that are accepted, and that a rule drops later."""
        device = self.bare.place.fleet[name]
        device.link = self.air
        absurd = [commit(Fault.IMPLAUSIBLE_READING, device)[0] for _ in range(count)]
        device.link = None
        sender = name if source == "mqtt" else ""
        messages = [Message("ocmf", sender, record, source=source) for record in absurd]
        assert self.bare.place.answers(*messages) == ["accepted"] * count
        with self.bare.place.store.write() as session:
            session.exec(update(tables.EventRow).values(gateway=gateway))
        collect(self.bare.rail)
        return absurd

    def after(self, seconds: int = 0) -> list[dict]:
        """Return the messages of a turn that many seconds later, verified."""
        self.bare.place.clock += seconds
        before = len(self.air.sent)
        self.sender.turn()
        key = public_key_of(RECEIPTS.public_pem)
        return [read_outcomes(b, key) | {"topic": t} for t, b in self.air.sent[before:]]

    def acknowledge(self, *ids: str, device: str = CP, source: str = "mqtt", **more) -> list:
        message = Message(ACKNOWLEDGEMENT, device, acknowledgement(ids), source=source, **more)
        return self.bare.place.take(message)[0]

    def open(self, device: str = CP) -> list[str]:
        with self.bare.place.store.read() as session:
            rows = later_outcomes.page(session, device, 0, 10_000, open_only=True)
        return [row.outcome_id for row in rows]


@pytest.fixture
def parts(bare):
    return OutcomeParts(bare)


def test_drop__of_an_accepted_record__is_stored_with_its_sentence_and_sent_signed(bare, parts):
    parts.drop()
    (message,) = parts.after()
    assert (message["topic"], message["device"]) == (outcomes_topic(CP), CP)
    (outcome,) = message["outcomes"]
    assert (outcome["device"], outcome["counter"]) == (CP, 1)
    assert outcome["outcome"] == "implausible_reading"
    assert "mWh in 3600 s is more than 22000 W" in outcome["detail"]
    with bare.place.store.read() as session:
        view = trace(session, outcome["evidence"])["about"]
    assert view["reason"] == "implausible_reading"
    (shown,) = view["outcomes"]
    assert (shown["detail"], shown["acknowledged_at"]) == (outcome["detail"], None)


def test_drop__whose_transaction_fails__leaves_no_outcome(bare, parts, monkeypatch):
    def refuse(*_):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(evidence, "drop", refuse)
    with pytest.raises(RuntimeError):
        parts.drop()
    assert parts.open() == [] and parts.after() == []


def test_outcome__not_acknowledged__is_sent_again_after_growing_pauses(parts):
    parts.drop()
    assert [len(parts.after(s)) for s in (0, 29, 1, 59, 1, 119, 1)] == [1, 0, 1, 0, 1, 0, 1]


def test_outcome__acknowledged__is_not_sent_again(parts):
    parts.drop()
    ((outcome,),) = [message["outcomes"] for message in parts.after()]
    assert parts.acknowledge(outcome["id"]) == []  # no receipt answers it
    assert [parts.after(s) for s in (1, 60, 7 * 86_400)] == [[], [], []]
    with parts.bare.place.store.read() as session:  # nor looked for any more
        assert later_outcomes.due(session, 2**40, 10) == []
    assert parts.acknowledge(outcome["id"]) == [] and parts.after() == []  # once more


def test_outcomes__more_than_a_message_holds__follow_each_acknowledgement_in_order(parts):
    records = parts.drop(count=200)
    counters, messages = [], 0
    (message,) = parts.after()
    while message:
        counters += [outcome["counter"] for outcome in message["outcomes"]]
        parts.acknowledge(*[outcome["id"] for outcome in message["outcomes"]])
        messages += 1
        message = next(iter(parts.after(1)), None)
    assert counters == list(range(1, 1 + len(records))) and messages > 1


def test_outcomes__two_messages_to_one_device__are_a_second_apart(parts):
    parts.drop()
    parts.after()
    for _ in range(5):  # a device that asks again and again
        parts.acknowledge()
        assert parts.after() == []
    assert len(parts.after(1)) == 1


def test_outcomes__device_asks__is_sent_them_without_waiting_for_its_pause(parts):
    parts.drop()
    for seconds in (0, 30, 60, 120):
        parts.after(seconds)
    assert parts.after(1) == []
    parts.acknowledge()
    assert len(parts.after(1)) == 1


def test_outcomes__broker_away__stay_due(parts):
    parts.drop()
    parts.air.away = True
    assert parts.after() == []
    parts.air.away = False
    assert len(parts.after()) == 1


def test_outcomes__not_signed_for_one_device__still_go_to_the_others(bare, parts, monkeypatch):
    sign = RECEIPTS.sign_payload

    def poisoned(payload, kind=""):
        if payload["device"] == CP:
            raise KeyError("ours")
        return sign(payload, kind)

    parts.drop()
    parts.drop("cp-0002")
    monkeypatch.setattr(RECEIPTS, "sign_payload", poisoned)
    assert [message["device"] for message in parts.after()] == ["cp-0002"]
    monkeypatch.undo()
    assert [message["device"] for message in parts.after(30)] == [CP, "cp-0002"]


def test_outcomes__of_a_device_behind_a_gateway__go_to_the_gateway_and_name_the_device(parts):
    """The gateway sent the record and has its receipt; the meter may have no connection at all."""
    parts.drop(gateway="gw-1")
    (message,) = parts.after()
    assert (message["topic"], message["device"]) == (outcomes_topic("gw-1"), "gw-1")
    (outcome,) = message["outcomes"]
    assert outcome["device"] == CP
    parts.acknowledge(outcome["id"])  # the meter itself was not sent it
    assert parts.open("gw-1") == [outcome["id"]]
    parts.acknowledge(outcome["id"], device="gw-1")
    assert parts.open("gw-1") == []


def test_outcomes__of_records_by_http__are_kept_for_reading_and_not_published(parts):
    """A device without a connection to the broker would only fill its log."""
    parts.drop(source="http")
    assert len(parts.open()) == 1 and parts.after() == []
    parts.acknowledge()  # it came to the broker after all
    assert len(parts.after(1)) == 1


@pytest.mark.parametrize(
    ("device", "source", "answers"),
    [("cp-0002", "mqtt", []), ("", "http", ["unknown_protocol"])],
)
def test_acknowledgement__of_another_or_by_http__changes_nothing(parts, device, source, answers):
    """Only the topic of the device authenticates it."""
    parts.drop()
    records = parts.acknowledge(*parts.open(), device=device, source=source)
    assert [record.outcome for record in records] == answers
    assert len(parts.open()) == 1


def test_acknowledgement__unreadable__is_a_rejection_and_the_records_behind_it_are_taken(bare):
    record = bare.place.fleet[CP].make_records(1)[0]
    outcomes = bare.place.take(Message(ACKNOWLEDGEMENT, CP, b"?"), joined([record], CP))
    assert [[r.outcome for r in records] for records in outcomes] == [["malformed"], ["accepted"]]


def test_acknowledgement__with_its_place_in_the_log__is_stored_in_one_commit(bare, parts):
    parts.drop()
    parts.acknowledge(*parts.open(), position=LogPosition("made", 7, "second 7"))
    assert parts.open() == []
    assert bare.place.intake.log_position() == LogPosition("made", 7, "second 7")


def test_outcome__of_a_restored_store__has_the_same_id(parts):
    """A backup from before the drop: the rules drop again, and the device knows the id."""
    parts.drop()
    first = parts.open()
    with parts.bare.place.store.write() as session:
        for table in ("lateroutcome", "outcomedelivery"):
            session.connection().exec_driver_sql(f"DELETE FROM {table}")
        session.connection().exec_driver_sql("UPDATE event SET reason = NULL WHERE counter = 1")
    parts.bare.place.clock += 100
    collect(parts.bare.rail)
    assert parts.open() == first


def test_payment__that_ends_unpaid_and_goes_on__is_an_outcome_of_each_of_its_records(bare, parts):
    device = bare.place.fleet[CP]
    bare.place.take(joined(device.session("5", split=True), CP))
    assert (collect(bare.rail), verify(bare.rail)) == (1, 1)
    bare.record(CP, Fact.ATTESTED, "d")
    assert parts.after() == []
    bare.record(CP, Fact.REFUSED, "block 1")
    bare.record(CP, Fact.ORPHANED, "block 1")
    bare.record(CP, Fact.REFUSED, "block 2")
    (message,) = parts.after()
    outcomes = [(outcome["counter"], outcome["outcome"]) for outcome in message["outcomes"]]
    refused = [(1, "payment_refused"), (2, "payment_refused")]
    assert outcomes == [*refused, (1, "accepted"), (2, "accepted"), *refused]
    assert {outcome["payment"] for outcome in message["outcomes"]} == {bare.payment(CP).payment_id}
