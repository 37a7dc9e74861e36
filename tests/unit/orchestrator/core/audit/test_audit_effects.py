"""A bundle has its payment's effects; each is derived again from what the chain proves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.core.audit import AuditStage, assemble, verify
from orchestrator.core.audit import effects as stage_of_effects
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.audit.case import Anchors, Case
from orchestrator.core.audit.verifier import _STAGES
from orchestrator.core.effect import Effect, EffectKind
from tests.support.audit_changes import changed, changes, decoding_once, failing_stage, leaves
from tests.support.audit_node import ANVIL
from tests.support.audit_story import PRODUCTS, failure, story
from tests.support.effect_double import give_effects

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(autouse=True)
def _ordered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let payments for energy ask for a work order and a token."""
    give_effects(monkeypatch)


def _derived(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    case = Case(bundle, Anchors(), PRODUCTS)
    for stage, check in _STAGES:
        if stage is AuditStage.EFFECTS:
            break
        check(case)
    return [(record.effect_id, record.message) for record in stage_of_effects._derived(case)]


@pytest.fixture
def bundle() -> dict[str, Any]:
    without = assemble(story().paid)
    return assemble(replace(story().paid, effects=_derived(without)))


def test_effects__of_a_paid_bundle__are_checked_behind_the_settlement(bundle):
    report = verify(bundle, PRODUCTS)
    assert report.complete
    [step] = [step for step in report.steps if step.stage is AuditStage.EFFECTS]
    assert step.detail == "2 effects: visit, unlock"
    assert '"digits"' not in str(bundle["effects"])


def test_effect__changed_in_any_byte_and_sealed_again__fails_at_its_stage(bundle):
    fields = [(path, value) for path, value in leaves(bundle) if path[0] == "effects"]
    assert len(fields) == 4
    with decoding_once():
        for path, value in fields:
            for other in changes(path, value):
                tampered = sealed(changed(bundle, path, other))
                assert failing_stage(tampered) is AuditStage.EFFECTS, (path, other)


def test_effects__one_left_out_or_one_too_many_or_in_another_order__fail(bundle):
    first, second = bundle["effects"]
    for wrong in ([], [first], [first, second, second], [second, first]):
        stage, detail = failure({**bundle, "effects": wrong})
        assert stage is AuditStage.EFFECTS
        assert "asks for" in detail


def test_effects__of_a_refused_claim__are_none():
    refused = assemble(story().refused)
    assert verify(refused, PRODUCTS).ok
    invented = [{"id": "0x" + "11" * 32, "message": "{}"}]
    assert failure({**refused, "effects": invented})[0] is AuditStage.EFFECTS


def test_effect__that_breaks_the_rules__is_named_and_raises_nothing(bundle, monkeypatch):
    give_effects(monkeypatch, lambda *_: (Effect("x", EffectKind.WEBHOOK, {"x": 0.5}),))
    stage, detail = failure(bundle)
    assert stage is AuditStage.EFFECTS
    assert "impossible effect" in detail
