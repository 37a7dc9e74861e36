"""The orchestrator's metrics: what happened is counted, what stands is read when asked for."""

from __future__ import annotations

import pytest
import structlog
from prometheus_client import CollectorRegistry

from device_adapters.types import Message
from orchestrator.core.health import ChainState, HealthProblem, Severity
from orchestrator.edges.store import Store, add_all, tables
from orchestrator.metrics import MeteredIntake, RailCollector, RailMetrics
from tests.support.small_intake import SmallIntake

NOW = 1_790_000_000


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "base")
    yield store
    store.close()


def payment(number: int, stage: str, age_s: int, next_step: str | None = None) -> tables.PaymentRow:
    return tables.PaymentRow(
        payment_id=str(number),
        agreement_id="a",
        sequence=number,
        stage=stage,
        next_step=next_step,
        first_counter=0,
        last_counter=0,
        created_at=NOW - age_s,
    )


def hold(payment_id: str, age_s: int, **columns: int) -> tables.HoldRow:
    return tables.HoldRow(
        payment_id=payment_id,
        held_at=NOW - age_s,
        held_by="0x1",
        reason="why",
        stage="verified",
        **columns,
    )


def collector(registry, store, *problems, **options):
    registry.register(RailCollector(store, lambda: list(problems), clock=lambda: NOW, **options))
    return lambda metric, **labels: registry.get_sample_value(metric, labels)


def test_records__taken__are_counted_by_source_and_outcome_and_logged_with_ids(tmp_path, registry):
    place, lines, spans = SmallIntake(tmp_path), [], []

    def note(_logger, _method, event):
        lines.append(dict(event))
        raise structlog.DropEvent

    log = structlog.wrap_logger(None, processors=[note])
    intake = MeteredIntake(
        place.intake, RailMetrics(registry), log, lambda *span: spans.append(span)
    )
    record = place.fleet["cp-0001"].make_records(1)[0]
    message = Message("ocmf", "cp-0001", record, source="mqtt")
    intake.take([message])
    ((duplicate,),) = intake.take([message])
    assert duplicate.outcome == "duplicate"
    for outcome in ("accepted", "duplicate"):
        labels = {"source": "mqtt", "outcome": outcome}
        assert registry.get_sample_value("proofrail_records_total", labels) == 1
    assert registry.get_sample_value("proofrail_intake_seconds_count") == 2
    assert lines[0]["records"] == [duplicate.event_id] and len(spans) == 2
    place.close()


def test_step_and_oracle__each__are_measured_by_outcome(registry):
    metrics = RailMetrics(registry)
    metrics.step("settle", "done", 0.25, 3)
    metrics.step("settle", "waited", 2, 0)
    metrics.oracle("auditor", "signed", 0.5)
    value = registry.get_sample_value
    labels = {"step": "settle", "outcome": "done"}
    assert value("proofrail_step_seconds_sum", labels) == 0.25
    assert value("proofrail_step_work_total", {"step": "settle"}) == 3
    labels = {"oracle": "auditor", "outcome": "signed"}
    assert value("proofrail_oracle_answer_seconds_count", labels) == 1


def test_store__with_payments__shows_stages_and_the_age_of_what_is_open(registry, store):
    rows = [
        payment(1, "attested", 60, "settle"),
        payment(2, "attested", 90, "settle"),
        payment(3, "reconciled", 999),
        payment(4, "held", 999),
    ]
    with store.write() as session:
        add_all(session, rows)
        add_all(session, [hold("4", 80, decided_at=NOW - 70), hold("4", 50)])
    value = collector(registry, store)
    assert value("proofrail_payments", stage="attested") == 2
    assert value("proofrail_payment_oldest_age_seconds", stage="attested") == 90
    assert value("proofrail_payments", stage="reconciled") == 1
    assert value("proofrail_payments", stage="held") == 1
    assert value("proofrail_payment_oldest_age_seconds", stage="held") == 50  # since it is held
    assert value("proofrail_payments_due", step="settle") == 2
    assert value("proofrail_payment_oldest_age_seconds", stage="reconciled") is None


def test_store__with_sends_breaks_files_and_blocks__shows_each(registry, store):
    send = tables.ChainSendRow(
        tx_hash="1",
        chain_id=1,
        sender="s",
        nonce=1,
        purpose="settle",
        ref="r",
        raw="",
        stage="sent",
        created_at=NOW - 30,
    )
    found = {"kind": "line_unknown", "ids": "[]", "last_seen": NOW, "owner": "bank"}
    breaks = [
        tables.BreakRow(break_id="1", first_seen=NOW - 50, **found),
        tables.BreakRow(break_id="2", first_seen=NOW - 99, closed="found no more", **found),
    ]
    file = tables.BankFileRow(
        file_hash="f", direction="in", name="n", kind="camt", body=b"", at=NOW
    )
    block = tables.BlockRow(number=7, hash="7", parent="6", timestamp=NOW - 5, final=True)
    with store.write() as session:
        for row in (send, file, block):
            add_all(session, [row])
        add_all(session, breaks)
    value = collector(registry, store, head=lambda: 9)
    assert value("proofrail_sends_waiting", purpose="settle") == 1
    assert value("proofrail_send_oldest_age_seconds", purpose="settle") == 30
    assert value("proofrail_breaks_open", kind="line_unknown") == 1
    assert value("proofrail_break_oldest_age_seconds", kind="line_unknown") == 50
    assert value("proofrail_bank_files", direction="in", kind="camt") == 1
    assert value("proofrail_blocks_behind") == 2 and value("proofrail_block", which="final") == 7
    assert value("proofrail_block_age_seconds") == 5


def test_nodes__as_they_were_seen_last__are_gauges(registry, store):
    nodes = [ChainState("http://a", number=9), ChainState("http://b", error="Timeout")]
    value = collector(registry, store, nodes=lambda: nodes)
    assert value("proofrail_node_up", node="http://a") == 1
    assert value("proofrail_node_block", node="http://a") == 9
    assert value("proofrail_node_up", node="http://b") == 0


def test_problems__that_stand__are_gauges(registry, store):
    halted = HealthProblem("step_halted", "settle", "why", "do", Severity.ERROR)
    value = collector(registry, store, halted)
    assert value("proofrail_problems", name="step_halted", severity="error") == 1
    assert value("proofrail_halted_steps", step="settle") == 1
    assert value("proofrail_ready") == 0


def test_store__that_does_not_answer__leaves_the_other_gauges(registry, store, monkeypatch):
    from orchestrator.errors import Retry

    def locked():
        raise Retry("locked")

    monkeypatch.setattr(store, "read", locked)
    value = collector(registry, store)
    assert value("proofrail_ready") == 1 and value("proofrail_blocks_behind") is None


def test_store__asked_often__is_read_once_in_a_while(registry, store, monkeypatch):
    reads, read = [], store.read
    monkeypatch.setattr(store, "read", lambda: reads.append(1) or read())
    value = collector(registry, store)
    for _ in range(5):
        value("proofrail_blocks_behind")
    assert len(reads) == 1
