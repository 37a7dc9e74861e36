"""How the rail sees an oracle: well, unwell, silent, or another one at its address."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import requests

from oracles.wire import OracleAnswer, Request
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
