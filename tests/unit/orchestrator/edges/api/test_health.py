"""Liveness says that the process runs, readiness that the rail works; details need a key."""

from __future__ import annotations

import pytest

from orchestrator.core.health import HealthProblem, Severity
from tests.support.api_rail import ApiRail

DOWN = HealthProblem(
    "oracle_down", "auditor", "It does not answer.", "Start it.", Severity.WARNING, 5
)
HALTED = HealthProblem(
    "step_halted", "settle", "It halted: a secret reason", "Resume it.", Severity.ERROR, 7
)


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    yield rail
    rail.close()


def of(rail, *problems):
    rail.start(health=lambda: list(problems))
    return rail.client


def test_ready__nothing_wrong__is_200_without_a_key(rail):
    answer = of(rail)().get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "problems": []})


def test_ready__with_a_warning__is_200_and_names_it(rail):
    answer = of(rail, DOWN)().get("/ready")
    assert (answer.status_code, answer.json()["problems"]) == (200, ["oracle_down"])


def test_ready__with_an_error__is_503_and_gives_names_alone(rail):
    answer = of(rail, HALTED, DOWN, DOWN)().get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "problems": ["oracle_down", "step_halted"]}
    assert "secret" not in answer.text and "auditor" not in answer.text


def test_health__of_a_rail_that_halted__is_still_alive(rail):
    assert of(rail, HALTED)().get("/health").status_code == 200


def test_status__with_a_key__has_all_of_each_problem(rail):
    (view,) = of(rail, HALTED)("auditor").get("/v1/status").json()["problems"]
    assert view == {
        "name": "step_halted",
        "subject": "settle",
        "what": "It halted: a secret reason",
        "next_step": "Resume it.",
        "severity": "error",
        "since": 7,
    }
