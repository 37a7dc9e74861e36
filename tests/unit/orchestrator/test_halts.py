"""A halted step stays halted over a restart, and a person's request ends exactly that halt."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import structlog

from orchestrator.errors import Halt
from orchestrator.halts import Halts, ResumeRequest, StandingHalt
from orchestrator.worker import Worker

HALT = StandingHalt("settle", "our own rule is broken", 100)


@pytest.fixture
def halts(tmp_path):
    return Halts(tmp_path / "halts")


def request(halt=HALT, **fields):
    return ResumeRequest(
        **{"step": halt.step, "halted_at": halt.halted_at, "by": "Ada", "reason": "why", "at": 9}
        | fields
    )


def test_record__a_halt__stands_for_every_reader(halts, tmp_path):
    halts.record(HALT)
    assert Halts(tmp_path / "halts").standing() == {"settle": HALT}


def test_take__without_a_request__changes_nothing(halts):
    halts.record(HALT)
    assert halts.take(HALT) is None
    assert halts.standing() == {"settle": HALT}


def test_take__a_request__ends_the_halt_and_keeps_who_when_and_why(halts):
    halts.record(HALT)
    halts.request(request())
    assert halts.is_requested("settle")
    assert halts.take(HALT) == request()
    assert halts.standing() == {} and not halts.is_requested("settle")
    halted, resumed = halts.history()
    assert (halted["event"], resumed["event"]) == ("halted", "resumed")
    assert (resumed["by"], resumed["reason"], resumed["at"], resumed["version"]) == (
        "Ada",
        "why",
        9,
        1,
    )


def test_take__a_request_for_an_earlier_halt__does_not_end_a_later_one(halts):
    halts.request(request())
    later = StandingHalt("settle", "again", 200)
    halts.record(later)
    assert halts.take(later) is None
    assert halts.standing() == {"settle": later} and not halts.is_requested("settle")


def test_standing__a_damaged_file__is_still_a_halt(halts, tmp_path):
    halts.record(HALT)
    (tmp_path / "halts" / "settle.json").write_bytes(b"{")
    assert "cannot be read" in halts.standing()["settle"].reason


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"version": 1}'])
def test_take__what_is_no_request__is_removed_and_ends_nothing(halts, tmp_path, content):
    halts.record(HALT)
    (tmp_path / "halts" / "settle.resume.json").write_bytes(content)
    assert halts.take(HALT) is None and not halts.is_requested("settle")


def test_history__a_torn_last_line__is_left_out(halts, tmp_path):
    halts.record(HALT)
    with (tmp_path / "halts" / "history.jsonl").open("ab") as file:
        file.write(b'{"version": 1, "ev')
    assert [event["event"] for event in halts.history()] == ["halted"]


# --- with the worker


@pytest.fixture
def step(monkeypatch):
    """One step, which raises `error` while it is set."""
    state = SimpleNamespace(error=None, ran=0)

    def settle(_context):
        state.ran += 1
        if state.error:
            raise state.error
        return 1

    monkeypatch.setattr("orchestrator.worker.STEPS", (settle,))
    monkeypatch.setattr("orchestrator.worker._MOVES_MONEY", (settle,))
    return state


@pytest.fixture
def log():
    return structlog.wrap_logger(structlog.ReturnLogger())


def worker(halts, log):
    return Worker(SimpleNamespace(log=log), halts, clock=lambda: 100)


def test_restart__of_a_halted_worker__does_not_resume_silently(halts, log, step):
    step.error = Halt("our own rule is broken")
    worker(halts, log).turn()
    step.error = None
    again = worker(halts, log)
    again.turn()
    assert again.halted == {"settle": "our own rule is broken"} and step.ran == 1


def test_request__for_a_running_worker__lets_the_step_run_in_its_next_turn(halts, log, step):
    step.error = Halt("our own rule is broken")
    running = worker(halts, log)
    running.turn()
    step.error = None
    halts.request(request())
    assert running.turn() == 1
    assert running.halted == {} and halts.standing() == {}


def test_request__while_the_rule_is_still_broken__halts_again(halts, log, step):
    step.error = Halt("our own rule is broken")
    running = worker(halts, log)
    running.turn()
    halts.request(request())
    running.turn()
    assert running.halted and halts.standing() and step.ran == 2


def test_halt__on_a_disk_that_is_full__is_stored_once_there_is_space(halts, log, step, monkeypatch):
    real = Halts.record

    def full(self, halt):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Halts, "record", full)
    step.error = Halt("our own rule is broken")
    running = worker(halts, log)
    running.turn()
    assert running.halted and halts.standing() == {}
    monkeypatch.setattr(Halts, "record", real)
    running.turn()
    assert halts.standing().keys() == {"settle"}
