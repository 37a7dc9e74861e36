"""How the rail sees an oracle: well, unwell, silent, or another one at its address."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import requests

from oracles.rulings import Ruling, SignedRuling
from oracles.wire import OracleAnswer, Request, write_rulings
from orchestrator.edges import oracles as module
from orchestrator.edges.oracles import OracleClient
from orchestrator.errors import Retry


def client(**fields) -> OracleClient:
    return OracleClient("north", "0xA", 2, "http://oracle", "a token", **fields)


def probed(monkeypatch, status=200, view=None):
    def get(url, timeout, headers, **_tls):
        if isinstance(view, Exception):
            raise view
        return SimpleNamespace(status_code=status, json=lambda: view)

    monkeypatch.setattr(module.requests, "get", get)
    return client().probe()


def test_probe__of_an_oracle_that_is_well__has_nothing(monkeypatch):
    state = probed(monkeypatch, view={"oracle": "0xA", "problems": []})
    assert (state.name, state.domain, state.error, state.unwell) == ("north", 2, "", "")
    assert probed(monkeypatch, view={"oracle": "0xA"}).unwell == ""  # of an older version


def test_probe__of_an_oracle_with_problems_of_its_own__has_them(monkeypatch):
    state = probed(monkeypatch, view={"oracle": "0xA", "problems": ["a", "b"]})
    assert (state.error, state.unwell) == ("", "a; b")


@pytest.mark.parametrize(
    ("status", "view", "error"),
    [
        (401, {}, "it answered 401"),
        (200, {"oracle": "0xB"}, "0xB answers at its address instead"),
        (200, ["no object"], "its answer is no JSON object"),
        (200, requests.ConnectTimeout("with a token"), "ConnectTimeout"),
        (200, ValueError("no JSON"), "its answer is no JSON object"),
    ],
)
def test_probe__of_anything_else__has_an_error_without_secrets(monkeypatch, status, view, error):
    assert probed(monkeypatch, status, view).error == error


def test_watch__of_each_answer__learns_outcome_and_time(monkeypatch):
    seen = []
    oracle = client(watch=lambda *what: seen.append(what[:2]))
    answers = iter([OracleAnswer("0xA", b"1" * 65), OracleAnswer("0xA", None, ()), Retry("down")])

    def ask(_self, _request):
        answer = next(answers)
        if isinstance(answer, Retry):
            raise answer
        return answer

    monkeypatch.setattr(OracleClient, "_ask", ask)
    request = Request("p", (), {}, ())
    oracle.ask(request)
    oracle.ask(request)
    with pytest.raises(Retry):
        oracle.ask(request)
    assert seen == [("north", "signed"), ("north", "refused"), ("north", "failed")]


def served_rulings(monkeypatch, status=200, chunks=(b'{"rulings":[]}',), times=None):
    """What the client makes of an answer that arrives in these chunks, at these times (s)."""

    class Reply:
        status_code = status

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def iter_content(self, _):
            return iter(chunks)

    asked = []
    monkeypatch.setattr(
        module.requests, "get", lambda url, **options: (asked.append((url, options)), Reply())[1]
    )
    if times is not None:
        monkeypatch.setattr(module.time, "monotonic", iter(times).__next__)
    answer = client().rulings()
    [(url, options)] = asked
    assert url == "http://oracle/rulings"
    assert options["headers"]["Authorization"] == "Bearer a token"
    return answer


def test_rulings__of_an_oracle__are_read_from_its_server(monkeypatch):
    ruling = Ruling("0x" + "1" * 40, b"\x07" * 32, True)
    signed = SignedRuling(ruling, "0xA", b"\x01" * 65, "Mia Vogt", "swapped", 5)
    assert served_rulings(monkeypatch, chunks=(write_rulings([signed]),)) == (signed,)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 404}, "answered 404"),
        ({"chunks": (b'{"rulings":1}',)}, "unusable form"),
        ({"chunks": (b"x" * (2 << 20),)}, "more than"),
        ({"chunks": (b"{", b"}"), "times": (0, 1, 7)}, "drips in too slowly"),
    ],
)
def test_rulings__of_an_oracle_that_answers_otherwise__are_asked_for_later(
    monkeypatch, answer, why
):
    """A hostile oracle may hold up the rail's worker for some seconds, not for ever."""
    with pytest.raises(Retry, match=why):
        served_rulings(monkeypatch, **answer)
