"""The keeper of the chain as a process: signals, kills in the middle of a dump, a taken port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from services.chain.dumps import Dumps
from services.testnet import die_with_parent
from tests.support.kept_chain import ask, number_of
from tests.support.real_chain import has_anvil
from tests.support.source_tree import ROOT

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
_PATIENCE_S = 120


class Kept:
    """A keeper's process; it dies with the test."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self.home, self.ready = home, home / "chain.json"
        self.ready.unlink(missing_ok=True)
        home.mkdir(exist_ok=True)
        self.log = (home / "log").open("ab+")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stderr=self.log,
            preexec_fn=die_with_parent,
        )

    def serving(self) -> Kept:
        until(lambda: self.ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()
        ready = json.loads(self.ready.read_text())
        assert ready["pid"] == self.process.pid
        self.url = ready["rpc_url"]
        return self

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read().decode()

    def end(self, sign: int) -> int:
        self.process.send_signal(sign)
        return self.process.wait(_PATIENCE_S)


def keeper(home: Path, port: int = 0) -> Kept:
    return Kept(
        home,
        *("-m", "services.chain", "--home", str(home), "--port", str(port)),
        *("--block-seconds", "0.2", "--ready-file", str(home / "chain.json")),
    )


def until(reached) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pay(url: str) -> str:
    accounts = ask(url, "eth_accounts")
    transfer = {"from": accounts[0], "to": accounts[1], "value": "0x1"}
    return ask(url, "eth_sendTransaction", transfer)


def children(pid: int) -> list[int]:
    return [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and parent_of(path) == pid
    ]


def parent_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def test_terminate__with_a_transaction_waiting__stores_it_ends_anvil_and_exits_with_0(tmp_path):
    kept = keeper(tmp_path / "home").serving()
    (anvil,) = children(kept.process.pid)
    paid = pay(kept.url)
    assert kept.end(signal.SIGTERM) == 0, kept.said()
    assert not Path(f"/proc/{anvil}").exists()
    again = keeper(tmp_path / "home").serving()
    assert ask(again.url, "eth_getTransactionReceipt", paid)["status"] == "0x1"
    assert again.end(signal.SIGINT) == 0


@pytest.mark.parametrize("step", ["half written", "renamed"])
def test_kill__in_the_middle_of_a_dump__loses_no_block_that_was_final(tmp_path, step):
    home = tmp_path / "home"
    home.mkdir()
    deadly = ROOT / "tests" / "support" / "kept_chain.py"
    module = ".".join(deadly.relative_to(ROOT).with_suffix("").parts)
    kept = Kept(home, "-m", module, str(home), str(home / "chain.json"), step).serving()
    (anvil,) = children(kept.process.pid)
    finals = [number_of(kept.url, "finalized")]
    paid = pay(kept.url)
    until(lambda: watched(kept, finals))
    assert kept.process.returncode == -signal.SIGKILL
    until(lambda: not alive(anvil))
    stored = step == "renamed"
    newest = Dumps(home / "chain").newest()[0].number
    assert newest >= 4 if stored else newest == 0  # a busy machine may see the work in two blocks
    again = keeper(home).serving()
    assert number_of(again.url, "finalized") >= max(finals)
    receipt = ask(again.url, "eth_getTransactionReceipt", paid)
    assert (receipt is not None) == stored
    until(lambda: number_of(again.url, "finalized") >= (7 if stored else 3))
    assert again.end(signal.SIGTERM) == 0


def watched(kept: Kept, finals: list[int]) -> bool:
    """Note what the keeper calls final, until it has ended."""
    with suppress(requests.RequestException, RuntimeError):
        finals.append(number_of(kept.url, "finalized"))
    return kept.process.poll() is not None


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_anvil__that_ends__ends_its_keeper_with_1(tmp_path):
    kept = keeper(tmp_path / "home").serving()
    (anvil,) = children(kept.process.pid)
    os.kill(anvil, signal.SIGKILL)
    assert kept.process.wait(_PATIENCE_S) == 1
    assert "the chain ended: anvil" in kept.said()


def test_second_keeper__of_a_home__says_so_and_changes_nothing(tmp_path):
    kept = keeper(tmp_path / "home").serving()
    second = Kept(tmp_path / "other", "-m", "services.chain", "--home", str(kept.home))
    assert second.process.wait(_PATIENCE_S) == 1
    assert "another process keeps the chain" in second.said()
    assert number_of(kept.url, "latest") == 0
    kept.end(signal.SIGTERM)


def test_port__that_is_taken__is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        kept = keeper(tmp_path / "home", other.getsockname()[1])
        assert kept.process.wait(_PATIENCE_S) == 1
        assert f"cannot listen on 127.0.0.1:{other.getsockname()[1]}" in kept.said()
