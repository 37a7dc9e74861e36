"""A bundle of several devices: what a record cites is proven with it, and nothing else is."""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Any
from unittest.mock import Mock

import pytest

from orchestrator.core.audit import AuditStage, assemble, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.products import products
from tests.support.audit_changes import (
    changed,
    changes,
    decoding_once,
    failing_stage,
    leaves,
    stage_of,
)
from tests.support.audit_delivery import NAME, delivered, hearing_rules
from tests.support.audit_node import ANVIL

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with decoding_once():
        yield


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return assemble(delivered()[0])


@pytest.fixture
def bundle(whole: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(whole)


def failure(bundle: dict[str, Any]) -> tuple[AuditStage, str]:
    failed = verify(sealed(bundle), products()).failed
    assert failed is not None
    return failed.stage, failed.detail


def in_bundle(record: bytes) -> dict[str, str]:
    return {
        "protocol": "epcis",
        "sha256": "0x" + sha256(record).hexdigest(),
        "record": b64encode(record).decode(),
    }


def test_delivery__with_what_its_record_cites__holds_up_to_the_ledger(whole):
    report = verify(whole, products())
    assert report.failed is None
    assert report.steps[-2].stage is AuditStage.LEDGER
    assert whole["settlement"]["amount_micro"] == 500_000_000
    assert len(whole["devices"]) == 3


@pytest.mark.parametrize(
    "top", ["devices", "evidence", "supporting", "product", "batch", "mandate", "ledger"]
)
def test_field_of_a_delivery__changed_and_sealed_again__fails_at_its_stage(whole, top):
    own = whole["batch"]["position"]
    for path, value in leaves(whole[top], (top,)):
        for other in changes(path, value):
            if other != value:
                tampered = sealed(changed(whole, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("place", [0, 1])
def test_supporting__one_left_out_with_its_device__is_missed_by_the_citation(bundle, place):
    del bundle["supporting"][place], bundle["devices"][1 + place]
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVENTS
    assert "cited" in detail


def test_supporting__one_left_out_alone__leaves_a_device_that_signed_nothing(bundle):
    del bundle["supporting"][1]
    assert failure(bundle)[0] is AuditStage.EVIDENCE


def test_supporting__device_s_history_left_out__is_no_evidence(bundle):
    del bundle["devices"][2]
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVIDENCE
    assert "history is not here" in detail


def test_supporting__other_genuine_record_of_the_same_device__is_not_the_cited_one(bundle):
    bundle["supporting"][0] = in_bundle(delivered()[1])
    assert failure(bundle)[0] is AuditStage.EVENTS


def test_supporting__one_more_than_cited__is_named_by_the_events(bundle):
    bundle["supporting"].append(in_bundle(delivered()[1]))
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVENTS
    assert "cite" in detail


def test_supporting__in_another_order__is_named(bundle):
    bundle["supporting"].reverse()
    assert (
        failure(bundle)[0] is AuditStage.EVIDENCE
    )  # the devices stand in the order of the records
    bundle["devices"][1:] = reversed(bundle["devices"][1:])
    assert failure(bundle)[0] is AuditStage.EVENTS


def test_record__about_another_consignment_than_agreed__is_no_claim_of_it(bundle):
    """Were the oracles to sign it all the same, the auditor would see it."""
    rules = products()["proof_of_delivery"]
    other = Mock(wraps=rules, GAPLESS=rules.GAPLESS, LATE=rules.LATE)
    other.subject = lambda terms: b"\7" * 32
    failed = verify(bundle, {"proof_of_delivery": other}).failed
    assert failed.stage is AuditStage.CLAIM
    assert "not about what was agreed" in failed.detail


def test_carrier_only__its_record_in_place_of_the_recipient_s__is_not_evidence(bundle):
    bundle["evidence"] = [bundle["supporting"][0]]
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVIDENCE
    assert "truck-1" in detail


def test_anchor__of_another_device__is_not_evidence(bundle):
    bundle["anchor"] = bundle["supporting"][0]
    assert failure(bundle)[0] is AuditStage.EVIDENCE


def test_assemble__without_what_is_cited__does_not_verify():
    parts = delivered()[0]
    bare = replace(parts, supporting=[], devices=parts.devices[:1])
    report = verify(assemble(bare), products())
    assert report.failed.stage is AuditStage.EVENTS


# --- what a claim hears


def heard_failure(bundle: dict[str, Any]) -> tuple[AuditStage, str]:
    failed = verify(sealed(bundle), {NAME: hearing_rules()}).failed
    assert failed is not None
    return failed.stage, failed.detail


@pytest.fixture(scope="module")
def whole_heard() -> dict[str, Any]:
    return assemble(delivered(hears=True)[0])


@pytest.fixture
def heard(whole_heard: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(whole_heard)


def test_heard__record_that_nobody_cites__is_in_the_bundle_and_holds_up(heard):
    assert heard["supporting"][2] == in_bundle(delivered(hears=True)[1])
    report = verify(heard, {NAME: hearing_rules()})
    assert report.failed is None
    assert report.steps[-2].stage is AuditStage.LEDGER


def test_heard__under_rules_that_do_not_hear__is_named(heard):
    stage, detail = failure(heard)
    assert stage is AuditStage.EVENTS
    assert "hear" in detail


def test_heard__record_left_out__is_not_what_the_oracles_signed(heard):
    del heard["supporting"][2]
    stage, detail = heard_failure(heard)
    assert stage is AuditStage.CLAIM
    assert "evidence" in detail


def test_heard__before_what_is_cited__is_named(heard):
    heard["supporting"].insert(1, heard["supporting"].pop())
    assert heard_failure(heard)[0] is AuditStage.EVENTS


def test_heard__record_of_another_time__is_named(heard):
    """The device is in the terms, but its record is not of the period."""
    other = assemble(delivered(hears=True)[0])["supporting"][0]
    heard["supporting"].append(other)
    assert heard_failure(heard)[0] is AuditStage.EVENTS
