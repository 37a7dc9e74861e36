"""Idle connections keep nobody out and take no descriptor that something else needs."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
import uvicorn

from services.connections import bounded_protocol, most_connections, server_options
from tests.support.source_tree import ROOT

PATIENCE_S = 120


async def answers(scope, receive, send):
    """An app whose answer to /slow waits until the test lets it go."""
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        slow.began.set()
        while not slow.go.is_set():
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"well"})


class Slow:
    began, go = threading.Event(), threading.Event()


slow = Slow()


@contextmanager
def served(**options):
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    server = uvicorn.Server(uvicorn.Config(answers, log_level="critical", **options))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def get(address, path="/"):
    return httpx.get("http://{}:{}{}".format(*address, path), timeout=PATIENCE_S)


def test_connections__far_more_than_the_limit__end_the_oldest_idle_ones(tmp_path):
    with served(http=bounded_protocol(8, silent_s=10_000)) as address, ExitStack() as held:
        idle = [held.enter_context(socket.create_connection(address)) for _ in range(50)]
        assert get(address).text == "well"
        for wire in idle[:40]:
            wire.settimeout(PATIENCE_S)
            with suppress(ConnectionError):  # closed at once, without a farewell
                assert wire.recv(1) == b""


def test_request__that_is_being_answered__is_never_cut(tmp_path):
    slow.began.clear(), slow.go.clear()
    results = []
    with served(**server_options(8)) as address, ExitStack() as held:
        asking = threading.Thread(target=lambda: results.append(get(address, "/slow").text))
        asking.start()
        assert slow.began.wait(PATIENCE_S)
        for _ in range(50):
            held.enter_context(socket.create_connection(address))
        assert get(address).text == "well"
        slow.go.set()
        asking.join()
    assert results == ["well"]


def test_connection__that_sends_nothing__is_closed():
    protocol = bounded_protocol(8, silent_s=0.2)
    with served(http=protocol) as address, socket.create_connection(address) as wire:
        wire.settimeout(PATIENCE_S)
        with suppress(ConnectionError):
            assert wire.recv(1) == b""


@pytest.mark.parametrize("half", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_connection__whose_header_never_ends__is_closed(half):
    protocol = bounded_protocol(8, silent_s=0.2)
    with served(http=protocol) as address, socket.create_connection(address) as wire:
        wire.settimeout(PATIENCE_S)
        wire.sendall(half)
        with suppress(ConnectionError):
            assert wire.recv(1) == b""


@pytest.mark.parametrize(
    ("wanted", "open_files", "most"), [(512, 1_000_000, 512), (512, 600, 344), (512, 256, 8)]
)
def test_most_connections__of_a_small_process__leave_files_for_the_rest(wanted, open_files, most):
    assert most_connections(wanted, open_files) == most


FLOOD = """
import resource, socket, sqlite3, threading, httpx, uvicorn, logging
resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
logging.disable(logging.CRITICAL)
from services.connections import bounded_protocol, most_connections, raise_open_files

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    sqlite3.connect({path!r}).execute("SELECT 1").fetchone()  # needs a descriptor
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": b"well"}})

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
most = most_connections(512, raise_open_files())
options = {{"http": bounded_protocol(most, silent_s=10_000)}}
server = uvicorn.Server(uvicorn.Config(app, log_level="critical", **options))
threading.Thread(target=server.run, args=([listener],), daemon=True).start()
print(listener.getsockname()[1], flush=True)
input()
"""


def test_server__with_600_files_and_1100_idle_connections__still_answers(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard[1] > 2_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard[1]), hard[1]))
    code = FLOOD.format(path=str(tmp_path / "base"))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = ("127.0.0.1", int(process.stdout.readline()))
        with ExitStack() as held:
            for _ in range(1_100):
                held.enter_context(socket.create_connection(address, timeout=PATIENCE_S))
            assert get(address).text == "well"
        assert process.poll() is None
    finally:
        process.communicate("\n", timeout=PATIENCE_S)
        resource.setrlimit(resource.RLIMIT_NOFILE, hard)
