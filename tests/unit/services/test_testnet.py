"""The local chain leaves nothing on the disk, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from services.testnet import Testnet
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
_IN_MEMORY = 1_100  # blocks, more than anvil keeps the states of in its memory
_STARTED_AND_KILLED = """
import os, signal
from services.testnet import Testnet
chain = Testnet().start()
print(chain.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where temporary files go; anvil's own place for states is there as well."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_testnet__with_states_on_the_disk__deletes_them_at_its_end(folder, end):
    """They were in ~/.foundry/anvil/tmp, and filled the disk."""
    chain = Testnet().start()
    chain.mine(_IN_MEMORY)
    (states,) = folder.glob("anvil-states-*")
    assert any(path.is_file() for path in states.rglob("*"))
    getattr(chain, end)()
    assert not states.exists() and not (folder / "user" / ".foundry").exists()


def test_testnet__whose_process_was_killed__its_states_are_deleted_by_the_next_one(folder):
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTED_AND_KILLED], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout.readline().strip().isdigit()
    (states,) = folder.glob("anvil-states-*")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    with Testnet():
        (own_states,) = folder.glob("anvil-states-*")
    assert own_states != states and not list(folder.glob("anvil-states-*"))
    starter.stdout.close()


def test_testnet__next_to_one_that_runs__leaves_its_states(folder):
    with Testnet():
        (states,) = folder.glob("anvil-states-*")
        with Testnet():
            assert states.exists()
