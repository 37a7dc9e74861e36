"""The doctor: each trouble of an operator's night is found, named, and has a next step."""

from __future__ import annotations

import json
import os
import resource
import socket
from contextlib import contextmanager

import pytest

from orchestrator.home_lock import hold
from orchestrator.settings import CONFIGURATION, read_settings
from services import anvil, doctor, new_home
from services.doctor import CheckState, Finding, examine
from services.new_home import development_home, server_home
from tests.support.server_answers import ACCOUNT, ORACLE, ScatteredPorts

NOW = 1_800_000_000
GENESIS, RAIL = "0x" + "11" * 32, "0x" + "22" * 20
DEPLOYMENT = {"chain_id": 31337, "genesis": GENESIS, "addresses": {"PaymentRail": RAIL}}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("doctor") / "home"
    settings = new_home.make(development_home(home, ports=ScatteredPorts()))
    settings.deployment.write_text(json.dumps({"deployment": DEPLOYMENT}))
    return home


def node(chain_id=31337, genesis=GENESIS, code="0x6080", age=5):
    """A node that answers so."""

    def ask(url, calls):
        assert next(method for method, _ in calls) == "eth_chainId"
        return [hex(chain_id), {"hash": genesis}, code, {"timestamp": hex(NOW - age)}]

    return ask


def silent(url, calls):
    raise ConnectionRefusedError("Connection refused")


def found(home, check: str, ask=silent) -> list[Finding]:
    findings = examine(read_settings(home), ask, lambda: NOW)
    return [finding for finding in findings if finding.check == check]


def problem(home, check: str, ask=silent) -> Finding:
    (finding,) = [f for f in found(home, check, ask) if f.severity is CheckState.PROBLEM]
    assert finding.next_step
    return finding


@contextmanager
def running(home, *states: str):
    """The home of a rail that runs, with processes at these states."""
    settings = read_settings(home)
    processes = [
        {"name": f"p{number}", "state": state, "restarts": 3} for number, state in enumerate(states)
    ]
    with hold(settings.lock):
        settings.run.mkdir(exist_ok=True)
        (settings.run / "processes.json").write_text(json.dumps({"processes": processes}))
        yield


def test_examine__a_new_home__has_no_problem(home):
    findings = examine(read_settings(home), silent, lambda: NOW)
    assert not [f for f in findings if f.severity is CheckState.PROBLEM]
    assert found(home, "processes")[0].next_step == "proofrail up"


@pytest.mark.parametrize(
    "name",
    [
        "deployment.json",
        "broker/credentials.json",
        "keys/receipt.pem",
        "keys/bank.token",
        "keys/broker.password",
        "proofrail.sqlite3",
        "oracles/bank/oracle.sqlite3",
    ],
)
def test_files__one_that_holds_garbage__is_named_with_the_way_back(home, name):
    path = home / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_bytes(b"\x9d\xc3\x00 not what it was \xff" * 40)
    try:
        finding = problem(home, "files")
        assert str(path) in finding.observed and "from a backup" in finding.next_step
        assert not [f for f in found(home, "node") if "deployed" in f.observed]
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def test_examine__no_configuration__is_the_only_finding(tmp_path):
    settings = read_settings(tmp_path)
    (finding,) = examine(settings, silent)
    assert finding.severity is CheckState.PROBLEM and CONFIGURATION in finding.observed


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        (silent, "gives no usable answer: Connection refused"),
        (lambda url, calls: [None] * 4, "gives no usable answer"),
        (node(chain_id=1), "another chain"),
        (node(genesis="0x" + "33" * 32), "another chain"),
        (node(code="0x"), "lost its blocks"),
    ],
)
def test_node__that_is_not_the_rails_own__is_a_problem(home, answers, text):
    with running(home, "ready"):
        assert text in problem(home, "node", answers).observed


def test_clock__compared_with_the_newest_block__is_judged_both_ways(home):
    with running(home, "ready"):
        assert found(home, "clock", node())[0].severity is CheckState.OK
        assert found(home, "clock", node(age=3_600))[0].severity is CheckState.WARNING
        assert "3600 s ahead" in problem(home, "clock", node(age=-3_600)).observed


