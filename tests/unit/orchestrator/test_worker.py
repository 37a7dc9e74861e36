"""Three answers to failure: what a step raises decides what still runs, and what does not."""

from __future__ import annotations

import errno
import threading
from types import SimpleNamespace

import pytest
import structlog

from orchestrator import worker as module
from orchestrator.errors import Halt, Retry
from orchestrator.worker import STEPS, Worker

MONEY = {
    "rule_disputes",
    "expire_disputes",
    "decide_holds",
    "attest",
    "settle",
    "release_matured",
    "order_payouts",
    "decide_credits",
    "mint",
    "refund",
}
NAMES = [step.__name__ for step in STEPS]


@pytest.fixture
def steps(monkeypatch):
    """The worker's steps, each replaced by one that notes its turn; `raises`: name -> error."""
    ran: list[str] = []
    raises: dict[str, Exception] = {}

    def stand_in(name):
        def step(_rail) -> int:
            ran.append(name)
            if name in raises:
                raise raises[name]
            return 1

        step.__name__ = name
        return step

    replaced = {name: stand_in(name) for name in NAMES}
    money = tuple(replaced[step.__name__] for step in module._MOVES_MONEY)
    monkeypatch.setattr(module, "STEPS", tuple(replaced.values()))
    monkeypatch.setattr(module, "_MOVES_MONEY", money)
    return SimpleNamespace(ran=ran, raises=raises)


@pytest.fixture
def worker():
    log = structlog.wrap_logger(structlog.PrintLogger(open("/dev/null", "a")))  # noqa: SIM115
    return Worker(SimpleNamespace(log=log))


def turn(worker, steps) -> list[str]:
    steps.ran.clear()
    worker.turn()
    return list(steps.ran)


def test_steps__that_move_money__are_these_and_no_others():
    assert {step.__name__ for step in module._MOVES_MONEY} == MONEY <= set(NAMES)
    assert NAMES[0] == "follow"  # what the chain says is known before anything is done


def test_turn__all_is_well__runs_every_step_in_order_and_counts(worker, steps):
    assert worker.turn() == len(NAMES) and steps.ran == NAMES
    assert worker.report() == {"turns": dict.fromkeys(NAMES, 1), "halted": {}, "waits": {}}


@pytest.mark.parametrize("name", NAMES)
def test_halt__of_any_step__stops_it_and_what_moves_money_and_nothing_else(worker, steps, name):
    steps.raises[name] = Halt("our own rule is broken")
    first = turn(worker, steps)
    assert first[: NAMES.index(name) + 1] == NAMES[: NAMES.index(name) + 1]
    assert not MONEY & set(first[NAMES.index(name) + 1 :])  # from that moment on
    steps.raises.clear()  # it does not heal by itself: a person has to look
    assert turn(worker, steps) == [n for n in NAMES if n != name and n not in MONEY]
    assert worker.report()["halted"] == {name: "our own rule is broken"}


@pytest.mark.parametrize("name", NAMES)
def test_retry__of_any_step__stops_nothing_and_it_comes_round_again(worker, steps, name):
    steps.raises[name] = Retry("the node is silent")
    assert turn(worker, steps) == NAMES == turn(worker, steps)
    assert worker.halted == {} and worker.turns[name] == 0
    steps.raises.clear()
    turn(worker, steps)
    assert worker.turns[name] == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (KeyError("result"), "KeyError: 'result'"),
        (IndexError("x"), "IndexError: x"),
        (AssertionError(), "AssertionError: "),
        (ZeroDivisionError("by"), "ZeroDivisionError: by"),
    ],
)
def test_bug__unknown_exception__halts_with_its_name_and_text(worker, steps, error, text):
    steps.raises["finalise"] = error
    turn(worker, steps)
    assert worker.halted == {"finalise": text}
    assert not MONEY & set(turn(worker, steps))


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
        RuntimeError("can't start new thread"),
        MemoryError(),
    ],
)
def test_machine__out_of_something__is_waited_for_and_no_person_is_needed(worker, steps, error):
    steps.raises["settle"] = error
    assert turn(worker, steps) == NAMES == turn(worker, steps)
    assert worker.halted == {} and worker.report()["waits"].keys() == {"settle"}
    steps.raises.clear()
    turn(worker, steps)
    assert worker.turns["settle"] == 1 and worker.report()["waits"] == {}


