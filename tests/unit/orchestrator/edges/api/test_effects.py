"""Effects over HTTP: each party reads those of its own devices, whole and in order."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from device_adapters.types import device_id
from orchestrator.core.effect import Effect, EffectKind, records_of
from orchestrator.edges.store import effects
from tests.support.api_rail import ApiRail, agreement_of
from tests.support.effect_double import PAYMENT, SCOPE

DEVICES = ("acme-1", "borg-1", "acme-2", "ACME-3")


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    rail = ApiRail(tmp_path_factory.mktemp("rail"))
    with rail.store.write() as session:
        for number in range(8):
            name = DEVICES[number % 4]
            payment = replace(
                PAYMENT,
                payment_id=f"0x{number:064x}",
                agreement_id="0x" + agreement_of(device_id(name)).hex(),
                device="0x" + device_id(name).hex(),
            )
            token = {"device": payment.device, "mode": "add_time", "days": 30}
            wanted = [
                Effect("visit", EffectKind.WORK_ORDER, {"n": number}),
                Effect("unlock", EffectKind.UNLOCK_TOKEN, token),
            ]
            effects.add(session, records_of(SCOPE, payment, wanted), 1)
    yield rail
    rail.close()


def read(rail: ApiRail, caller: str, **query: object) -> list[dict]:
    """Return all items, page by page."""
    items, after = [], None
    while True:
        asked = query | ({"after": after} if after else {})
        answer = rail.client(caller).get("/v1/effects", params=asked)
        assert answer.status_code == 200, answer.text
        items += answer.json()["items"]
        after = answer.json()["next"]
        if after is None:
            return items


def test_effects__in_pages_of_any_size__are_all_there_once_and_in_order(rail):
    whole = read(rail, "operator")
    assert [item["name"] for item in whole] == ["visit", "unlock"] * 8
    assert [item["message"]["data"]["content"].get("n") for item in whole[::2]] == list(range(8))
    for limit in (1, 3, 16):
        assert read(rail, "auditor", limit=limit) == whole


@pytest.mark.parametrize(
    ("caller", "devices"), [("acme", {"acme-1", "acme-2"}), ("borg", {"borg-1"})]
)
def test_effects__of_a_partner__are_those_of_its_own_devices(rail, caller, devices):
    items = read(rail, caller, limit=3)
    assert {item["device"] for item in items} == devices
    assert len(items) == 4 * len(devices)


def test_effects__of_one_kind_or_payment__are_these_alone(rail):
    tokens = read(rail, "acme", kind="unlock_token", limit=1)
    assert len(tokens) == 4 and {item["kind"] for item in tokens} == {"unlock_token"}
    foreign = f"0x{1:064x}"
    assert (
        read(rail, "acme", payment=foreign) == [] and len(read(rail, "borg", payment=foreign)) == 2
    )


def test_effects__of_tokens__have_no_digits(rail):
    text = json.dumps(read(rail, "operator"))
    assert "unlock_token" in text and "digits" not in text


@pytest.mark.parametrize("query", [{"kind": "letter"}, {"payment": "0x12"}, {"after": "!"}])
def test_effects__asked_for_in_another_form__are_a_problem(rail, query):
    assert rail.client("operator").get("/v1/effects", params=query).status_code == 422
