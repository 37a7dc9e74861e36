"""Effects: ids, messages, and what no product may ask for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from orchestrator.core.effect import (
    Effect,
    EffectKind,
    effect_id,
    records_of,
    refund_of,
)
from orchestrator.core.effect_delivery import FIRST_PAUSE_S, LAST_PAUSE_S, pause_after
from orchestrator.errors import Halt
from tests.support.effect_double import PAYMENT, SCOPE

TOKEN = {"device": PAYMENT.device, "mode": "add_time", "days": 30}
UNLOCK = EffectKind.UNLOCK_TOKEN


def test_id__any_part_that_differs__is_another_one() -> None:
    scopes = (SCOPE, replace(SCOPE, chain_id=1), replace(SCOPE, rail="0x" + "12" * 20))
    ids = {
        effect_id(scope, payment, name)
        for scope in scopes
        for payment in (PAYMENT.payment_id, PAYMENT.agreement_id)
        for name in ("unlock", "visit")
    }
    assert len(ids) == 12
    # a receiver remembers ids: a change of the rule would give it everything twice
    assert effect_id(SCOPE, PAYMENT.payment_id, "unlock") == PINNED


PINNED = "0x05747435dc4204d09dcf32605f616d3fa839bfd77f74e93029dbcb5fe8c76a42"


def test_record__of_a_token__has_all_that_its_receiver_needs() -> None:
    [record] = records_of(SCOPE, PAYMENT, [Effect("unlock", UNLOCK, TOKEN)])
    message = json.loads(record.message)
    assert (message["id"], message["type"]) == (record.effect_id, "unlock_token")
    assert message["timestamp"] == "2025-10-09T08:53:20Z"
    assert message["data"]["content"] == TOKEN and record.unlock_device == PAYMENT.device
    assert (message["data"]["amount_micro"], message["data"]["sequence"]) == (1_234, 7)
    again = records_of(SCOPE, PAYMENT, [Effect("unlock", UNLOCK, dict(reversed(TOKEN.items())))])
    assert again == [record]


def test_refund__of_an_effect__is_a_second_one_that_names_the_first() -> None:
    [record] = records_of(SCOPE, PAYMENT, [Effect("unlock", UNLOCK, TOKEN)])
    refund = refund_of(SCOPE, record, 1_234, 200, 1_760_000_100)
    data = json.loads(refund.message)["data"]
    assert refund.name == "unlock.refunded" and refund.effect_id != record.effect_id
    assert refund.kind == record.kind and refund.unlock_device == ""
    assert (data["refunds"], data["refunded_micro"], data["kept_micro"]) == (
        record.effect_id,
        1_034,
        200,
    )


@pytest.mark.parametrize(
    "effects",
    [
        [Effect("a", UNLOCK, TOKEN), Effect("a", EffectKind.WEBHOOK)],
        [Effect("a.refunded", EffectKind.WEBHOOK)],
        [Effect("", EffectKind.WEBHOOK)],
        [Effect("a", EffectKind.WEBHOOK, {"x": 0.5})],
        [Effect("a", EffectKind.WEBHOOK, {"x": [{"y": float("nan")}]})],
        [Effect("a", EffectKind.WEBHOOK, {"x": b"raw"})],
        [Effect("a", EffectKind.WEBHOOK, {1: "x"})],
        [Effect("a", EffectKind.WEBHOOK, {"x": "y" * 70_000})],
        [Effect("a", UNLOCK, TOKEN | {"days": 0})],
        [Effect("a", UNLOCK, TOKEN | {"days": 996})],
        [Effect("a", UNLOCK, TOKEN | {"days": True})],
        [Effect("a", UNLOCK, TOKEN | {"mode": "disable"})],
        [Effect("a", UNLOCK, TOKEN | {"device": "pump-1"})],
        [Effect("a", UNLOCK, {"days": 3})],
    ],
)
def test_effects__that_break_the_rules__halt(effects: list[Effect]) -> None:
    with pytest.raises(Halt, match="impossible effect"):
        records_of(SCOPE, PAYMENT, effects)


def test_pause__after_each_failure__grows_to_an_hour() -> None:
    pauses = [pause_after(failures) for failures in range(1, 60)]
    assert pauses[0] == FIRST_PAUSE_S and pauses == sorted(pauses)
    assert pauses[3] == 40 and pauses[-1] == LAST_PAUSE_S