def test_clock__that_jumps_either_way__stops_no_step(worker, steps):
    times = iter([1_000, 10**9, 5, 7])
    worker._clock = lambda: next(times)
    steps.raises["settle"] = Retry("the node is silent")
    for _ in range(3):
        assert turn(worker, steps) == NAMES
    assert worker.halted == {} and worker.waits["settle"].since == 1_000


def test_wait__for_the_same_reason__is_one_line_in_the_log(steps):
    lines = []

    def note(_logger, _method, event):
        lines.append((event["event"], event.get("reason")))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[note])
    worker = Worker(SimpleNamespace(log=log))
    for reason in ("silent", "silent", "behind", "behind"):
        steps.raises["settle"] = Retry(reason)
        turn(worker, steps)
    steps.raises.clear()
    turn(worker, steps)
    assert lines == [("step waits", "silent"), ("step waits", "behind"), ("step goes on", None)]


def test_watch__each_step__learns_its_outcome_and_time(worker, steps):
    seen = []
    worker._watch = SimpleNamespace(step=lambda *what: seen.append(what))
    worker._monotonic = iter(range(100)).__next__
    steps.raises |= {"follow": Retry("slow"), "finalise": Halt("broken")}
    turn(worker, steps)
    assert seen[:3] == [
        ("follow", "waited", 1, 0),
        ("finalise", "halted", 1, 0),
        ("quarantine", "done", 1, 1),
    ]


def test_two_halts__each__is_kept_with_its_reason(worker, steps):
    steps.raises |= {"follow": Halt("deep rewind"), "read_bank": Halt("two contents, one name")}
    turn(worker, steps)
    assert worker.halted == {"follow": "deep rewind", "read_bank": "two contents, one name"}


def test_stop__within_a_turn__ends_it_after_the_step_at_hand(worker, steps, monkeypatch):
    stopping = module.STEPS[2]
    monkeypatch.setattr(
        module, "STEPS", (*module.STEPS[:2], lambda rail: worker.stop() or 1, *module.STEPS[3:])
    )
    module.STEPS[2].__name__ = stopping.__name__
    thread = threading.Thread(target=worker.run)
    thread.start()
    thread.join(60)
    assert not thread.is_alive() and steps.ran == NAMES[:2]


class WaitingEvent(threading.Event):
    """Notes how long it was waited for, and moves the clock by that; `then` runs at each wait."""

    def __init__(self, clock, then) -> None:
        super().__init__()
        self.clock, self.then, self.waits = clock, then, []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self.clock[0] += timeout or 0
        self.then(len(self.waits))
        return self.is_set()


def test_run__nothing_to_do_for_a_while__looks_once_a_second_until_it_is_woken(worker, monkeypatch):
    """A new block alone is no work: a chain with empty blocks does not keep the worker busy."""
    work, clock = {"follow": [], "attest": []}, [0.0]
    followed, attested = (
        lambda _rail, todo=work[name]: todo.pop() if todo else 0 for name in ("follow", "attest")
    )
    followed.__name__, attested.__name__ = "follow", "attest"
    monkeypatch.setattr(module, "STEPS", (followed, attested))
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])

    def then(count: int) -> None:
        work["follow"].append(1)
        if count == 40:
            work["attest"].append(1)
            worker.wake()
        if count == 50:
            worker.stop()

    worker._woken = WaitingEvent(clock, then)
    worker.run()
    waits = worker._woken.waits
    busy = waits.index(1.0)
    assert busy * 0.2 == pytest.approx(5) and set(waits[:busy]) == {0.2}
    assert waits[busy:40] == [1.0] * (40 - busy)
    assert waits[40:] == [0.2] * 10


def test_wake__while_a_turn_runs__begins_the_next_one_at_once(worker, monkeypatch):
    """A record that is stored after its step looked must not wait for a second."""
    turns = []

    def step(_rail) -> int:
        turns.append(1)
        if len(turns) == 1:
            worker.wake()
        else:
            worker.stop()
        return 0

    step.__name__ = "collect"
    monkeypatch.setattr(module, "STEPS", (step,))
    monkeypatch.setattr(module, "_BUSY_POLL_S", 1_000.0)  # without the wake it would stand still
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    thread.join(60)
    assert len(turns) == 2
