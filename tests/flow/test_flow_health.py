"""A running rail shows how it is: /ready, status and metrics; and idle connections harm nobody."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import requests

from orchestrator.status_file import STATUS_FILE
from tests.support.whole_rail import PATIENCE_S, WholeRail

IDLE = 1_100


def ready(rail: WholeRail) -> requests.Response:
    return requests.get(f"{rail.stack.api_url}/ready", timeout=PATIENCE_S)


def test_ready__all_is_well__names_nothing_and_status_ends_with_0(rail: WholeRail) -> None:
    rail.until(lambda: ready(rail).json() == {"ready": True, "problems": []}, "readiness")
    assert ready(rail).status_code == 200
    assert rail.api("GET", "/v1/status").json()["problems"] == []
    assert json.loads((rail.stack.home / STATUS_FILE).read_bytes())["problems"] == []
    (shown,) = rail.commands(["status"])
    assert shown.returncode == 0, shown.stdout
    assert "nothing is wrong" in shown.stdout


def test_oracle__dead__is_named_at_ready_and_in_status_until_it_is_back(rail: WholeRail) -> None:
    rail.kill("oracle-auditor")
    try:
        rail.until(lambda: ready(rail).json()["problems"] == ["oracle_down"], "the dead oracle")
        assert ready(rail).status_code == 200  # three of four are a quorum
        (shown,) = rail.commands(["status", "--json"])
        assert shown.returncode == 1
        (problem,) = json.loads(shown.stdout)["problems"]
        assert (problem["name"], problem["subject"]) == ("oracle_down", "auditor")
        assert problem["next_step"] and problem["since"]
    finally:
        rail.stack.restart_oracle("auditor")
    rail.until(lambda: ready(rail).json()["problems"] == [], "the oracle")


def test_connections__1100_idle_without_a_key__take_nothing_down(rail: WholeRail) -> None:
    address = urlsplit(rail.stack.api_url)
    with ExitStack() as idle:
        for _ in range(IDLE):
            idle.enter_context(socket.create_connection((address.hostname, address.port)))
        assert requests.get(f"{rail.stack.api_url}/health", timeout=PATIENCE_S).ok
        assert rail.api("GET", "/v1/status").ok
        rail.measure(1)
        rail.until_settled()
    assert rail.whole()


def test_metrics__of_a_rail_at_work__count_records_and_answers(rail: WholeRail) -> None:
    text = requests.get(f"http://127.0.0.1:{rail.metrics_port}/metrics", timeout=PATIENCE_S).text
    assert 'proofrail_records_total{outcome="accepted",source="mqtt"}' in text
    assert 'proofrail_oracle_answer_seconds_count{oracle="auditor",outcome="signed"}' in text
    assert "proofrail_ready 1.0" in text


def test_logs__of_every_process__are_json_lines_with_ids(rail: WholeRail) -> None:
    def lines(name: str) -> list[dict]:
        text = (rail.stack.home / "logs" / f"{name}.log").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    by_event = {line["event"]: line for line in lines("orchestrator")}
    assert by_event["records taken"]["records"] and by_event["attested"]["payments"]
    assert by_event["settlement signed"]["tx"].startswith("0x")
    assert {line["process"] for line in lines("oracle-auditor")} == {"oracle-auditor"}
    assert any(
        line["event"] == "batch answered" and line["claims"] for line in lines("oracle-auditor")
    )
