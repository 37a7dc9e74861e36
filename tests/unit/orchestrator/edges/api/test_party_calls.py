"""Call routes: who may ask for which calls, and what is taken as a request."""

from __future__ import annotations

import pytest

from device_adapters.types import Rejected
from orchestrator.core.identity import device_id
from orchestrator.core.party_call import PayeeMoneyReason, SkipReason
from tests.support.api_rail import ApiRail, agreement_of

ADDRESS, NOWHERE = "0x" + "3b" * 20, "0x" + "00" * 32
OURS = "0x" + agreement_of(device_id("acme-1")).hex()
ROUTES = {  # route -> a request that it takes
    f"/v1/agreements/{OURS}/calls/close": {},
    f"/v1/agreements/{OURS}/calls/fund": {"amount_micro": 1},
    f"/v1/agreements/{OURS}/calls/skip": {},
    f"/v1/parties/{ADDRESS}/calls/release": None,
    f"/v1/parties/{ADDRESS}/calls/withdraw": {"amount_micro": 1, "to": ADDRESS},
    f"/v1/parties/{ADDRESS}/calls/repay": {},
}


class RecordedCalls:
    """Stands in for operations.party_calls, which needs a chain: records what was asked."""

    def __init__(self) -> None:
        self.asked, self.refuses = [], None

    def __getattr__(self, name: str):
        def answer(*arguments: object) -> dict:
            if self.refuses is not None:
                raise Rejected(self.refuses, "in this case")
            self.asked.append((name, *arguments))
            return {"chain_id": 31337, "calls": []}

        return answer


@pytest.fixture(scope="module")
def asked() -> RecordedCalls:
    return RecordedCalls()


@pytest.fixture(scope="module")
def rail(tmp_path_factory, asked):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    rail.start(party_calls=asked)
    yield rail
    rail.close()


@pytest.mark.parametrize("route", ROUTES)
def test_calls__by_role__an_operator_asks_for_all_an_auditor_for_none(rail, route):
    answers = {
        name: rail.client(name).post(route, json=ROUTES[route])
        for name in ("operator", "auditor", "")
    }
    codes = {name: answer.status_code for name, answer in answers.items()}
    assert codes == {"operator": 200, "auditor": 403, "": 401}
    assert answers["operator"].json()["chain_id"] == 31337


def test_calls__of_a_partner__only_about_its_own_devices(rail, asked):
    asked.asked.clear()
    for route, body in ROUTES.items():
        answers = {n: rail.client(n).post(route, json=body).status_code for n in ("acme", "borg")}
        own = 200 if "/agreements/" in route else 404  # none of its agreements pays that party
        assert answers == {"acme": own, "borg": 404}, route
    assert [name for name, *_ in asked.asked] == ["close", "fund", "skip"]


@pytest.mark.parametrize(
    ("route", "body", "status", "code"),
    [
        (f"/v1/agreements/{NOWHERE}/calls/close", {}, 404, "not_found"),
        (f"/v1/payments/{NOWHERE}/calls/dispute", None, 404, "not_found"),
        (f"/v1/payments/{NOWHERE}/calls/rule", None, 422, "request_invalid"),
        (f"/v1/agreements/{OURS}/calls/fund", {"amount_micro": 0}, 422, "request_invalid"),
        (f"/v1/agreements/{OURS}/calls/fund", {"amount_micro": 2**48}, 422, "request_invalid"),
        (f"/v1/agreements/{OURS}/calls/skip", {"last_counter": -1}, 422, "request_invalid"),
    ],
)
def test_calls__about_nothing_or_malformed__are_refused_by_name(rail, route, body, status, code):
    answer = rail.client("operator").post(route, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("reason", "route", "status"),
    [
        (SkipReason.UNSIGNED, f"/v1/agreements/{OURS}/calls/skip", 422),
        (PayeeMoneyReason.NOTHING, f"/v1/parties/{ADDRESS}/calls/release", 409),
    ],
)
def test_calls__that_cannot_be_made__have_a_code_and_a_next_step(
    rail, asked, monkeypatch, reason, route, status
):
    monkeypatch.setattr(asked, "refuses", reason)
    problem = rail.client("operator").post(route, json=ROUTES[route]).json()
    assert (problem["status"], problem["code"]) == (status, str(reason))
    assert problem["title"] and problem["next_step"]
