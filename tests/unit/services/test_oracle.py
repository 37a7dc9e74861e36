"""The threads of an oracle: what passes is waited for, and one bad message ends nothing."""

from __future__ import annotations

import errno
import threading
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from oracles.types import ClaimReason
from oracles.wire import ClaimRefusal, OracleAnswer, Request
from orchestrator.edges.chain.client import SeenBlock
from orchestrator.errors import Retry
from orchestrator.products.metered_energy import product
from services import oracle as module
from services.oracle import follow, take_all
from services.oracle_watch import NodeAge, OracleMetrics, WatchedOracle
from tests.support.meter_streams import message, session_record
from tests.support.oracle_at import claim_of, oracle


class OneBatch:
    """Stands for an inlet with one batch of messages."""

    def __init__(self, *messages) -> None:
        self.messages = list(messages)

    def batches(self):
        yield self.messages


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return OracleMetrics(registry)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0)
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0)


@pytest.mark.parametrize(
    "trouble", [OSError(errno.ENOSPC, "disk full"), Retry("slow"), MemoryError()]
)
def test_take__while_the_machine_is_short__tries_again_and_counts_once(
    tmp_path, metrics, registry, trouble
):
    node, inlet = oracle(tmp_path), OneBatch(message(session_record("M1", 1)))
    failures, take = [trouble, trouble], node.take

    def taking(messages):
        if failures:
            raise failures.pop()
        return take(messages)

    node.take = taking
    take_all(node, inlet, metrics, threading.Event())
    assert node.health()["counts"]["evidence"] == 1
    labels = {"outcome": "accepted"}
    assert registry.get_sample_value("proofrail_oracle_records_total", labels) == 1


def test_take__a_message_that_our_own_code_fails_on__loses_no_other(tmp_path, metrics, registry):
    good, bad = message(session_record("M1", 1)), message(session_record("M1", 2))
    node, inlet = oracle(tmp_path), OneBatch(bad, good)
    take = node.take

    def taking(messages):
        if bad in messages:
            raise KeyError("a bug of ours")
        return take(messages)

    node.take = taking
    take_all(node, inlet, metrics, threading.Event())
    assert node.health()["counts"]["evidence"] == 1
    labels = {"outcome": "internal_error"}
    assert registry.get_sample_value("proofrail_oracle_records_total", labels) == 1


def following(errors: list[Exception | None]) -> NodeAge:
    """Follow until the errors are used up; None stands for a node that answers."""
    stop, seen = threading.Event(), NodeAge(iter(range(1_000)).__next__)

    def refresh():
        error = errors.pop(0)
        if not errors:
            stop.set()
        if error:
            raise error

    chain = SimpleNamespace(head=lambda: 0, logs_between=lambda *_: [])
    memory = SimpleNamespace(settled_up_to=lambda: 0)
    follow(chain, SimpleNamespace(refresh=refresh), memory, seen, stop)
    return seen


def test_follow__what_passes__is_waited_for(monkeypatch):
    monkeypatch.setattr(module, "catch_up", lambda *_: None)
    trouble = [Retry("the node is silent"), OSError(errno.EMFILE, "too many open files"), None]
    assert following(trouble).seconds() == 1  # it was read just now


def test_follow__a_bug__ends_the_thread_so_that_the_process_ends(monkeypatch):
    monkeypatch.setattr(module, "catch_up", lambda *_: None)
    with pytest.raises(KeyError):
        following([KeyError("a bug of ours"), None])


def test_follow__while_no_block_is_new__catches_up_once_and_again_after_a_failure(monkeypatch):
    first, second = (SeenBlock(1, name, "", 0) for name in ("a", "b"))
    heads = [first, first, first, second, second]
    answers, calls, waits = iter(heads), [], []
    silent = iter([True, False, False])  # the first try to catch up fails

    def catch_up(chain, memory, recorded):
        calls.append(len(waits))
        if next(silent):
            raise Retry("the node is silent")

    monkeypatch.setattr(module, "catch_up", catch_up)
    stop = SimpleNamespace(wait=lambda seconds: waits.append(seconds) or len(waits) > len(heads))
    registry = SimpleNamespace(refresh=lambda: next(answers))
    follow(None, registry, None, NodeAge(), stop)
    assert calls == [1, 2, 4]


# --- what it shows


def test_answers__each__are_counted_by_outcome_and_reason(tmp_path, metrics, registry):
    record = session_record("M1", 1)
    request = Request(product.NAME, (claim_of(record),), {}, (message(record),))
    watched = WatchedOracle(oracle(tmp_path), metrics, NodeAge(), lambda: True)
    assert watched.attest(request).signature
    refusal = ClaimRefusal(0, ClaimReason.EVIDENCE_MISSING, "")
    refuses = SimpleNamespace(attest=lambda _: OracleAnswer("0x", None, (refusal,)))
    WatchedOracle(refuses, metrics, NodeAge(), lambda: True).attest(request)
    value = registry.get_sample_value
    for outcome in ("signed", "refused"):
        labels = {"outcome": outcome}
        assert value("proofrail_oracle_request_seconds_count", labels) == 1
    labels = {"reason": "evidence_missing"}
    assert value("proofrail_oracle_refusals_total", labels) == 1


def test_answer__that_fails__is_counted_and_raised(metrics, registry):
    def attest(_request):
        raise OSError(errno.ENOSPC, "disk full")

    watched = WatchedOracle(SimpleNamespace(attest=attest), metrics, NodeAge(), lambda: True)
    with pytest.raises(OSError, match="disk full"):
        watched.attest(Request(product.NAME, (), {}, ()))
    labels = {"outcome": "failed"}
    assert registry.get_sample_value("proofrail_oracle_request_seconds_count", labels) == 1


@pytest.mark.parametrize(
    ("age", "connected", "count"), [(60, True, 0), (61, True, 1), (0, False, 1), (99, False, 2)]
)
def test_health__of_an_oracle__names_its_problems(tmp_path, metrics, age, connected, count):
    times = iter([0, age, age])
    watched = WatchedOracle(oracle(tmp_path), metrics, NodeAge(times.__next__), lambda: connected)
    view = watched.health()
    assert len(view["problems"]) == count and view["name"] == "north"
