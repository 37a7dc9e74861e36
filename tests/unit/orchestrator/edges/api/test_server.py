"""The API on a real server and a real socket: bodies without end, many callers, clean answers."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
import uvicorn

from orchestrator.edges.store.tables import EventRow
from tests.support.api_rail import RAW, ApiRail


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    yield rail
    rail.close()


@pytest.fixture(scope="module")
def address(rail):
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(rail.app, log_level="critical"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()
    listener.close()


def head(rail, *lines):
    key = f"Authorization: Bearer {rail.keys['acme']}"
    fixed = ("POST /v1/evidence HTTP/1.1", "Host: x", key, "Content-Type: text/plain")
    return "\r\n".join((*fixed, *lines, "", "")).encode()


def answer_of(wire):
    """(status, problem) of an answer after which the server closes, even with unread bytes."""
    raw = b""
    with suppress(ConnectionError):
        while part := wire.recv(65_536):
            raw += part
    header, _, body = raw.partition(b"\r\n\r\n")
    return int(header.split()[1]), json.loads(body)


def test_server__a_body_declared_enormous__is_answered_before_a_byte_of_it(rail, address):
    with socket.create_connection(address) as wire:
        wire.sendall(head(rail, "Content-Length: 1000000000000"))
        status, problem = answer_of(wire)
    assert (status, problem["code"]) == (413, "body_too_large")


def test_server__chunks_without_end__are_cut_off_with_a_problem(rail, address):
    with socket.create_connection(address) as wire:
        wire.sendall(head(rail, "Transfer-Encoding: chunked"))
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        with suppress(ConnectionError):  # it may have answered and closed before the last of them
            wire.sendall(chunk * 8)  # 262,144 bytes, beyond the 200,000 of this rail, and no end
        status, problem = answer_of(wire)
    assert (status, problem["code"]) == (413, "body_too_large")


def test_server__many_callers_at_once__each_gets_its_own_answer_once(rail, address):
    url = "http://{}:{}/v1/evidence".format(*address)
    records = rail.device().make_records(24)
    headers = RAW | {"Authorization": f"Bearer {rail.keys['acme']}"}

    def send(record):
        return httpx.post(url, content=record, headers=headers, timeout=60).json()

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(send, records))
    assert [a["records"][0]["outcome"] for a in answers] == ["accepted"] * 24
    assert sorted(a["records"][0]["counter"] for a in answers) == sorted(range(1, 25))
    assert len(rail.rows(EventRow)) == 24


def test_server__a_failure_while_others_call__harms_none_of_them(rail, address):
    base = "http://{}:{}".format(*address)
    rail.chain.away = True
    headers = RAW | {"Authorization": f"Bearer {rail.keys['acme']}"}
    waiting = httpx.post(f"{base}/v1/evidence", content=rail.record(), headers=headers)
    rail.chain.away = False
    assert waiting.status_code == 503
    assert httpx.get(f"{base}/health").json() == {"status": "ok"}
