"""What an oracle shows about itself: metrics, log lines with ids, and its problems in /health."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oracles.node import Taken
from oracles.rulings import SignedRuling
from oracles.wire import OracleAnswer, Request

_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
_OLD_S = 60  # a view of the chain older than this is a problem
_log = structlog.get_logger()


class OracleMetrics:
    """Counters and histograms of one oracle, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = Histogram(
            "proofrail_oracle_request_seconds",
            "Time of an answer to /attest, by outcome.",
            ["outcome"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refusals = Counter(
            "proofrail_oracle_refusals", "Refused claims by reason.", ["reason"], registry=registry
        )
        self.records = Counter(
            "proofrail_oracle_records", "Records taken, by outcome.", ["outcome"], registry=registry
        )

    def take(self, taken: Taken) -> None:
        """Count a batch of records."""
        for outcome, items in (("accepted", taken.events), ("duplicate", taken.repeated)):
            self.records.labels(outcome).inc(len(items))
        for rejected in taken.rejected:
            self.records.labels(str(rejected.reason)).inc()


class NodeAge(Collector):
    """When this oracle has last read the chain; it is also a metric."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = monotonic()

    def now(self) -> None:
        """Note that the chain was read."""
        self._at = self._monotonic()

    def seconds(self) -> float:
        """Return the age of this oracle's view of the chain."""
        return self._monotonic() - self._at

    def collect(self) -> list[Metric]:
        """Return the age as a gauge."""
        name = "proofrail_oracle_chain_age_seconds"
        return [GaugeMetricFamily(name, "Age of its view of the chain.", value=self.seconds())]


class Attests(Protocol):
    """An oracle, honest or not."""

    def attest(self, request: Request) -> OracleAnswer: ...
    def health(self) -> dict[str, object]: ...
    def rulings(self) -> list[SignedRuling]: ...


class WatchedOracle:
    """An oracle whose answers are counted and logged, and whose health names its problems.

    is_connected: whether the broker is reached.
    """

    def __init__(
        self,
        oracle: Attests,
        metrics: OracleMetrics,
        seen: NodeAge,
        is_connected: Callable[[], bool],
    ) -> None:
        self._oracle, self._metrics, self._seen = oracle, metrics, seen
        self._is_connected = is_connected

    def attest(self, request: Request) -> OracleAnswer:
        """Answer as the oracle does."""
        began, outcome, answer = time.monotonic(), "failed", None
        try:
            answer = self._oracle.attest(request)
            outcome = "refused" if answer.signature is None else "signed"
            return answer
        finally:
            self._metrics.answers.labels(outcome).observe(time.monotonic() - began)
            self._note(request, answer, outcome)

    def rulings(self) -> list[SignedRuling]:
        """Return the oracle's signed rulings."""
        return self._oracle.rulings()

    def health(self) -> dict[str, object]:
        """Return the oracle's health with `problems`, a list of sentences."""
        problems = []
        if self._seen.seconds() > _OLD_S:
            problems.append(f"it has not read the chain for {int(self._seen.seconds())} s")
        if not self._is_connected():
            problems.append("it is not connected to the broker")
        return self._oracle.health() | {"problems": problems}

    def _note(self, request: Request, answer: OracleAnswer | None, outcome: str) -> None:
        refusals: list[dict[str, Any]] = []
        for refusal in answer.refusals if answer else ():
            self._metrics.refusals.labels(str(refusal.reason)).inc()
            refusals.append({"claim": refusal.index, "reason": str(refusal.reason)})
        _log.info(
            "batch answered",
            outcome=outcome,
            product=request.product,
            claims=[["0x" + c.agreement.hex(), c.sequence] for c in request.claims],
            refusals=refusals,
        )
