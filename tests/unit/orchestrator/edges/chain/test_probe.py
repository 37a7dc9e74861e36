"""The probe of a node answers for every kind of answer, and for none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import requests

from orchestrator.edges.chain import probe as module
from orchestrator.edges.chain.probe import probe_node

OURS = SimpleNamespace(chain_id=31337, genesis="0xaa")
RESULTS = ["0x7a69", {"hash": "0xaa"}, {"number": "0x9", "timestamp": "0x64"}]


def answering(monkeypatch, answer):
    def post(url, json, timeout):
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(json=lambda: answer)

    monkeypatch.setattr(module.requests, "post", post)
    return probe_node("http://node", OURS)


def results(*changed):
    values = [*RESULTS]
    for index, value in changed:
        values[index] = value
    return [{"id": index, "result": value} for index, value in enumerate(values)]


def test_node__of_this_chain__shows_its_newest_block(monkeypatch):
    state = answering(monkeypatch, results())
    assert (state.error, state.other, state.number, state.block_time) == ("", "", 9, 100)


@pytest.mark.parametrize("change", [(0, "0x1"), (1, {"hash": "0xbb"})])
def test_node__of_another_chain__is_named(monkeypatch, change):
    assert "has chain id" in answering(monkeypatch, results(change)).other


@pytest.mark.parametrize(
    "answer",
    [
        requests.ConnectionError("refused"),
        requests.Timeout("slow"),
        {"error": "one object for a batch"},
        [],
        [{"id": 0, "error": {}}],
        results((2, None)),
        results((0, "words")),
    ],
)
def test_node__that_gives_no_usable_answer__has_an_error(monkeypatch, answer):
    state = answering(monkeypatch, answer)
    assert state.error.startswith("http://node") and "refused" not in state.error
