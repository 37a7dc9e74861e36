"""The metrics of an orchestrator: what it did, counted as it happens, and what stands in its store.

Names follow Prometheus: `proofrail_`, a unit, `_total` for what only grows. What stands in the
store is read when somebody asks, at most once in `_FRESH_S` seconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from device_adapters.types import Message
from orchestrator.core.health import ChainState, HealthProblem, Severity
from orchestrator.edges.store import Store
from orchestrator.edges.store.figures import RailFigures, StageFigure, read_figures
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake, RecordOutcome

_FRESH_S = 2.0
_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300)


class RailMetrics:
    """Counters and histograms of one orchestrator, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "proofrail_records",
            "Records taken in, by inlet and outcome.",
            ["source", "outcome"],
            registry=registry,
        )
        self.intake = Histogram(
            "proofrail_intake_seconds",
            "Time from a batch of messages to its commit.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.steps = Histogram(
            "proofrail_step_seconds",
            "Time of a worker's step, by step and outcome.",
            ["step", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.work = Counter(
            "proofrail_step_work", "Work done by a step.", ["step"], registry=registry
        )
        self.oracle_answers = Histogram(
            "proofrail_oracle_answer_seconds",
            "Time of an oracle's answer, by oracle and outcome.",
            ["oracle", "outcome"],
            buckets=_SECONDS,
            registry=registry,
        )

    def step(self, name: str, outcome: str, seconds: float, done: int) -> None:
        """Count one step (`worker.StepWatch`)."""
        self.steps.labels(name, outcome).observe(seconds)
        if done:
            self.work.labels(name).inc(done)

    def oracle(self, name: str, outcome: str, seconds: float) -> None:
        """Count one answer of an oracle (`edges.oracles.OracleClient.watch`)."""
        self.oracle_answers.labels(name, outcome).observe(seconds)


class MeteredIntake:
    """An intake that counts its records, and writes one log line per batch with their event ids.

    span: is informed of each batch (name, seconds, attributes).
    """

    def __init__(
        self,
        intake: Intake,
        metrics: RailMetrics,
        log: Any,
        span: Callable[[str, float, dict[str, Any]], None] = lambda name, seconds, attributes: None,
    ) -> None:
        self._intake, self._metrics, self._log, self._span = intake, metrics, log, span

    def take(self, messages: Sequence[Message]) -> list[list[RecordOutcome]]:
        """Store a batch of messages, as `Intake.take`."""
        began = time.monotonic()
        outcomes = self._intake.take(messages)
        seconds = time.monotonic() - began
        self._metrics.intake.observe(seconds)
        self._span("intake", seconds, {"messages": len(messages)})
        for message, records in zip(messages, outcomes, strict=True):
            for outcome, count in Tally(str(record.outcome) for record in records).items():
                self._metrics.records.labels(message.source, outcome).inc(count)
        records = [record for batch in outcomes for record in batch]
        self._log.info(
            "records taken",
            outcomes=dict(Tally(str(record.outcome) for record in records)),
            records=[record.event_id or record.evidence for record in records],
        )
        return outcomes

    def put_aside(self, message: Message, error: str) -> None:
        """Store a message that made our own code fail, as `Intake.put_aside`."""
        self._intake.put_aside(message, error)
        self._metrics.records.labels(message.source, "internal_error").inc()


class RailCollector(Collector):
    """What stands in the store, and what is wrong, as gauges.

    Args:
        problems: Returns what is wrong now.
        head: Returns the node's newest block as it was seen last.
        nodes: Returns every node as it was seen last.
    """

    def __init__(
        self,
        store: Store,
        problems: Callable[[], Sequence[HealthProblem]],
        head: Callable[[], int] = int,
        clock: Callable[[], float] = time.time,
        nodes: Callable[[], Sequence[ChainState]] = tuple,
    ) -> None:
        self._store, self._problems, self._head = store, problems, head
        self._nodes = nodes
        self._clock, self._lock = clock, threading.Lock()
        self._figures: RailFigures | None = None
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges; those of the store are left out while it does not answer."""
        problems = self._problems()
        yield _gauge(
            "proofrail_problems",
            "Things that are wrong now (see `proofrail status`).",
            ("name", "severity"),
            Tally((problem.name, str(problem.severity)) for problem in problems),
        )
        ready = all(problem.severity is not Severity.ERROR for problem in problems)
        yield GaugeMetricFamily("proofrail_ready", "1 while /ready answers 200.", value=int(ready))
        halted = Tally((p.subject,) for p in problems if p.name == "step_halted")
        yield _gauge("proofrail_halted_steps", "Steps that wait for a person.", ("step",), halted)
        nodes = self._nodes()
        yield _gauge(
            "proofrail_node_up",
            "1 for each node that answers and is of the rail's chain.",
            ("node",),
            {(node.name,): int(not (node.error or node.other)) for node in nodes},
        )
        heads = {(node.name,): node.number for node in nodes}
        yield _gauge("proofrail_node_block", "The newest block of each node.", ("node",), heads)
        figures = self._fresh()
        if figures is not None:
            yield from self._of_store(figures)

    def _fresh(self) -> RailFigures | None:
        with self._lock:
            if time.monotonic() - self._read_at > _FRESH_S:
                try:
                    with self._store.read() as session:
                        self._figures = read_figures(session)
                except Retry:
                    self._figures = None
                self._read_at = time.monotonic()
            return self._figures

    def _of_store(self, figures: RailFigures) -> Iterator[Metric]:
        for what, stages in (("payment", figures.payments), ("payout", figures.payouts)):
            counts = {(item.stage,): item.count for item in stages}
            yield _gauge(f"proofrail_{what}s", f"The {what}s at each stage.", ("stage",), counts)
            yield self._ages(f"proofrail_{what}_oldest_age_seconds", "stage", stages)
        due = {(item.stage,): item.count for item in figures.due}
        yield _gauge("proofrail_payments_due", "Payments by their next step.", ("step",), due)
        sends = {(item.stage,): item.count for item in figures.sends}
        yield _gauge("proofrail_sends_waiting", "Sends in no block yet.", ("purpose",), sends)
        yield self._ages("proofrail_send_oldest_age_seconds", "purpose", figures.sends)
        breaks = {(item.stage,): item.count for item in figures.breaks}
        yield _gauge("proofrail_breaks_open", "Open breaks by kind.", ("kind",), breaks)
        yield self._ages("proofrail_break_oldest_age_seconds", "kind", figures.breaks)
        effects = {(item.stage,): item.count for item in figures.effects}
        yield _gauge(
            "proofrail_effects_waiting", "Effects that a target has to take.", ("target",), effects
        )
        yield self._ages("proofrail_effect_oldest_age_seconds", "target", figures.effects)
        yield _gauge(
            "proofrail_bank_files",
            "Files to and from the bank.",
            ("direction", "kind"),
            figures.bank_files,
        )
        yield _gauge(
            "proofrail_block",
            "Numbers of the newest blocks: of the node, read by the rail, and final.",
            ("which",),
            {
                ("node",): self._head(),
                ("read",): figures.newest_block,
                ("final",): figures.final_block,
            },
        )
        behind = max(0, self._head() - figures.newest_block)
        yield GaugeMetricFamily(
            "proofrail_blocks_behind", "Blocks of the node that the rail has not read.", behind
        )
        age = max(0, self._clock() - figures.newest_block_at) if figures.newest_block else 0
        yield GaugeMetricFamily(
            "proofrail_block_age_seconds", "Age of the newest block that was read.", age
        )

    def _ages(self, name: str, label: str, items: Sequence[StageFigure]) -> GaugeMetricFamily:
        now = self._clock()
        ages = {
            (item.stage,): max(0, now - item.oldest_at)
            for item in items
            if item.oldest_at is not None
        }
        return _gauge(name, f"Age of the oldest one, by {label}.", (label,), ages)


def _gauge(
    name: str, text: str, labels: Sequence[str], values: dict[tuple[str, ...], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric([str(part) for part in key], value)
    return family
