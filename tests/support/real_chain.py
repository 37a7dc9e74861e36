"""One real chain with the real contracts, for the tests of its client, and a node that fails.

As a program: `real_chain.py JSON` sends from another process, which may be killed on the way.
"""

from __future__ import annotations

import atexit
import http.server
import json
import os
import random
import signal
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.request import Request, urlopen

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.checked import BlockReader
from orchestrator.edges.chain.client import Call, Chain
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.nodes import Nodes
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import Store
from scripts.deploy import development_plan
from services import anvil
from services.testnet import Testnet

MINTER, REGISTRAR = 3, 4  # development accounts, as scripts.deploy plans them


def has_anvil() -> bool:
    return anvil.find() is not None


@dataclass
class RealChain:
    """A chain that mines at once, with a client of it."""

    testnet: Testnet
    deployment: Deployment
    client: Chain

    def sender(self, store: Store, index: int, client: Chain | None = None) -> Sender:
        return Sender(store, client or self.client, keystore.development_account(index))

    def at(self, url: str) -> Chain:
        """Return a client of the same contracts at another URL, such as a proxy."""
        return Chain(url, self.deployment, load_artifacts(), timeout_s=60)

    def now(self) -> int:
        return self.client.blocks([self.client.head()])[0].timestamp

    def later(self, seconds: int) -> int:
        """Moves the chain's clock on; returns the time."""
        self.testnet.mine(1, seconds)
        return self.now()

    def logs(self, contract: str, name: str) -> list[dict]:
        logs = self.client.logs_between(contract, 1, self.client.head())
        return [log.args for log in logs if log.name == name]


def reader_of(url: str) -> BlockReader:
    """A reader of blocks at a node, without contracts."""
    return BlockReader(Nodes([url]), frozenset())


@cache
def real_chain() -> RealChain:
    folder = tempfile.TemporaryDirectory(prefix="real-chain-")
    atexit.register(folder.cleanup)
    testnet = Testnet(accounts=40).start()
    atexit.register(testnet.stop)
    artifacts = load_artifacts()
    journal = Path(folder.name) / "deployment.json"
    deployment = deploy(testnet.url, artifacts, development_plan(), journal)
    return RealChain(testnet, deployment, Chain(testnet.url, deployment, artifacts))


def account_call(number: int) -> Call:
    """A call with an effect that can be counted: each one leaves a log."""
    return Call("PaymentRail", "setPayoutAccount", (number.to_bytes(32, "big"), 0))


def effects(chain: RealChain, address: str) -> list[int]:
    """The numbers of those calls, in the order they took effect."""
    return [
        int(args["account"], 16)
        for args in chain.logs("PaymentRail", "PayoutAccountSet")
        if args["payee"] == address
    ]


class FaultyNode(http.server.ThreadingHTTPServer):
    """A node at `url` that fails some of its calls, in ways that real ones do; `faults` counts.

    Some faults come before the real node has heard anything, most after it has done it all.
    """

    daemon_threads = True
    KINDS = (
        "refused",
        "lost_reply",
        "error_500",
        "too_many",
        "truncated",
        "wrong_ids",
        "twice",
        "internal_error",
        "no_result",
        "null_error",
        "not_json",
        "one_missing",
    )

    def __init__(self, upstream: str, share: int, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), NodeProxy)
        self.upstream, self.share, self.chance = upstream, share, random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def forward(self, body: bytes) -> list[dict]:
        request = Request(self.upstream, body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def fault(self) -> str:
        if self.chance.randrange(100) >= self.share:
            return ""
        kind = self.chance.choice(self.KINDS)
        self.faults[kind] += 1
        return kind

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class NodeProxy(http.server.BaseHTTPRequestHandler):
    server: FaultyNode

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.server.fault()
        if kind in ("refused", "too_many"):
            return self._say(429, b"{}") if kind == "too_many" else self._hang_up()
        answers = self.server.forward(body)
        if kind == "twice":
            answers = self.server.forward(body)
        if kind == "lost_reply":
            return self._hang_up()
        if kind == "error_500":
            return self._say(500, b"<html>oops</html>")
        self._say(200, _spoiled(answers, kind))

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _spoiled(answers: list[dict], kind: str) -> bytes:
    first = answers[0]
    if kind == "wrong_ids":
        answers = [answer | {"id": 777} for answer in answers]
    if kind == "internal_error":
        error = {"code": -32603, "message": "internal error"}
        answers = [{"jsonrpc": "2.0", "id": answer["id"], "error": error} for answer in answers]
    if kind == "no_result":
        answers = [{"jsonrpc": "2.0", "id": first["id"]}, *answers[1:]]
    if kind == "null_error":
        answers = [answer | {"error": answer.get("error")} for answer in answers]
    if kind == "one_missing":
        answers = answers[1:]
    body = json.dumps(answers).encode()
    return {"truncated": body[: len(body) // 2], "not_json": b"\x00"}.get(kind, body)


def main() -> None:
    """{"database", "url", "deployment", "account", "numbers", "die"}: sends one call per number.

    die: "" or where SIGKILL comes: "before" or "after" the first broadcast.
    """
    given = json.loads(sys.argv[1])
    chain = Chain(given["url"], Deployment(**given["deployment"]), load_artifacts())
    sender = Sender(
        Store(Path(given["database"])), chain, keystore.development_account(given["account"])
    )
    broadcast = chain.broadcast

    def deadly(raws):
        if given["die"] == "after":
            broadcast(raws)
        os.kill(os.getpid(), signal.SIGKILL)

    if given["die"]:
        chain.broadcast = deadly
    for number in given["numbers"]:
        call = ChainCall("account", str(number), account_call(number))
        send_and_wait(sender, [call], 0, lambda: None)


if __name__ == "__main__":
    main()
