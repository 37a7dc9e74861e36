"""A private local chain (anvil) on a free loopback port that ends with the process."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from services.anvil import ROOT, anvil_binary

__all__ = ["CHAIN_ID", "ROOT", "Testnet", "anvil_binary", "die_with_parent"]

MNEMONIC = "test test test test test test test test test test test junk"  # public test words
CHAIN_ID = 31337
TX_GAS_LIMIT = 16_777_216  # EIP-7825
_LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(\d+)")
_STATES = "anvil-states-"  # then the id of the process that started the chain
_PDEATHSIG = 1


class Testnet:
    """One anvil process: `with Testnet() as chain: chain.url`.

    Args:
        mining: "auto" (a block per transaction), "manual" (`mine()` only) or seconds per block.
        hardfork: "" for the newest (with the P-256 precompile); "prague" has none.
        tx_gas_limit: refuse transactions above 16,777,216 gas (EIP-7825).
        state: a file that keeps the chain across runs; None keeps nothing.
        accounts: number of development keys that hold ether (mnemonic `MNEMONIC`).
    """

    __test__ = False  # pytest must not collect it

    def __init__(
        self,
        *,
        mining: str | int = "auto",
        hardfork: str = "",
        tx_gas_limit: bool = True,
        state: Path | None = None,
        accounts: int = 40,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        log: Path | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self.command = [str(anvil_binary()), "--host", "127.0.0.1", "--port", str(port)]
        self.command += ["--mnemonic", MNEMONIC, "--accounts", str(accounts)]
        self.command += _mining_options(mining)
        self.command += ["--hardfork", hardfork] if hardfork else []
        self.command += ["--enable-tx-gas-limit"] if tx_gas_limit else []
        self.command += ["--state", str(state)] if state else []
        # the newest block is `finalized` at once; by default anvil says so 64 blocks later
        self.command += ["--slots-in-an-epoch", "0"]
        self.command += list(extra)
        self.command += ["--chain-id", str(chain_id)]
        self.chain_id, self._log = chain_id, log
        self._states: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self, timeout: float = 60.0) -> Testnet:
        """Start the chain and wait until it answers.

        Raises:
            RuntimeError: it does not answer; the text ends with its log.
        """
        log = self._log or Path(tempfile.mkstemp(prefix="anvil-", suffix=".log")[1])
        offset = log.stat().st_size if log.exists() else 0
        self._states = _states_folder()
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [*self.command, "--cache-path", str(self._states)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        try:
            self.url = f"http://127.0.0.1:{self._port(log, offset, time.monotonic() + timeout)}"
            if int(self.rpc("eth_chainId"), 16) != self.chain_id:
                raise RuntimeError(f"Something else answers at {self.url}.")
            self.rpc("anvil_setLoggingEnabled", self._log is not None)
        except BaseException:
            self.stop()
            raise
        finally:
            if self._log is None:
                log.unlink(missing_ok=True)
        return self

    def stop(self) -> None:
        """End the chain; with `state` it writes the file first. Safe to call twice."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._delete_states()

    def kill(self) -> None:
        """End the chain as a power cut does."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._delete_states()

    def _delete_states(self) -> None:
        if self._states is not None:
            shutil.rmtree(self._states, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("The chain is not running.")
        return self._process.pid

    def rpc(self, method: str, *params: Any) -> Any:
        """Return the result of one JSON-RPC call.

        Raises:
            RuntimeError: the node answers with an error.
        """
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        request = urllib.request.Request(
            self.url, json.dumps(call).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            body = json.load(answer)
        if "error" in body:
            raise RuntimeError(f"{method}: {body['error']}")
        return body["result"]

    def mine(self, blocks: int = 1, seconds: int = 0) -> None:
        """Mine blocks now, after moving the chain's clock on by `seconds`."""
        if seconds:
            self.rpc("evm_increaseTime", seconds)
        self.rpc("anvil_mine", hex(blocks))

    def __enter__(self) -> Testnet:
        return self if self._process else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _port(self, log: Path, offset: int, deadline: float) -> str:
        process = self._process
        while process is not None and time.monotonic() < deadline:
            ended = process.poll() is not None
            output = log.read_bytes()[offset:].decode(errors="replace")
            match = _LISTENING.search(output)
            if match and not ended:
                return match.group(1)
            if ended:
                raise RuntimeError(f"anvil ended with {process.returncode}: {output[-800:]}")
            time.sleep(0.01)
        raise RuntimeError("anvil did not start in time.")


def _states_folder() -> Path:
    """Return a new folder for the states of past blocks, which anvil itself leaves behind.

    Those of processes that were killed, and their chains with them, are deleted.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_STATES}*"):
        owner = folder.name.removeprefix(_STATES).partition("-")[0]
        if owner.isdigit() and not _is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_STATES}{os.getpid()}-"))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def _mining_options(mining: str | int) -> list[str]:
    if mining == "auto":
        return []
    return ["--no-mining"] if mining == "manual" else ["--block-time", str(int(mining))]


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run one chain in the foreground until interrupted."""
    with Testnet() as chain:
        print(f"chain {chain.chain_id} at {chain.url}, pid {chain.pid}; Ctrl-C ends it", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
