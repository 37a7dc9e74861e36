"""The oracle's HTTP server: a token, bounded bodies, strict JSON, an answer to every request."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

from oracles.node import OracleNode
from oracles.rulings import Ruling, RulingMemory
from oracles.server import Listen, OracleServer
from oracles.types import ClaimReason
from oracles.wire import MAX_BODY_BYTES, Request, read_answer, read_rulings, write_request
from orchestrator.products.metered_energy import product
from tests.support.meter_streams import message, session_record
from tests.support.oracle_at import claim_of, oracle

TOKEN = "a token of more than sixteen characters"


@pytest.fixture
def served(tmp_path) -> Iterator[tuple[OracleNode, OracleServer]]:
    node = oracle(tmp_path)
    server = OracleServer(node, TOKEN)
    server.start()
    yield node, server
    server.stop()


def _call(server: OracleServer, method: str, path: str, body=None, token=TOKEN, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    sent = {"Authorization": f"Bearer {token}", **headers}
    connection.request(method, path, body, sent)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply.status, content


def test_attest__over_http__is_the_nodes_answer(served):
    node, server = served
    record = session_record("M1", 1)
    claim = claim_of(record)
    request = Request(product.NAME, (claim,), {}, (message(record),))
    status, body = _call(server, "POST", "/attest", write_request(request))
    assert status == 200 and read_answer(body) == node.attest(request)


def test_health__with_the_token__counts(served):
    node, server = served
    node.take([message(session_record("M1", 1))])
    status, body = _call(server, "GET", "/health")
    assert status == 200 and json.loads(body)["counts"]["evidence"] == 1


@pytest.mark.parametrize("token", ["", "another token of sixteen", TOKEN + "x", TOKEN[:-1], "ü"])
@pytest.mark.parametrize("method, path", [("GET", "/health"), ("POST", "/attest")])
def test_any_request__without_the_token__is_unauthorised_and_changes_nothing(
    served, token, method, path
):
    node, server = served
    body = write_request(Request(product.NAME, (), {}, (message(session_record("M1", 1)),)))
    status, answer = _call(server, method, path, body, token.encode("latin-1").decode("latin-1"))
    assert status == 401 and json.loads(answer)["reason"] == ClaimReason.UNAUTHORISED
    assert node.health()["counts"]["evidence"] == 0


@pytest.mark.parametrize(
    "body, headers, status, reason",
    [
        (b"{", {}, 400, "truncated"),
        (b'{"product": 1}', {}, 400, "malformed"),
        (b"\xff", {}, 400, "not_utf8"),
        (None, {"Content-Length": str(MAX_BODY_BYTES + 1)}, 413, "too_large"),
        (None, {"Content-Length": "9" * 19}, 413, "too_large"),
        (None, {"Transfer-Encoding": "chunked"}, 411, "malformed"),
    ],
)
def test_attest__a_body_that_is_none__is_refused_by_name(served, body, headers, status, reason):
    _, server = served
    answered, content = _call(server, "POST", "/attest", body, **headers)
    assert (answered, json.loads(content)["reason"]) == (status, reason)
    assert _call(server, "GET", "/health")[0] == 200


@pytest.mark.parametrize("length", ["many", "9" * 400, "-1"])
def test_attest__a_length_that_is_none__is_refused_and_harms_nobody(served, length):
    _, server = served
    # no body: what a server leaves unread when it hangs up can cost the sender the answer
    status, _ = _call(server, "POST", "/attest", **{"Content-Length": length})
    assert status in (400, 413)
    assert _call(server, "GET", "/health")[0] == 200


def test_any_request__to_another_path__is_not_found(served):
    assert _call(served[1], "GET", "/attest")[0] == 404
    assert _call(served[1], "POST", "/health", b"")[0] == 404


def test_attest__the_chain_is_silent__is_no_answer_and_no_crash(tmp_path):
    def silent(_identity):
        raise ConnectionError("no node")

    node = oracle(tmp_path)
    node.view.agreements.agreement = silent
    server = OracleServer(node, TOKEN)
    server.start()
    claim = claim_of(session_record("M1", 1))
    status, body = _call(server, "POST", "/attest", write_request(Request(product.NAME, (claim,))))
    assert (status, json.loads(body)["reason"]) == (503, "unavailable")
    assert node.health()["counts"]["attested"] == 0
    server.stop()


def test_server__a_short_token__is_refused(tmp_path):
    with pytest.raises(ValueError):
        OracleServer(oracle(tmp_path), "short")


def test_open__a_port_that_is_taken__is_named():
    taken = Listen("127.0.0.1", 0).open()
    port = taken.getsockname()[1]
    try:
        with pytest.raises(OSError, match=f":{port}: Address already in use"):
            Listen("127.0.0.1", port).open()
    finally:
        taken.close()


def test_rulings__with_the_token__are_those_that_people_decided_on_every_rail(served):
    node, server = served
    ruling = Ruling(node.identity.rail, b"\x07" * 32, True)
    memory = RulingMemory(node.memory.path)
    signed = memory.sign(ruling, node.identity.address, lambda _: b"\x01" * 65, "Mia", "", 5)
    former = memory.sign(
        Ruling("0x" + "9" * 40, b"\x09" * 32, False), "0x", lambda _: b"\x01" * 65, "", "", 6
    )
    status, body = _call(server, "GET", "/rulings")
    assert status == 200 and read_rulings(body) == (signed, former)
    assert _call(server, "GET", "/rulings", token="another token of sixteen")[0] == 401
