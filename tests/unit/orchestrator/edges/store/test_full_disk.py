"""A store that may not grow is slow and not broken: what waits goes on once there is space."""

from __future__ import annotations

import threading

import pytest
import structlog
from joserfc.jwk import ECKey
from sqlalchemy import event

from orchestrator.core.receipt import Receipts
from orchestrator.errors import Retry
from orchestrator.ingest.inlet_loop import InletLoop
from tests.support.small_intake import SmallIntake, joined

KEY = ECKey.generate_key("P-256").as_pem(private=True)


class Quota:
    """SQLite's limit of pages on every connection of a store, as a full disk would set it."""

    def __init__(self, store) -> None:
        self.pages = 1 << 30
        event.listen(store._engine, "begin", self._limit)

    def _limit(self, connection) -> None:
        connection.connection.cursor().execute(f"PRAGMA max_page_count={self.pages}")


@pytest.fixture
def place(tmp_path):
    place = SmallIntake(tmp_path)
    yield place
    place.close()


def test_write__on_a_full_disk__is_a_retry_and_nothing_is_half_stored(place):
    quota = Quota(place.store)
    message = joined(place.fleet["cp-0001"].make_records(200), "cp-0001")
    quota.pages = 1  # SQLite takes it as: no more than now
    with pytest.raises(Retry, match="full"):
        place.intake.take([message])
    assert place.stored()[:2] == (0, 0)
    quota.pages = 1 << 30
    (outcomes,) = place.intake.take([message])
    accepted = sum(record.outcome == "accepted" for record in outcomes)
    assert place.stored()[:2] == (accepted, accepted) and accepted > 20


class OneBatchInlet:
    """Stands for an inlet: one batch, and then nothing until the loop is stopped."""

    def __init__(self, message) -> None:
        self.message, self.receipts = message, 0

    def batches(self):
        yield [self.message]

    def publish_many(self, items):
        self.receipts += len(list(items))


def test_inlet__while_the_disk_is_full__waits_and_then_goes_on_without_a_person(place):
    receipts = Receipts(KEY)
    quota = Quota(place.store)
    inlet = OneBatchInlet(joined(place.fleet["cp-0001"].make_records(200), "cp-0001"))
    log = structlog.wrap_logger(structlog.ReturnLogger())
    loop = InletLoop(inlet, place.intake, receipts, lambda: place.clock, log)
    tries = threading.Semaphore(0)
    take = place.intake.take

    def counted(messages):
        tries.release()
        return take(messages)

    place.intake.take = counted
    quota.pages = 1
    thread = threading.Thread(target=loop.run)
    thread.start()
    for _ in range(3):
        assert tries.acquire(timeout=120)  # it tries again and again
    assert inlet.receipts == 0  # so the devices keep their records
    quota.pages = 1 << 30
    thread.join(120)
    assert inlet.receipts == 1 and place.stored()[1] > 20
