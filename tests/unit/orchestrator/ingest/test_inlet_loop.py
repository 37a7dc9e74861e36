"""The inlet's loop: commit with the position in the log, then receipts; no message ends it."""

from __future__ import annotations

import threading
from dataclasses import replace
from hashlib import sha256

import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.types import MAX_RECORDS_PER_MESSAGE, LogPosition, Message
from orchestrator.core.receipt import ReceiptRecord, Receipts, public_key_of, read_receipt
from orchestrator.edges.broker.server import MAX_PAYLOAD_BYTES
from orchestrator.errors import Retry
from orchestrator.ingest.inlet_loop import InletLoop
from tests.support.small_intake import SmallIntake, joined

KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


class StandInInlet:
    """Stands for the inlet of the broker's log (tests/flow has the real one).

    calls: (name, items, number of events stored by then) of each call.
    """

    def __init__(self, place: SmallIntake, *batches: list[Message]) -> None:
        self.place, self.waiting = place, list(batches)
        self.calls: list[tuple[str, object, int]] = []

    def batches(self):
        yield from self.waiting

    def _note(self, what: str, items: object) -> None:
        self.calls.append((what, items, self.place.stored()[1]))

    def publish_many(self, items) -> int:
        self._note("receipts", list(items))
        return len(self.calls[-1][1])

    def names(self) -> list[str]:
        return [what for what, _, _ in self.calls]


def at(sequence: int, message: Message) -> Message:
    """Return the message as the broker's log gives it."""
    return replace(message, position=LogPosition("made", sequence, f"second {sequence}"))


def sequence_of(place: SmallIntake) -> int | None:
    position = place.intake.log_position()
    return position and position.sequence


@pytest.fixture
def place(tmp_path):
    small_intake = SmallIntake(tmp_path)
    yield small_intake
    small_intake.close()


def loop_of(place, inlet) -> InletLoop:
    # as the project's own log, it takes any text
    file = open("/dev/null", "a", errors="replace")  # noqa: SIM115
    log = structlog.wrap_logger(structlog.PrintLogger(file))
    return InletLoop(inlet, place.intake, Receipts(KEY), lambda: place.clock, log)


def run(place, *batches: list[Message]) -> tuple[StandInInlet, InletLoop]:
    inlet = StandInInlet(place, *batches)
    loop = loop_of(place, inlet)
    loop.run()
    return inlet, loop


def receipts_in(inlet: StandInInlet) -> list[dict]:
    key = public_key_of(Receipts(KEY).public_pem)
    return [
        read_receipt(body, key) | {"topic": topic}
        for what, items, _ in inlet.calls
        if what == "receipts"
        for topic, body in items
    ]


def poisoned(place, monkeypatch, poison: bytes, error: Exception) -> None:
    """Make our own code fail on one message, at any position of a batch."""
    take = place.intake.take

    def fail(messages):
        if any(message.body == poison for message in messages):
            raise error
        return take(messages)

    monkeypatch.setattr(place.intake, "take", fail)


def test_loop__a_batch__is_stored_with_its_position_and_then_answered(place):
    records = joined(place.fleet["cp-0001"].make_records(2), "cp-0001")
    inlet, loop = run(place, [at(7, records), at(9, Message("ocmf", "", b"?"))])
    assert [(what, stored) for what, _, stored in inlet.calls] == [("receipts", 2)]
    assert loop.taken == 3
    assert place.intake.log_position() == LogPosition("made", 9, "second 9")
    [receipt] = receipts_in(inlet)  # none for the message without an authenticated sender
    assert receipt["topic"] == "proofrail/cp-0001/receipts" and receipt["device"] == "cp-0001"
    assert [r["outcome"] for r in receipt["records"]] == ["accepted", "accepted"]


