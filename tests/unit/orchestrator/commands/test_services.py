"""The commands that start, stop and show a rail's processes; the supervisor is a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.addresses import write_addresses
from orchestrator.commands import services
from orchestrator.home_lock import hold, holder
from tests.support.tiny_services import MODULE

ROOT = Path(__file__).resolve().parents[4]


def run(home: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["--home", str(home), *arguments])


def write_state(home: Path, supervisor: int = 1, **changes: Any) -> None:
    row = {"name": "work", "pid": 7, "state": "ready", "restarts": 0, "since": 1_700_000_000.0}
    row |= {"last_exit": None, "log": str(home / "logs" / "work.log"), **changes}
    (home / "run").mkdir(exist_ok=True)
    state = {"version": 1, "supervisor": supervisor, "processes": [row]}
    (home / "run" / "processes.json").write_text(json.dumps(state))


class _Api(BaseHTTPRequestHandler):
    """An API that is ready at the second look."""

    looks = 0

    def do_GET(self) -> None:
        type(self).looks += 1
        self.send_response(200 if self.looks > 1 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def api_url() -> Any:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home whose supervisor keeps two tiny processes; what still runs is stopped at the end."""
    (tmp_path / "proofrail.toml").write_text("version = 1\n")
    start = subprocess.Popen

    def start_tiny(command: list[str], **options: Any) -> Any:
        assert command[1:] == ["-m", "services.supervisor", "--home", str(tmp_path)]
        tiny = [sys.executable, "-m", MODULE, "supervise", str(tmp_path)]
        started.append(start(tiny, cwd=ROOT, **options))
        return started[-1]

    started: list[Any] = []
    monkeypatch.setattr(services.subprocess, "Popen", start_tiny)
    yield tmp_path
    for process in started:
        process.kill()
        process.wait()


def test_commands__up_restart_and_down__do_it_and_are_safe_to_repeat(home, api_url):
    write_addresses(home, {"api_url": api_url})
    up = run(home, "up", "--detach", "--patience", "240")
    assert up.exit_code == 0 and f"is ready: API at {api_url}" in up.output
    assert _Api.looks > 1
    supervisor = holder(home / "rail.lock")
    again = run(home, "up", "--detach")
    assert again.exit_code == 0 and f"runs already (process {supervisor})" in again.output
    before = json.loads(run(home, "ps", "--json").stdout)
    assert before["supervisor"] == supervisor
    assert [process["name"] for process in before["processes"]] == ["one", "two"]
    restarted = run(home, "restart", "two", "--patience", "240")
    assert restarted.exit_code == 0 and "two is ready again" in restarted.output
    shown = run(home, "ps")
    after = services.read_processes(home / "run")
    assert shown.exit_code == 0 and [process["restarts"] for process in after] == [0, 1]
    assert after[0]["pid"] == before["processes"][0]["pid"] != after[1]["pid"]
    unknown = run(home, "restart", "three")
    assert unknown.exit_code == 2 and "Its processes: one, two" in unknown.stderr
    down = run(home, "down")
    assert down.exit_code == 0 and "has stopped" in down.output
    assert not any(_runs(process["pid"]) for process in after)
    repeated = run(home, "down")
    assert repeated.exit_code == 0 and "is not running" in repeated.output
    assert run(home, "ps").exit_code == 1


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_up__no_rail_here__says_so_and_makes_nothing(tmp_path):
    result = run(tmp_path / "none", "up", "--detach")
    assert result.exit_code == 2 and "`proofrail init` makes a rail" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_up__without_detach__becomes_the_supervisor(tmp_path, monkeypatch):
    (tmp_path / "proofrail.toml").write_text("version = 1\n")
    calls: list[Any] = []
    monkeypatch.setattr(services.os, "execv", lambda path, command: _leave(calls, path, command))
    run(tmp_path, "up")
    module = ["-m", "services.supervisor", "--home", str(tmp_path)]
    assert calls == [(sys.executable, [sys.executable, *module])]


def _leave(calls: list[Any], path: str, command: list[str]) -> None:
    calls.append((path, command))
    raise SystemExit(0)


def test_up__configuration_that_is_unusable__shows_what_the_supervisor_said(tmp_path):
    (tmp_path / "proofrail.toml").write_text("version = 1\n")
    result = run(tmp_path, "up", "--detach")
    assert result.exit_code == 2 and "did not start (exit 1)" in result.stderr
    assert "needs a [safeguarding] account" in result.stderr


