"""`proofrail status` and `resume`, on a home without a process and on one that is written to."""

from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.core.health import HealthProblem, Severity, problem_view
from orchestrator.edges.store import Store
from orchestrator.halts import Halts, StandingHalt
from orchestrator.home_lock import hold
from orchestrator.status_file import HALTS, LOCK_FILE, PROCESSES_FILE, STATUS_FILE

PROBLEM = HealthProblem(
    "oracle_down", "auditor", "The oracle auditor is down.", "Start it.", Severity.WARNING, 1_000
)
HALT = StandingHalt("settle", "our own rule is broken", 1_000)
PLENTY = SimpleNamespace(free=50 << 30, total=100 << 30)


class StatusHome:
    """A home with a store; `write` leaves the status of a running rail."""

    def __init__(self, folder) -> None:
        self.folder, self.halts = folder, Halts(folder / HALTS)
        Store(folder / "proofrail.sqlite3").close()
        (folder / "run").mkdir()

    def write(self, *problems, at=None):
        body = {"version": 1, "at": at or int(time.time())}
        body["problems"] = [problem_view(problem) for problem in problems]
        (self.folder / STATUS_FILE).write_text(json.dumps(body))

    def run(self, *arguments):
        return CliRunner().invoke(cli.app, ["--home", str(self.folder), *arguments])

    def names(self):
        result = self.run("status", "--json")
        return [problem["name"] for problem in json.loads(result.stdout)["problems"]]


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.commands.status.shutil.disk_usage", lambda _: PLENTY)
    return StatusHome(tmp_path)


@pytest.fixture
def home(stopped):
    with hold(stopped.folder / LOCK_FILE):  # as the supervisor of a running rail does
        yield stopped


def test_status__after_everything_was_killed__believes_none_of_the_files_it_left(stopped):
    process = {"name": "bank", "pid": 7, "state": "ready", "restarts": 3, "last_exit": 1}
    (stopped.folder / PROCESSES_FILE).write_text(json.dumps({"version": 1, "processes": [process]}))
    stopped.write()
    result = stopped.run("status")
    assert result.exit_code == 1 and "The rail does not run" in result.stdout
    row = next(line for line in result.stdout.splitlines() if "bank" in line)
    assert "ready" not in row and "7" not in row and "stopped" in row
    stopped.halts.record(HALT)
    assert stopped.names() == ["status_stale", "step_halted"]


def test_status__of_a_well_rail__ends_with_0_and_needs_no_key(home):
    home.write()
    result = home.run("status")
    assert result.exit_code == 0 and "nothing is wrong" in result.stdout


def test_status__with_a_problem__shows_what_since_when_and_the_next_step(home):
    home.write(PROBLEM)
    result = home.run("status")
    assert result.exit_code == 1
    assert "oracle_down: The oracle auditor is down. (since 1970-01-01 00:16:40)" in result.stdout
    assert "next: Start it." in result.stdout


def test_status__of_a_rail_with_nodes__shows_each_with_its_last_answer(home):
    home.write()
    path = home.folder / STATUS_FILE
    node = {"name": "https://a.example", "number": 7, "answered_at": 1_000, "error": "Timeout"}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"nodes": [node]}))
    result = home.run("status")
    assert "https://a.example" in result.stdout and "1970-01-01 00:16:40" in result.stdout
    assert json.loads(home.run("status", "--json").stdout)["nodes"] == [node]


def test_status__without_a_running_rail__says_so_and_keeps_the_halts(home):
    home.halts.record(HALT)
    assert home.names() == ["status_stale", "step_halted"]
    home.write(PROBLEM, at=1_000)  # what it said long ago may be over
    assert home.names() == ["status_stale", "step_halted"]
    assert home.run("status").exit_code == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"at": 1, "problems": [{}]}', "\x00"])
def test_status__with_a_damaged_file__is_stale(home, content):
    (home.folder / STATUS_FILE).write_text(content)
    assert home.names() == ["status_stale"]


def test_status__of_a_full_disk__is_seen_without_the_rail(home, monkeypatch):
    full = SimpleNamespace(free=0, total=100 << 30)
    monkeypatch.setattr("orchestrator.commands.status.shutil.disk_usage", lambda _: full)
    home.write()
    assert home.names() == ["disk_low"]


def test_status__of_a_locked_store__still_shows_the_problems(home, monkeypatch):
    from orchestrator.errors import Retry

    def locked(_home):
        raise Retry("the database does not answer")

    monkeypatch.setattr("orchestrator.edges.totals.read_totals", locked)
    home.write(PROBLEM)
    assert home.names() == ["store_unreadable", "oracle_down"]
    assert home.run("status").exit_code == 1


def test_status__of_supervised_processes__shows_each(home):
    process = {"name": "bank", "pid": 7, "state": "ready", "restarts": 3, "last_exit": 1}
    (home.folder / PROCESSES_FILE).write_text(json.dumps({"version": 1, "processes": [process]}))
    home.write()
    row = next(line for line in home.run("status").stdout.splitlines() if "bank" in line)
    assert row.split() == ["bank", "7", "ready", "3", "1"]


def test_status__watched__is_shown_again_until_it_is_interrupted(home, monkeypatch):
    looks = []

    def sleep(_seconds):
        looks.append(1)
        home.write(PROBLEM)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("orchestrator.commands.status.time.sleep", sleep)
    home.write()
    result = home.run("status", "--watch")
    assert result.stdout.count("nothing is wrong") == 1
    assert result.stdout.count("oracle_down") == 2 and result.exit_code == 1


# --- resume


def test_resume__an_unknown_step__is_refused_with_the_names(home):
    result = home.run("resume", "setle", "--reason", "why")
    assert result.exit_code == 2 and "release_matured" in result.stderr
    assert home.halts.history() == []


def test_resume__a_step_that_is_not_halted__is_refused(home):
    home.halts.record(HALT)
    result = home.run("resume", "mint", "--reason", "why")
    assert result.exit_code == 2 and "Halted now: settle" in result.stderr


def test_resume__without_a_reason__changes_nothing(home):
    home.halts.record(HALT)
    assert home.run("resume", "settle").exit_code == 2
    assert home.run("resume", "settle", "--reason", "  ").exit_code == 2
    assert not home.halts.is_requested("settle")


def test_resume__with_a_running_worker__is_taken_and_kept(home):
    home.halts.record(HALT)

    def worker():
        while not home.halts.take(HALT):
            time.sleep(0.01)

    thread = threading.Thread(target=worker)
    thread.start()
    result = home.run("resume", "settle", "--reason", "the node is back", "--by", "Ada", "--json")
    thread.join()
    assert result.exit_code == 0 and json.loads(result.stdout)["taken"]
    assert home.halts.standing() == {}
    event = home.halts.history()[-1]
    assert (event["event"], event["by"], event["reason"]) == ("resumed", "Ada", "the node is back")


def test_resume__without_a_running_worker__waits_for_the_next_start(home, monkeypatch):
    monkeypatch.setattr("orchestrator.commands.resume._PATIENCE_S", 0)
    home.halts.record(HALT)
    result = home.run("resume", "settle", "--reason", "why")
    assert result.exit_code == 1 and "no running rail" in result.stdout
    assert home.halts.take(HALT).reason == "why"
