"""The supervisor: order, restarts with growing waits, requests, and a stop that always ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from orchestrator.home_lock import hold, holder
from orchestrator.settings import Settings
from services.processes import Process
from services.supervisor import STOP_S, Supervisor, main
from tests.support.tiny_services import MODULE

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 240


class FakeChild:
    """A process that ends when the test says so, or when it is asked to."""

    def __init__(self, pid: int, deaf: bool) -> None:
        self.pid, self.exitcode, self.deaf, self.sentinel = pid, None, deaf, 0

    def terminate(self) -> None:
        if not self.deaf:
            self.exitcode = 0

    def kill(self) -> None:
        self.exitcode = -signal.SIGKILL


class FakeRail:
    """A supervisor of fake processes, with a clock that the test moves."""

    def __init__(self, home: Path, *table: Process) -> None:
        self.now, self.started, self.deaf, self.broken = 100.0, [], set(), False
        self.children: dict[str, FakeChild] = {}
        self.settings = Settings(home=home)
        self.supervisor = Supervisor(self.settings, table, self._start, lambda: self.now)

    def _start(self, process: Process) -> FakeChild:
        if self.broken:
            raise OSError("Cannot allocate memory")
        self.started.append((process.name, self.now))
        child = FakeChild(1000 + len(self.started), process.name in self.deaf)
        self.children[process.name] = child
        return child

    def turn(self, seconds: float = 0.0) -> bool:
        self.now += seconds
        return self.supervisor.turn()

    def serve(self, name: str) -> None:
        process = self.supervisor.supervised[name].process
        process.ready.parent.mkdir(parents=True, exist_ok=True)
        process.ready.write_text("{}")
        self.turn()

    def states(self) -> dict[str, str]:
        return {name: str(each.state) for name, each in self.supervisor.supervised.items()}

    def written(self) -> dict[str, dict[str, Any]]:
        state = json.loads((self.settings.run / "processes.json").read_text())
        assert state["version"] == 1
        return {process["name"]: process for process in state["processes"]}


def service(home: Path, name: str, *needs: str, module: str = "") -> Process:
    return Process(name, module or name, (), needs, home / "run" / f"{name}.json")


@pytest.fixture
def rail(tmp_path: Path) -> FakeRail:
    job = Process("set-up", "set-up", (), ("chain",))
    return FakeRail(
        tmp_path, service(tmp_path, "chain"), job, service(tmp_path, "work", "set-up", "chain")
    )


def test_start__process_that_needs_others__waits_until_they_serve_and_jobs_are_done(rail):
    rail.turn()
    assert rail.states() == {"chain": "starting", "set-up": "waiting", "work": "waiting"}
    rail.serve("chain")
    assert rail.states() == {"chain": "ready", "set-up": "starting", "work": "waiting"}
    rail.children["set-up"].exitcode = 0
    rail.turn()
    assert rail.states() == {"chain": "ready", "set-up": "done", "work": "starting"}
    rail.turn(3_600)
    assert [name for name, _ in rail.started] == ["chain", "set-up", "work"]


def test_death__again_and_again__is_answered_after_growing_waits(tmp_path):
    rail = FakeRail(tmp_path, service(tmp_path, "work"))
    rail.turn()
    for _ in range(8):
        rail.children["work"].exitcode = 1
        rail.turn()
        assert rail.states() == {"work": "resting"}
        begun = len(rail.started)
        while len(rail.started) == begun:
            rail.turn(0.25)
    times = [at for _, at in rail.started]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert rail.written()["work"]["restarts"] == 8 and rail.written()["work"]["last_exit"] == 1
    rail.serve("work")
    rail.now += 61
    rail.children["work"].exitcode = -9
    rail.turn()
    rail.turn(0.5)
    assert len(rail.started) == 10


def test_death__while_what_it_needs_is_away__waits_for_that_too(rail):
    rail.turn()
    rail.serve("chain")
    rail.children["set-up"].exitcode = 0
    rail.turn()
    for name in ("work", "chain"):
        rail.children[name].exitcode = -9
    (rail.settings.run / "chain.json").unlink()
    rail.turn()
    rail.turn(5)
    assert rail.states() == {"chain": "starting", "set-up": "done", "work": "resting"}
    rail.serve("chain")
    assert rail.states()["work"] == "starting"


def test_job__that_fails__is_tried_again(rail):
    rail.turn()
    rail.serve("chain")
    rail.children["set-up"].exitcode = 1
    rail.turn()
    assert rail.states()["set-up"] == "resting"
    rail.turn(0.5)
    assert rail.states() == {"chain": "ready", "set-up": "starting", "work": "waiting"}


def test_start__machine_without_memory__rests_and_tries_again(tmp_path):
    rail = FakeRail(tmp_path, service(tmp_path, "work"))
    rail.broken = True
    rail.turn()
    assert rail.states() == {"work": "resting"}
    rail.broken = False
    rail.turn(0.5)
    assert rail.states() == {"work": "starting"}


def test_request__to_restart__ends_that_process_and_starts_it_at_once(tmp_path):
    rail = FakeRail(tmp_path, service(tmp_path, "one"), service(tmp_path, "two"))
    rail.turn()
    requests = rail.settings.run / "restart"
    requests.mkdir(parents=True)
    for name in ("one", "unknown"):
        (requests / name).touch()
    rail.turn()
    rail.turn()
    assert [name for name, _ in rail.started] == ["one", "two", "one"]
    assert list(requests.iterdir()) == []
    assert rail.written()["one"]["restarts"] == 1 and rail.written()["two"]["restarts"] == 0


def test_stop__whole_rail__ends_the_last_first_and_kills_what_does_not_end(tmp_path):
    table = [
        service(tmp_path, "chain"),
        service(tmp_path, "north", module="oracle"),
        service(tmp_path, "south", module="oracle"),
        service(tmp_path, "work"),
    ]
    rail = FakeRail(tmp_path, *table)
    rail.deaf.add("work")
    rail.turn()
    rail.supervisor.stop()
    assert not rail.turn()
    assert rail.states() == {
        "chain": "starting",
        "north": "starting",
        "south": "starting",
        "work": "stopping",
    }
    rail.turn(STOP_S - 1)
    assert rail.states()["work"] == "stopping"
    rail.turn(1)  # killed now, and seen at the next turn
    rail.turn()
    assert rail.states()["work"] == "stopped" and rail.states()["chain"] == "starting"
    assert {rail.states()[name] for name in ("north", "south")} == {"stopping"}
    while not rail.turn():
        pass
    assert set(rail.states().values()) == {"stopped"}
    assert len(rail.started) == 4
    assert rail.written()["work"]["last_exit"] == -signal.SIGKILL


def test_stop__process_that_rests__is_not_started_again(tmp_path):
    rail = FakeRail(tmp_path, service(tmp_path, "work"))
    rail.turn()
    rail.children["work"].exitcode = 1
    rail.turn()
    rail.supervisor.stop()
    assert rail.turn(60) and len(rail.started) == 1


def test_state__folder_that_cannot_be_written__does_not_end_the_supervision(tmp_path):
    rail = FakeRail(tmp_path, service(tmp_path, "work"))
    rail.settings.run.write_text("in the way")
    rail.turn()
    assert rail.states() == {"work": "starting"}
    rail.settings.run.unlink()
    rail.turn()
    assert rail.written()["work"]["state"] == "starting"


def test_main__home_that_another_process_works_on__says_so_and_ends_with_2(tmp_path, capsys):
    with hold(tmp_path / "rail.lock"):
        assert main(["--home", str(tmp_path)]) == 2
    assert f"Process {os.getpid()} works on this home" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rail.lock"]


def test_main__home_without_a_configuration__says_so_and_ends_with_1(tmp_path, capsys):
    assert main(["--home", str(tmp_path)]) == 1
    assert "`proofrail init` writes one" in capsys.readouterr().err


def _until(holds: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return value


def _supervise(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", MODULE, "supervise", str(home)], cwd=ROOT)


def _ready(home: Path) -> dict[str, int]:
    """Return {name: process id} once both processes are ready, else {}."""
    try:
        rows = json.loads((home / "run" / "processes.json").read_text())["processes"]
    except (FileNotFoundError, ValueError):
        return {}
    return {row["name"]: row["pid"] for row in rows} if _all_ready(rows) else {}


def _all_ready(rows: list[dict[str, Any]]) -> bool:
    return all(row["state"] == "ready" for row in rows)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_supervisor__real_processes__come_back_after_a_kill_end_with_it_and_start_again(tmp_path):
    first = _supervise(tmp_path)
    again = None
    try:
        pids = _until(lambda: _ready(tmp_path))
        os.kill(pids["one"], signal.SIGKILL)
        after = _until(lambda: (now := _ready(tmp_path)) and now["one"] != pids["one"] and now)
        assert after["two"] == pids["two"]
        assert "serving" in (tmp_path / "logs" / "two.log").read_text()
        first.kill()  # as a power cut does
        first.wait()
        _until(lambda: not any(map(_runs, after.values())))
        (tmp_path / "run" / "processes.json").write_text('{"version": 1, "proc')  # and it was torn
        assert holder(tmp_path / "rail.lock") is None
        again = _supervise(tmp_path)
        _until(lambda: holder(tmp_path / "rail.lock") == again.pid)
        fresh = _until(lambda: _ready(tmp_path))
        again.terminate()
        assert again.wait(PATIENCE_S) == 0
        assert not any(map(_runs, fresh.values()))
    finally:
        for process in (first, again):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
