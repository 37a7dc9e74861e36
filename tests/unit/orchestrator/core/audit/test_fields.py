"""Each field of a bundle is changed in turn: verification must fail, and name the right stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from orchestrator.core.audit import AuditStage, assemble, verify
from orchestrator.core.audit.bundle import READS, sealed
from tests.support.audit_changes import (
    STAGES,
    changed,
    changes,
    decoding_once,
    failing_stage,
    leaves,
    lists,
    stage_of,
)
from tests.support.audit_node import ANVIL
from tests.support.audit_story import PRODUCTS, story

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with decoding_once():
        yield


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return assemble(story().paid)


@pytest.fixture(scope="module")
def late() -> dict[str, Any]:
    """Of a payment that was redeemed in a later transaction than it was released in."""
    return assemble(story().late)


@pytest.fixture(scope="module")
def refused() -> dict[str, Any]:
    return assemble(story().refused)


@pytest.fixture(scope="module")
def debt() -> dict[str, Any]:
    """Of a payment below zero, a debt of its payee."""
    return assemble(story().debt)


@pytest.fixture(scope="module")
def netted() -> dict[str, Any]:
    """Of a payment whose release paid a debt first."""
    return assemble(story().netted)


def test_bundle__as_assembled__holds_up_to_the_bank_line(bundle):
    report = verify(bundle, PRODUCTS)
    assert report.failed is None
    assert report.complete
    assert [step.stage for step in report.steps] == [*AuditStage, AuditStage.FORMAT]


def test_bundle__of_a_refused_claim__holds_up_to_the_empty_ledger(refused):
    report = verify(refused, PRODUCTS)
    assert report.failed is None
    assert not report.complete
    assert report.steps[-2].stage is AuditStage.LEDGER


def test_bundle__of_a_payment_redeemed_later__holds_up_to_the_bank_line(late):
    report = verify(late, PRODUCTS)
    assert report.failed is None
    assert report.complete
    assert late["payout"]["redeemed"]["block"] != late["payout"]["block"]


def test_bundle__of_a_debt__holds_up_to_the_entry_that_says_who_owes_it(debt):
    report = verify(debt, PRODUCTS)
    assert report.failed is None
    assert not report.complete
    assert (debt["settlement"]["amount_micro"], debt["settlement"]["release_at"]) < (0, 1)
    assert [entry["kind"] for entry in debt["ledger"]] == ["debt_recorded"]


def test_bundle__of_a_payment_whose_release_paid_a_debt__holds_up_to_the_bank_line(netted):
    report = verify(netted, PRODUCTS)
    assert report.failed is None
    assert report.complete
    released = netted["ledger"][1]["postings"][0]["amount_minor"]
    assert released == 20 * 300_000 + 25 * 300_000 - 5 * 300_000


# a meter's bundle has no supporting records and no effects: other tests change those
_ELSEWHERE = ("supporting", "effects")
TOPS = [start for start, _ in STAGES if "." not in start and start not in _ELSEWHERE]


@pytest.mark.parametrize("top", TOPS)
def test_field__changed_and_sealed_again__fails_at_its_stage(bundle, top):
    """Sealed again: the digest cannot be what catches it, so no field goes unchecked."""
    own = bundle["batch"]["position"]
    fields = [(path, value) for path, value in leaves(bundle) if path[0] == top]
    assert fields
    for path, value in fields:
        for other in changes(path, value):
            if other == value or (top == "version" and other in READS):
                continue  # a version that is read as well says the same of this bundle
            tampered = changed(bundle, path, other)
            tampered = tampered if top == "digest" else sealed(tampered)
            assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["settlement", "batch", "devices", "evidence", "mandate"])
def test_field_of_a_refused_claim__changed_and_sealed_again__fails_at_its_stage(refused, top):
    own = refused["batch"]["position"]
    for path, value in leaves(refused):
        if path[0] == top:
            other = next(other for other in changes(path, value) if other != value)
            tampered = sealed(changed(refused, path, other))
            assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["settlement", "batch", "evidence", "mandate", "ledger"])
def test_field_of_a_debt__changed_and_sealed_again__fails_at_its_stage(debt, top):
    own = debt["batch"]["position"]
    for path, value in leaves(debt[top], (top,)):
        for other in list(changes(path, value))[:12]:
            if other != value:
                tampered = sealed(changed(debt, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["ledger", "payout"])
def test_field_of_a_netted_payment__changed_and_sealed_again__fails_at_its_stage(netted, top):
    own = netted["batch"]["position"]
    for path, value in leaves(netted[top], (top,)):
        for other in list(changes(path, value))[:12]:
            if other != value:
                tampered = sealed(changed(netted, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


@pytest.mark.parametrize("top", ["ledger", "payout", "bank_file", "bank_line"])
def test_field_of_a_late_redemption__changed_and_sealed_again__fails_at_its_stage(late, top):
    own = late["batch"]["position"]
    for path, value in leaves(late[top], (top,)):
        for other in changes(path, value):
            if other != value:
                tampered = sealed(changed(late, path, other))
                assert failing_stage(tampered) is stage_of(path, own, other), (path, value, other)


def test_field__changed_without_sealing_again__still_names_its_own_stage(bundle):
    own = bundle["batch"]["position"]
    for path, value in leaves(bundle):
        other = next(other for other in changes(path, value) if other != value)
        assert failing_stage(changed(bundle, path, other)) is stage_of(path, own), path


@pytest.mark.parametrize("how", ["drop first", "drop last", "twice", "reverse"])
def test_list__items_dropped_doubled_or_reversed__fails(bundle, late, how):
    tamper = {
        "drop first": lambda items: items[1:],
        "drop last": lambda items: items[:-1],
        "twice": lambda items: [*items, items[-1]],
        "reverse": lambda items: items[::-1],
    }[how]
    for whole in (bundle, late):
        for path, items in lists(whole):
            other = tamper(items)
            if other == items:
                continue
            assert failing_stage(sealed(changed(whole, path, other))) is not None, path


def test_part__missing_unknown_or_of_another_type__is_no_bundle(bundle, late):
    for path, value in leaves(late["payout"], ("payout",)):
        other = str(value) if isinstance(value, int) else 7
        assert failing_stage(sealed(changed(late, path, other))) is AuditStage.FORMAT, path
        assert failing_stage(sealed(changed(late, path, None))) is AuditStage.FORMAT, path
    for path, value in leaves(bundle):
        other = str(value) if isinstance(value, int) else 7
        seal = sealed if path[0] != "digest" else dict
        assert failing_stage(seal(changed(bundle, path, other))) is AuditStage.FORMAT, path
        assert failing_stage(seal(changed(bundle, path, None))) is AuditStage.FORMAT, path
    for key in bundle:
        assert failing_stage({k: v for k, v in bundle.items() if k != key}) is AuditStage.FORMAT
    assert failing_stage(sealed({**bundle, "note": "nobody checks me"})) is AuditStage.FORMAT
    deep = changed(bundle, ("mandate", "fields", "note"), "nor me")
    assert failing_stage(sealed(deep)) is AuditStage.FORMAT
