"""The stack's home: never somebody else's folder, its keys private, its processes its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from orchestrator.edges.chain import keystore
from orchestrator.errors import Halt
from scripts.stack import ORACLES, Stack


def test_prepare__folder_that_holds_something_else__is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Halt, match="is not empty and holds no rail"):
        Stack(tmp_path, 0).prepare()
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_prepare__home_of_an_older_rail__is_emptied(tmp_path):
    home = tmp_path / "home"
    Stack(home, 0).prepare()
    (home / "proofrail.sqlite3").write_text("old")
    Stack(home, 0).prepare()
    assert not (home / "proofrail.sqlite3").exists() and (home / "rail.json").exists()


def test_prepare__keys__are_for_their_owner_only_and_no_oracles_among_the_rails(tmp_path):
    stack = Stack(tmp_path / "home", 0)
    stack.prepare()
    keys = stack.settings.keys
    assert {path.stat().st_mode & 0o077 for path in keys.iterdir() if path.is_file()} == {0}
    held = {keystore.load(keys, name).address for name in keystore.names(keys)}
    oracles = {keystore.development_account(5 + n).address for n in range(len(ORACLES))}
    assert not held & oracles  # the rail cannot forge an attestation: it has none of their keys


def test_stop__by_process_id__ends_only_what_it_started(tmp_path):
    wait = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
    mine, other = (subprocess.Popen(wait, stdout=subprocess.PIPE) for _ in range(2))
    for process in (mine, other):
        process.stdout.readline()
    stack = Stack(tmp_path / "home", 0, processes={"mine": mine})
    stack.stop("mine")
    stack.stop("mine")
    stack.stop("nobody")
    assert mine.returncode == -signal.SIGTERM and other.poll() is None
    os.kill(other.pid, signal.SIGKILL)
    other.wait()


def test_start__program_that_fails__says_how_its_log_ends(tmp_path):
    stack = Stack(tmp_path / "home", 0)
    stack.prepare()
    ready = stack._ready("broker")
    stack._start("broker", "scripts.run_broker", "--no-such-flag")
    with pytest.raises(Halt, match=r"broker did not start \(exit 2\).*are required: --home"):
        stack._wait_ready("broker", ready)