def test_loop__commit_does_not_happen__neither_receipt_nor_acknowledgement(place, monkeypatch):
    inlet = StandInInlet(place, [joined(place.fleet["cp-0001"].make_records(1), "cp-0001")])
    loop = loop_of(place, inlet)
    asked = []

    def slow(messages):
        asked.append(len(inlet.calls))
        if len(asked) == 2:
            loop.stop()
        raise Retry("the chain is away")

    monkeypatch.setattr(place.intake, "take", slow)
    loop.run()
    assert asked == [0, 0] and inlet.calls == [] and sequence_of(place) is None


def test_loop__retry_then_success__takes_the_same_batch_once(place, monkeypatch):
    take, asked = place.intake.take, []

    def late(messages):
        asked.append(messages)
        if len(asked) == 1:
            raise Retry("once")
        return take(messages)

    monkeypatch.setattr(place.intake, "take", late)
    batch = [joined(place.fleet["cp-0001"].make_records(1), "cp-0001")]
    inlet, _ = run(place, batch)
    assert asked == [batch, batch] and inlet.names() == ["receipts"]


def test_loop__poison__is_put_aside_and_its_neighbours_are_taken(place, monkeypatch):
    poisoned(place, monkeypatch, b"poison", KeyError("ours"))
    first, second, third = place.fleet["cp-0001"].make_records(3)
    batch = [
        at(1, joined([first], "cp-0001")),
        at(2, Message("ocmf", "cp-0002", b"poison")),
        at(3, joined([second], "cp-0001")),
    ]
    inlet, loop = run(place, batch, [joined([third], "cp-0001")])
    assert place.stored() == (3, 3, ["internal_error"])
    assert [r["device"] for r in receipts_in(inlet)] == ["cp-0001"] * 3  # and none for the poison
    assert loop.taken == 3 and sequence_of(place) == 3


def test_loop__poison_that_ends_a_batch__is_not_read_again(place, monkeypatch):
    poisoned(place, monkeypatch, b"poison", KeyError("ours"))
    run(place, [at(5, Message("ocmf", "cp-0002", b"poison"))])
    assert sequence_of(place) == 5


def test_loop__poison_that_cannot_even_be_kept__is_tried_again_and_nothing_passes_it(
    place, monkeypatch
):
    poisoned(place, monkeypatch, b"poison", KeyError("ours"))
    good = joined(place.fleet["cp-0001"].make_records(1), "cp-0001")
    inlet = StandInInlet(place, [at(1, Message("ocmf", "cp-0002", b"poison"))], [at(2, good)])
    loop, put_aside, positions = loop_of(place, inlet), place.intake.put_aside, []

    def broken_once(message, error):
        positions.append(sequence_of(place))
        if len(positions) == 1:
            raise KeyError("ours as well")
        put_aside(message, error)

    monkeypatch.setattr(place.intake, "put_aside", broken_once)
    loop.run()
    assert positions == [None, None]
    assert sequence_of(place) == 2 and loop.taken == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "\udcff" * 9])
def test_loop__poison_whose_error_no_database_takes__is_kept_all_the_same(place, monkeypatch, text):
    """An error about a record's own text may hold half a character: it would block the log."""
    poisoned(place, monkeypatch, b"poison", ValueError(text))
    good = joined(place.fleet["cp-0001"].make_records(1), "cp-0001")
    inlet = StandInInlet(place, [at(1, Message("ocmf", "cp-0002", b"poison"))], [at(2, good)])
    loop, put_aside, tries = loop_of(place, inlet), place.intake.put_aside, []

    def counted(message, error):
        tries.append(message)
        if len(tries) > 2:  # it would be tried for ever
            loop.stop()
        put_aside(message, error)

    monkeypatch.setattr(place.intake, "put_aside", counted)
    loop.run()
    assert len(tries) == 1
    assert place.stored() == (1, 1, ["internal_error"]) and sequence_of(place) == 2