def test_node__contracts_not_deployed__says_what_makes_them(home, tmp_path):
    settings = read_settings(home)
    away = tmp_path / "deployment.json"
    settings.deployment.rename(away)
    try:
        with running(home, "ready"):
            assert problem(home, "node", node()).next_step == "wait for proofrail up"
    finally:
        away.rename(settings.deployment)


def test_processes__one_that_rests__is_a_problem_with_its_log(home):
    with running(home, "ready", "resting", "done"):
        finding = problem(home, "processes", node())
    assert "p1 is resting, restarted 3 times" in finding.observed
    assert finding.next_step == "proofrail logs p1"


def test_ports__taken_by_another_program__are_a_problem_before_the_start(home):
    port = read_settings(home).api_port
    with socket.create_server(("127.0.0.1", port)):
        assert f"another program listens on 127.0.0.1:{port}" in problem(home, "ports").observed
    with running(home, "ready"):
        silent_parts = [f for f in found(home, "ports", node()) if f.severity is CheckState.PROBLEM]
    assert len(silent_parts) == 8  # API, chain, broker (two ports) and four oracles


def test_file_modes__a_secret_that_others_can_read__is_named_with_its_chmod(home):
    secret = home / "oracles" / "bank" / "key.json"
    secret.chmod(0o640)
    try:
        assert problem(home, "file modes").next_step.startswith(f"chmod 600 {secret}")
    finally:
        secret.chmod(0o600)
    home.chmod(0o755)
    try:
        assert problem(home, "file modes").next_step.startswith(f"chmod 700 {home}")
    finally:
        home.chmod(0o700)


def test_keys__missing_or_of_another_password__are_problems(home):
    password = home / "keys" / "password"
    right = password.read_text()
    password.write_text("wrong")
    try:
        problems = [f for f in found(home, "keys") if f.severity is CheckState.PROBLEM]
        assert [f.observed.partition(":")[0] for f in problems] == ["sender", "minter", "warden"]
    finally:
        password.write_text(right)
    token = home / "keys" / "bank.token"
    token.rename(home / "keys" / "away")
    try:
        assert "bank.token is missing" in problem(home, "keys").observed
    finally:
        (home / "keys" / "away").rename(token)


def test_disk__nearly_full__is_a_problem_and_scarce_is_a_warning(home, monkeypatch):
    real = os.statvfs(home)

    def statvfs(free: int, files: int = 10**6):
        blocks = free // real.f_frsize
        values = list(real)
        values[4], values[7] = blocks, files  # f_bavail, f_favail
        return lambda path: os.statvfs_result(values)

    monkeypatch.setattr(doctor.os, "statvfs", statvfs(50 * 1024**2))
    assert "GiB free" in problem(home, "disk").observed
    monkeypatch.setattr(doctor.os, "statvfs", statvfs(500 * 1024**2))
    assert found(home, "disk")[0].severity is CheckState.WARNING
    monkeypatch.setattr(doctor.os, "statvfs", statvfs(10**10, files=10))
    assert "only 10 more files" in problem(home, "disk").observed


def test_open_files__a_low_limit__is_a_warning(home, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    assert found(home, "open files")[0].severity is CheckState.WARNING


def test_anvil__not_on_this_machine__is_a_warning(home, monkeypatch):
    monkeypatch.setattr(anvil, "find", lambda: None)
    assert found(home, "anvil")[0].severity is CheckState.WARNING


def test_others__an_oracle_elsewhere_that_is_silent__is_a_problem(tmp_path):
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{trial.getsockname()[1]}"
    plan = server_home(tmp_path / "home", "http://127.0.0.1:1", [{**ORACLE, "url": url}], ACCOUNT)
    new_home.make(plan)
    assert "does not answer" in problem(tmp_path / "home", "oracle north").observed
    assert problem(tmp_path / "home", "node").next_step == "proofrail init --rpc URL"
