"""An oracle's loop: it reads the chain only when a block is new, and again after a failure."""

from __future__ import annotations

from types import SimpleNamespace

from orchestrator.edges.chain.client import SeenBlock
from orchestrator.errors import Retry
from services import oracle


def test_follow__while_no_block_is_new__catches_up_once_and_again_after_a_failure(monkeypatch):
    first, second = (SeenBlock(1, name, "", 0) for name in ("a", "b"))
    heads = [first, first, first, second, second]
    answers, calls, waits = iter(heads), [], []
    silent = iter([True, False, False])  # the first try to catch up fails

    def catch_up(chain, memory, recorded):
        calls.append(len(waits))
        if next(silent):
            raise Retry("the node is silent")

    monkeypatch.setattr(oracle, "catch_up", catch_up)
    stop = SimpleNamespace(wait=lambda seconds: waits.append(seconds) or len(waits) > len(heads))
    registry = SimpleNamespace(refresh=lambda: next(answers))
    oracle.follow(None, registry, None, stop)
    assert calls == [1, 2, 4]