def test_loop__receipt_of_one_device_cannot_be_signed__the_others_get_theirs(place, monkeypatch):
    inlet = StandInInlet(place, [Message("ocmf", name, b"?") for name in ("a", "cp-0001", "b")])
    loop = loop_of(place, inlet)
    receipts = Receipts(KEY)

    class Poisoned:
        def sign_all(self, device, answers, at):
            if device == "a":
                raise KeyError("ours")
            return receipts.sign_all(device, answers, at)

    monkeypatch.setattr(loop, "_receipts", Poisoned())
    loop.run()
    assert [receipt["device"] for receipt in receipts_in(inlet)] == ["cp-0001", "b"]


def test_loop__message_of_as_many_records_as_fit__is_answered_in_parts_that_the_broker_takes(place):
    body = b"\n".join(b"%d" % number for number in range(MAX_RECORDS_PER_MESSAGE))
    inlet, _ = run(place, [Message("ocmf", "cp-0001", body)])
    (sent,) = [items for _, items, _ in inlet.calls]
    assert max(len(receipt) for _, receipt in sent) < 100_000 < MAX_PAYLOAD_BYTES
    answered = [r["evidence"] for receipt in receipts_in(inlet) for r in receipt["records"]]
    assert answered == [sha256(record).hexdigest() for record in body.split(b"\n")]


def test_loop__store_is_away_while_poison_is_put_aside__waits_for_it(place, monkeypatch):
    poisoned(place, monkeypatch, b"poison", KeyError("ours"))
    put_aside, tries = place.intake.put_aside, []

    def late(message, error):
        tries.append(message)
        if len(tries) == 1:
            raise Retry("the disk is full")
        put_aside(message, error)

    monkeypatch.setattr(place.intake, "put_aside", late)
    inlet, _ = run(place, [Message("ocmf", "cp-0002", b"poison")])
    assert len(tries) == 2 and inlet.names() == []
    assert place.stored()[2] == ["internal_error"]


def test_loop__receipt_cannot_be_signed__still_stores_the_position_and_goes_on(place, monkeypatch):
    first, second = place.fleet["cp-0001"].make_records(2)
    batches = [[at(n, joined([r], "cp-0001"))] for n, r in enumerate([first, second])]
    inlet = StandInInlet(place, *batches)
    loop = loop_of(place, inlet)
    monkeypatch.setattr(loop, "_receipts", None)
    loop.run()
    assert inlet.names() == [] and place.stored()[:2] == (2, 2)
    assert sequence_of(place) == 1


def test_loop__thousands_of_records_of_one_device__fit_in_readable_receipts(place):
    record = place.fleet["cp-0001"].make_records(1)[0]
    batch = [Message("ocmf", "cp-0001", b"\n".join([record] * 300)) for _ in range(8)]
    inlet, loop = run(place, batch)
    sizes = [len(receipt["records"]) for receipt in receipts_in(inlet)]
    assert sizes == [250] * 9 + [150] and loop.taken == 2_400


def test_loop__two_inlets_at_once__take_each_event_once(place):
    """The API and the broker share one intake: the first to commit accepts."""
    record = place.fleet["cp-0001"].make_records(1)[0]
    inlets = [StandInInlet(place, *[[joined([record], "cp-0001")]] * 10) for _ in range(2)]
    threads = [threading.Thread(target=loop_of(place, inlet).run) for inlet in inlets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcomes = [
        r["outcome"]
        for inlet in inlets
        for receipt in receipts_in(inlet)
        for r in receipt["records"]
    ]
    assert sorted(outcomes) == ["accepted"] + ["duplicate"] * 19
    assert place.stored()[:2] == (1, 1)


def test_receipts__for_the_largest_http_batch__can_be_read_back():
    """Each of its 1,000 messages may hold 1,000 records: one receipt could not be read."""
    answers = [ReceiptRecord(f"{n:064x}", n, "accepted", "0x" + "11" * 32) for n in range(9_000)]
    key = public_key_of(Receipts(KEY).public_pem)
    receipts = Receipts(KEY).sign_all("cp-0001", answers, 7)
    records = [record for receipt in receipts for record in read_receipt(receipt, key)["records"]]
    assert [record["counter"] for record in records] == list(range(9_000))
