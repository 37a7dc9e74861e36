"""The table of a rail's processes, and how one of them is started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from orchestrator.settings import OracleSettings, Settings
from services.processes import PRELOADED, Process, rail_processes, start

ROOT = Path(__file__).resolve().parents[3]
ORACLES = tuple(
    OracleSettings(
        name=name,
        domain=1,
        address=f"0x{'11' * 20}",
        url=f"http://127.0.0.1:{port}",
        embedded=embedded,
    )
    for name, port, embedded in (("north", 9001, True), ("far", 9002, False))
)


def settings_of(home: Path, **fields: object) -> Settings:
    return Settings(home=home, oracles=ORACLES, rpc_url="http://127.0.0.1:8600", **fields)


def test_table__rail_with_everything_embedded__has_each_process_with_its_port(tmp_path):
    table = {process.name: process for process in rail_processes(settings_of(tmp_path), 77)}
    assert list(table) == ["chain", "set-up", "broker", "oracle-north", "bank", "orchestrator"]
    assert _option(table["chain"], "--port") == "8600"
    assert _option(table["broker"], "--port") == "1883"
    assert _option(table["oracle-north"], "--http-port") == "9001"
    assert _option(table["oracle-north"], "--rpc") == "http://127.0.0.1:8600"
    assert _option(table["orchestrator"], "--supervisor") == "77"
    assert [name for name, process in table.items() if process.job] == ["set-up"]


def test_table__parts_that_are_elsewhere__have_no_process_and_nothing_waits_for_them(tmp_path):
    absent = {"chain_embedded": False, "broker_embedded": False, "bank_simulated": False}
    table = {p.name: p for p in rail_processes(settings_of(tmp_path, **absent), 77)}
    assert list(table) == ["set-up", "oracle-north", "orchestrator"]
    assert {need for process in table.values() for need in process.needs} == {"set-up"}


def test_table__each_process__has_a_module_and_stands_after_what_it_needs(tmp_path):
    earlier: set[str] = set()
    for process in rail_processes(settings_of(tmp_path), 77):
        assert find_spec(process.module) and set(process.needs) <= earlier
        earlier.add(process.name)


def test_modules__loaded_before_the_forks__start_no_thread_and_keep_the_recursion_limit():
    """A thread of the server would be missing in its forks, with the locks that it held."""
    code = "import importlib, sys, threading\n"
    code += f"for name in {PRELOADED!r}: importlib.import_module(name)\n"
    code += "print(threading.active_count(), sys.getrecursionlimit())"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "1000"]


def test_start__module_that_does_not_exist__ends_and_its_log_says_why(tmp_path):
    process = Process("lost", "services.no_such_module", (), ready=tmp_path / "run" / "lost.json")
    child = start(process, tmp_path / "logs")
    child.join(240)
    assert child.exitcode == 1
    assert "No module named 'services.no_such_module'" in (tmp_path / "logs/lost.log").read_text()


def test_start__process_that_runs__has_a_session_of_its_own_and_the_variables(tmp_path):
    process = Process("tiny", "tests.support.tiny_services", _serve(tmp_path), ready=_at(tmp_path))
    child = start(process, tmp_path / "logs", {"PROOFRAIL_TEST_MARK": "here"})
    deadline = time.monotonic() + 240
    while not process.serves():
        assert child.exitcode is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert os.getsid(child.pid) == child.pid
    assert "PROOFRAIL_TEST_MARK" not in os.environ
    assert "serving with mark here" in (tmp_path / "logs" / "tiny.log").read_text()
    child.terminate()
    child.join()
    assert child.exitcode == 0


def _at(home: Path) -> Path:
    return home / "run" / "tiny.json"


def _serve(home: Path) -> tuple[str, ...]:
    return ("serve", "--ready-file", str(_at(home)))


def _option(process: Process, name: str) -> str:
    return process.arguments[process.arguments.index(name) + 1]
