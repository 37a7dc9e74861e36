"""Keeps one anvil: mines when there is work, stores its state, and says which block is final.

A block is final here when a dump holds it. However this process ends, the next one starts from
the newest dump: blocks above it are gone, as in a reorganisation, and waiting transactions too, so
senders send their stored bytes again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from logging import Logger
from typing import Any

from orchestrator.errors import Retry
from services.chain import calls
from services.chain.dumps import Dump, Dumps
from services.chain.node import NodeLink
from services.chain.schedule import Action, Schedule
from services.testnet import Testnet

_STATES_KEPT = 256  # anvil answers questions about the state at so many blocks; none is on its disk
_LOOK_S = 1.0  # how soon the end of anvil is noticed
_LATEST: tuple[str, list[Any]] = ("eth_getBlockByNumber", ["latest", False])


class Keeper:
    """One chain and its keeper; `start` before anything else.

    Args:
        dumps: the chain's files, claimed by this process.
        schedule: when to mine and to store.
        log: where problems are reported.
        port: anvil's port; 0 for a free one.
        genesis_at: Unix seconds of block 0 of a new chain; None for now. The clock of a new chain
            goes on from there until somebody sets it (`evm_setNextBlockTimestamp`).
        clock: monotonic seconds, the clock of the schedule.
        today: Unix seconds; a chain that starts again is at least there.

    Attributes:
        final: the number of the newest block that a dump holds.
        problem: why the newest dump could not be written; "" if it was.
    """

    def __init__(
        self,
        dumps: Dumps,
        schedule: Schedule,
        log: Logger,
        *,
        port: int = 0,
        genesis_at: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
    ) -> None:
        self._dumps, self._schedule, self._log, self._clock = dumps, schedule, log, clock
        self._port, self._genesis_at, self._today = port, genesis_at, today
        self._chain = threading.RLock()  # whoever changes or stores the chain
        self._plan = threading.Condition()  # guards the schedule
        self._stopped = False
        self.final, self.problem = 0, ""

    def start(self) -> Keeper:
        """Start anvil from the newest dump, or a new chain where there was never one.

        Raises:
            Halt: There are dumps, and none can be read.
            RuntimeError: anvil does not start, or not with the dump's newest block.
        """
        dump, notes = self._dumps.newest()
        for note in notes:
            self._log.error("%s; the chain goes on from the dump before it", note)
        if dump is None:
            self.testnet = self._anvil(
                [] if self._genesis_at is None else ["--timestamp", str(self._genesis_at)]
            )
            self._node = NodeLink(self.testnet.url)
            self._dump()  # genesis has a time, so even an empty chain must not begin twice
            if self.problem:
                self.testnet.stop()
                raise RuntimeError(f"the new chain cannot be stored: {self.problem}")
        else:
            self._load(dump)
        return self

    def _anvil(self, extra: list[str]) -> Testnet:
        extra = [*extra, "--prune-history", str(_STATES_KEPT)]
        return Testnet(mining="manual", port=self._port, extra=extra).start()

    def _load(self, dump: Dump) -> None:
        file = self._dumps.folder / "loading.json"
        try:
            file.write_bytes(_with_one_genesis(dump.state()))
            # with the newest block's time: anvil forgets its clock, and would go on from now
            extra = ["--load-state", str(file), "--timestamp", str(dump.timestamp)]
            self.testnet = self._anvil(extra)
        finally:
            file.unlink(missing_ok=True)
        self._node = NodeLink(self.testnet.url)
        (latest,) = self._node.ask(_LATEST)
        if latest["hash"] != dump.block_hash:
            self.testnet.stop()
            raise RuntimeError(
                f"anvil began at block {int(latest['number'], 16)}, {latest['hash']}, and not at "
                f"block {dump.number}, {dump.block_hash}, of {dump.path.name}"
            )
        self.final = dump.number
        at = max(int(self._today()), dump.timestamp + 1)
        self._node.ask(("evm_setNextBlockTimestamp", [hex(at)]))
        # new blocks show senders that bytes in the lost pool must be sent again
        self._schedule.mined(self._clock() - self._schedule.block_s, work=True)
        self._log.info("the chain goes on from block %d of %s", dump.number, dump.path.name)

    # --- the loop

    def run(self) -> None:
        """Do what is due until `stop`.

        Raises:
            Retry: anvil ended.
        """
        while not self._stopped:
            wait_s = min(self.step(), _LOOK_S)
            if not self.testnet.running:
                raise Retry("anvil ended")
            with self._plan:
                if not self._stopped and wait_s > 0:
                    self._plan.wait(wait_s)

    def step(self) -> float:
        """Do one thing if it is due; return seconds until the next one is (0: at once)."""
        with self._plan:
            action, wait_s = self._schedule.next(self._clock())
        if wait_s > 0:
            return wait_s
        if action is Action.DUMP:
            self._dump()
        else:
            self._mine(action)
        return 0.0

    def end_loop(self) -> None:
        """Have `run` return after what it is doing."""
        with self._plan:
            self._stopped = True
            self._plan.notify_all()

    def stop(self) -> bool:
        """Store what is not stored and end anvil, after `run`; return whether all is stored."""
        try:
            if self._schedule.waiting:
                self._mine(Action.MINE)
            if self._schedule.undumped:
                self._dump()
        except Retry as error:
            self._log.error("the chain is not stored: %s", error)
        finally:
            self.testnet.stop()
        return not self._schedule.undumped

    def _mine(self, action: Action) -> None:
        blocks = self._schedule.depth if action is Action.COVER else 1
        with self._chain:
            with self._plan:
                if action is Action.MINE:
                    self._schedule.mining()
            _, latest, pool = self._node.ask(
                ("anvil_mine", [hex(blocks)]), _LATEST, ("txpool_status", [])
            )
            left = latest["transactions"] and int(pool["pending"], 16)
            if left:  # the pool drops what was mined a moment later, so it is asked again
                left = int(self._node.ask(("txpool_status", []))[0]["pending"], 16)
            with self._plan:
                now = self._clock()
                self._schedule.mined(now, work=action is Action.MINE)
                if left:  # more than one block holds
                    self._schedule.work(now)

    def _dump(self) -> None:
        began = self._clock()
        try:
            with self._chain:
                latest, packed = self._node.ask(_LATEST, ("anvil_dumpState", []))
                number, timestamp = (int(latest[name], 16) for name in ("number", "timestamp"))
                self._dumps.write(number, latest["hash"], timestamp, bytes.fromhex(packed[2:]))
                self.final = number
                with self._plan:
                    self._schedule.dumped(now := self._clock(), now - began)
        except OSError as error:
            with self._plan:
                self._schedule.not_dumped(self._clock())
            if self.problem != str(error):
                self._log.error(
                    "the chain's state cannot be written (%s): blocks above %d are not final "
                    "until it can; it is tried again by itself",
                    error,
                    self.final,
                )
            self.problem = str(error)
            return
        if self.problem:
            self._log.info("the chain's state is written again, up to block %d", self.final)
        self.problem = ""

    # --- calls

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a JSON-RPC body, one call or a batch.

        Raises:
            Retry: anvil does not answer.
        """
        batch = calls.parse(body)
        if batch is None:
            return calls.error_body("the body is neither a call nor a batch of calls, in JSON")
        if any(calls.is_refused(call) for call in batch):
            return self._answer_each(body, batch)
        return self._forward(body, batch)

    def _answer_each(self, body: bytes, batch: list[dict[str, Any]]) -> bytes:
        refused = [calls.refusal(call) for call in batch if calls.is_refused(call)]
        rest = [call for call in batch if not calls.is_refused(call)]
        if not body.lstrip().startswith(b"["):
            return json.dumps(refused[0]).encode()
        answers = json.loads(self._forward(json.dumps(rest).encode(), rest)) if rest else []
        return json.dumps([*refused, *answers]).encode()

    def _forward(self, body: bytes, batch: list[dict[str, Any]]) -> bytes:
        final = self.final
        tagged = [calls.with_final(call, final) for call in batch]
        if tagged != batch:
            is_batch = body.lstrip().startswith(b"[")
            body = json.dumps(tagged if is_batch else tagged[0]).encode()
        if any(calls.changes_chain(call) for call in batch):
            return self._change(body)
        answer = self._node.post(body)
        if any(call.get("method") in calls.SENDS for call in batch):
            with self._plan:
                self._schedule.work(self._clock())
                self._plan.notify_all()
        return answer

    def _change(self, body: bytes) -> bytes:
        """Forward calls that change the chain by hand, such as `evm_mine` or `evm_revert`."""
        with self._chain:
            answer = self._node.post(body)
            (latest,) = self._node.ask(_LATEST)
            self.final = min(self.final, int(latest["number"], 16))
            with self._plan:
                self._schedule.changed(self._clock())
                self._plan.notify_all()
        return answer

    def health(self) -> dict[str, Any]:
        """Return {"head", "final", "problem"}, for people and monitors.

        Raises:
            Retry: anvil does not answer.
        """
        (latest,) = self._node.ask(_LATEST)
        return {
            "head": int(latest["number"], 16),
            "final": self.final,
            "problem": self.problem,
        }


def _with_one_genesis(state: bytes) -> bytes:
    """Return a dumped state with the oldest block 0 alone.

    anvil makes a block 0 at each start, dumps all that it ever had, and takes any one of them when
    it loads them: the chain would get another genesis at its second restart.
    """
    content = json.loads(state)
    headers = [block["header"] for block in content["blocks"]]
    oldest = min(int(header["timestamp"], 16) for header in headers)
    content["blocks"] = [
        block
        for block, header in zip(content["blocks"], headers, strict=True)
        if int(header["number"], 16) or int(header["timestamp"], 16) == oldest
    ]
    return json.dumps(content).encode()
