"""Dashboard and alerts name metrics that exist, and runbooks that the docs have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import Counter

from orchestrator.edges.store import Store
from orchestrator.metrics import RailCollector, RailMetrics
from services.metrics import process_registry
from services.oracle_watch import NodeAge, OracleMetrics

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "packaging" / "grafana" / "dashboard.json"
ALERTS = ROOT / "packaging" / "prometheus" / "alerts.yml"
_METRIC = re.compile(r"\b((?:proofrail|process|python)_[a-z_]+)\b")
_SUFFIXES = ("", "_bucket", "_count", "_sum")


@pytest.fixture(scope="module")
def existing(tmp_path_factory) -> set[str]:
    """Return the names of all samples that the registries of our processes can give."""
    store = Store(tmp_path_factory.mktemp("store") / "base")
    registry = process_registry("any")
    RailMetrics(registry)
    registry.register(RailCollector(store, tuple))
    OracleMetrics(registry)
    registry.register(NodeAge())
    names = set()
    for family in registry.collect():
        suffixes = {"counter": ("_total",), "histogram": _SUFFIXES}.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    store.close()
    return names | bank_metrics()


def bank_metrics() -> set[str]:
    """Return the counters that services/bank.py makes when it serves."""
    text = (ROOT / "services" / "bank.py").read_text()
    assert Counter.__name__ in text
    return {f"{name}_total" for name in re.findall(r'Counter\("(\w+)"', text)}


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    exprs = [target["expr"] for panel in panels for target in panel["targets"]]
    alerts = re.findall(r"expr: (?:>-\n)?((?:.*\n)(?: {10}.*\n)*)", ALERTS.read_text())
    assert len(exprs) > 20 and len(alerts) > 8
    return exprs + alerts


def test_dashboard_and_alerts__every_metric__exists(existing) -> None:
    assert len(existing) > 40
    named = {name for expr in expressions() for name in _METRIC.findall(expr)}
    assert len(named) > 25
    assert sorted(named - existing) == []


def test_dashboard_and_alerts__leave_out__no_metric_of_the_rail(existing) -> None:
    named = {name for expr in expressions() for name in _METRIC.findall(expr)}
    stems = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    ours = {name for name in existing if name.startswith("proofrail_")}
    shown = {name for name in ours if re.sub(r"_(bucket|count|sum)$", "", name) in stems}
    assert sorted(ours - shown) == []


def test_metrics__of_our_own__are_named_by_the_conventions(existing) -> None:
    for name in existing:
        if name.startswith("proofrail_"):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", name), name
            assert "milli" not in name and "minutes" not in name, name


def test_alerts__each__has_a_runbook_that_exists() -> None:
    text = ALERTS.read_text()
    runbooks = re.findall(r"runbook: docs/OPERATING\.md#([\w-]+)", text)
    assert len(runbooks) == text.count("- alert: ") > 8
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / "OPERATING.md").read_text(), re.MULTILINE)
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }
    assert set(runbooks) <= anchors


def test_dashboard__each_panel__has_a_place_of_its_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels) == len({panel["id"] for panel in panels})
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