class _PatientSupervisor:
    """A supervisor that runs; the state of its processes is as the test wrote it."""

    pid = 4_711

    def __init__(self, *_: object, **__: object) -> None:
        self.returncode = None

    def poll(self) -> None:
        return None


@pytest.mark.parametrize(("restarts", "patience"), [(4, "100"), (1, "1")])
def test_up__process_that_does_not_get_ready__is_named_with_the_end_of_its_log(
    tmp_path, monkeypatch, restarts, patience
):
    (tmp_path / "proofrail.toml").write_text("version = 1\n")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "work.log").write_text("address in use\n" * 3)
    pid = _PatientSupervisor.pid
    write_state(tmp_path, pid, state="resting", restarts=restarts, last_exit=1)
    monkeypatch.setattr(services.subprocess, "Popen", _PatientSupervisor)
    result = run(tmp_path, "up", "--detach", "--patience", patience)
    assert result.exit_code == 2 and "work is resting" in result.stderr
    assert result.stderr.count("address in use") == 1
    assert "`proofrail logs work` shows more" in result.stderr


def test_up__after_a_rail_that_did_not_start__does_not_believe_its_file(tmp_path, monkeypatch):
    (tmp_path / "proofrail.toml").write_text("version = 1\n")
    write_state(tmp_path, 99, state="stopped", restarts=9, last_exit=1)
    monkeypatch.setattr(services.subprocess, "Popen", _PatientSupervisor)
    result = run(tmp_path, "up", "--detach", "--patience", "1")
    assert result.exit_code == 2 and "work" not in result.stderr


def test_last_lines__of_a_log_with_an_earlier_start__are_of_this_one(tmp_path):
    log = tmp_path / "work.log"
    log.write_text("an old fault\n")
    size = log.stat().st_size
    with log.open("a") as file:
        file.write("a new fault\n")
    assert services._last_lines(log, 3, size) == "a new fault"
    log.write_text("begun again\n")
    assert services._last_lines(log, 3, 1_000) == "begun again"


def test_ps__after_the_supervisor_was_killed__shows_no_process_as_ready(tmp_path):
    write_state(tmp_path)
    result = run(tmp_path, "ps")
    assert result.exit_code == 1 and "stopped" in result.output and "ready" not in result.output


def test_ps__process_that_rests__is_shown_and_the_answer_is_no(tmp_path):
    write_state(tmp_path, state="resting", last_exit=-9)
    with hold(tmp_path / "rail.lock"):
        result = run(tmp_path, "ps")
    assert result.exit_code == 1 and "resting" in result.output and "-9" in result.output


@pytest.mark.parametrize("content", [None, '{"version": 1, "proc', '{"version": 9}', "[]", ""])
def test_ps__state_that_is_missing_torn_or_unknown__is_no_error(tmp_path, content):
    (tmp_path / "run").mkdir()
    if content is not None:
        (tmp_path / "run" / "processes.json").write_text(content)
    result = run(tmp_path, "ps", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "home": str(tmp_path),
        "supervisor": None,
        "processes": [],
    }
    with hold(tmp_path / "rail.lock"):
        shown = run(tmp_path, "ps")
    assert f"Process {os.getpid()} works on" in shown.output


def test_restart__rail_that_does_not_run__says_so(tmp_path):
    write_state(tmp_path)
    result = run(tmp_path, "restart", "work")
    assert result.exit_code == 2 and "`proofrail up` starts all of it" in result.stderr
    assert not (tmp_path / "run" / "restart").exists()


def test_down__process_that_does_not_end__is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "STOP_PATIENCE_S", 0)
    monkeypatch.setattr(services.os, "kill", lambda pid, number: None)
    with hold(tmp_path / "rail.lock"):
        result = run(tmp_path, "down")
    assert result.exit_code == 2 and f"Process {os.getpid()} has not ended" in result.stderr


def test_wait_until__what_never_holds__is_a_halt_with_the_complaint():
    begun = time.monotonic()
    with pytest.raises(services.Halt, match="too long"):
        services._wait_until(lambda: False, 0.1, lambda: "too long")
    assert time.monotonic() - begun >= 0.1
