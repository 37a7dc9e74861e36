"""False records and signatures with every hash recomputed: the right stage names each."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from oracles.attest import address_of, batch_digest, sign
from oracles.types import Batch, Claim
from orchestrator.core.audit import Anchors, AuditStage, assemble, verify
from orchestrator.core.audit.bundle import sealed
from tests.support.audit_node import ANVIL
from tests.support.audit_rail import ORACLES, START
from tests.support.audit_story import PRODUCTS, failure, story

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def parts():
    return story().paid


@pytest.fixture
def bundle(parts):
    return assemble(parts)


def with_record(bundle: dict, place: int, record: bytes) -> dict:
    bundle["evidence"][place] = {
        "protocol": "ocmf",
        "sha256": "0x" + sha256(record).hexdigest(),
        "record": b64encode(record).decode(),
    }
    return bundle


def test_record__of_another_key__is_not_evidence(bundle):
    stranger = type(story().meter)("HM-0001")
    lie = with_record(bundle, 1, stranger.record(3, START + 30_800, "112.25"))
    assert failure(lie)[0] is AuditStage.EVIDENCE


def test_record__signed_again_by_the_device__is_not_the_claimed_one(bundle, parts):
    """A valid signature, right hash, right facts: only the evidence root differs."""
    again = story().meter.record(3, START + 20_000 + 3_600 * 3, "112.25")
    assert again != parts.evidence[1][1]
    stage, detail = failure(with_record(bundle, 1, again))
    assert stage is AuditStage.CLAIM
    assert "evidence" in detail


def test_record__signed_with_a_rotated_out_key__names_the_device_key(bundle):
    old = story().before.record(3, START + 20_000 + 3_600 * 3, "112.25")
    assert failure(with_record(bundle, 1, old))[0] is AuditStage.DEVICE_KEY


def test_record__from_a_time_of_suspension__names_the_device_key(bundle):
    silent = story().meter.record(3, START + 13_500, "112.25")
    assert failure(with_record(bundle, 1, silent))[0] is AuditStage.DEVICE_KEY


def test_record__left_out__leaves_a_gap_in_the_counters(bundle):
    del bundle["evidence"][1]
    assert failure(bundle)[0] is AuditStage.EVENTS


def test_records__out_of_order__are_named_by_their_counters(bundle):
    bundle["evidence"].reverse()
    assert failure(bundle)[0] is AuditStage.EVENTS


def test_records__last_one_left_out__claim_says_more_than_they_do(bundle):
    del bundle["evidence"][-1]
    assert failure(bundle)[0] is AuditStage.CLAIM


def test_anchor__left_out_or_other__facts_are_not_the_derived_ones(bundle):
    bundle["anchor"] = None
    assert failure(bundle)[0] is AuditStage.CLAIM


def test_history__without_its_enrolment__names_the_device_key(bundle):
    del bundle["devices"][0]["history"][0]
    assert failure(bundle)[0] is AuditStage.DEVICE_KEY


def test_history__with_another_device_s_receipt__names_the_device_key(bundle):
    other = assemble(story().refused)["devices"][0]["history"][0]
    history = bundle["devices"][0]["history"]
    key = lambda proof: (proof["block"] != history[0]["block"], proof["index"])  # noqa: E731
    bundle["devices"][0]["history"] = [*sorted([history[0], other], key=key), *history[1:]]
    stage, detail = failure(bundle)
    assert stage is AuditStage.DEVICE_KEY
    assert "without an event of it" in detail


def test_mandate__opening_of_another_agreement__names_the_mandate(bundle):
    bundle["mandate"]["opened"] = assemble(story().refused)["mandate"]["opened"]
    assert failure(bundle)[0] is AuditStage.MANDATE


@pytest.mark.parametrize("missing", [0, 1])
def test_committee__a_change_of_seats_left_out__is_noticed_as_a_gap(bundle, missing):
    del bundle["committee"][missing]
    stage, detail = failure(bundle)
    assert stage is AuditStage.ATTESTATION
    assert "gap" in detail


def test_devices__one_more_than_signed__is_named_by_the_evidence(bundle):
    bundle["devices"] += assemble(story().debt)["devices"]
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVIDENCE
    assert "devices" in detail


def test_devices__the_same_one_given_twice__names_the_device_key(bundle):
    bundle["devices"] *= 2
    assert failure(bundle)[0] is AuditStage.DEVICE_KEY


def test_supporting__a_record_that_nothing_cites__is_named_by_the_events(bundle):
    other = assemble(story().debt)
    bundle["devices"] += other["devices"]
    bundle["supporting"] = other["evidence"]
    stage, detail = failure(bundle)
    assert stage is AuditStage.EVENTS
    assert "cite" in detail


def resigned(bundle: dict, keys: list[bytes]) -> dict:
    """The same batch under other signatures, which are genuine."""
    claims = tuple(
        Claim(
            bytes.fromhex(c["agreement"][2:]),
            *(c["sequence"], c["first_counter"], c["last_counter"]),
            *(bytes.fromhex(c[part][2:]) for part in ("evidence", "facts")),
        )
        for c in bundle["batch"]["claims"]
    )
    batch = Batch(bundle["chain"]["rail"], bundle["mandate"]["fields"]["product"], claims)
    digest = batch_digest(batch, bundle["chain"]["id"], bundle["chain"]["committee"])
    signatures = [sign(digest, key) for key in sorted(keys, key=address_of)]
    bundle["batch"]["signatures"] = ["0x" + signature.hex() for signature in signatures]
    return bundle


def test_signatures__of_a_stranger__name_the_attestation(bundle):
    stage, detail = failure(resigned(bundle, [*ORACLES[:3], b"\x77" * 32]))
    assert stage is AuditStage.ATTESTATION
    assert "no seat" in detail


def test_signatures__genuine_but_not_those_of_the_settlement__name_the_settlement(bundle):
    assert verify(sealed(resigned(bundle, ORACLES[1:])), PRODUCTS).ok
    assert failure(resigned(bundle, ORACLES[:3]))[0] is AuditStage.SETTLEMENT


def test_attestation__required_domain_missing__is_refused_or_names_the_attestation():
    bundle = assemble(story().unwanted)
    assert bundle["settlement"]["refusal"] == 8
    assert verify(bundle, PRODUCTS).ok
    bundle["settlement"]["refusal"] = 0
    stage, detail = failure(bundle)
    assert stage is AuditStage.ATTESTATION
    assert "trust domain 2" in detail


def test_signatures__fewer_than_a_quorum__name_the_attestation(bundle):
    bundle["batch"]["signatures"].pop()
    stage, detail = failure(bundle)
    assert stage is AuditStage.ATTESTATION
    assert "quorum" in detail


@pytest.mark.parametrize("how", ["same twice", "unsorted"])
def test_signatures__repeated_or_unsorted__name_the_attestation(bundle, how):
    signatures = bundle["batch"]["signatures"]
    bundle["batch"]["signatures"] = (
        [signatures[0], *signatures[:-1]] if how == "same twice" else signatures[::-1]
    )
    assert failure(bundle)[0] is AuditStage.ATTESTATION


def test_attestation__more_domains_wanted_than_signed__names_the_attestation(bundle):
    assert verify(bundle, PRODUCTS, Anchors(min_domains=3)).ok
    assert failure(bundle, Anchors(min_domains=4))[0] is AuditStage.ATTESTATION


def test_amount__raised_in_outcome_and_ledger_alike__names_the_settlement(bundle):
    bundle["settlement"]["amount_micro"] += 10_000
    for posting, way in zip(bundle["ledger"][0]["postings"], (1, -1), strict=True):
        posting["amount_minor"] += way * 10_000
    assert failure(bundle)[0] is AuditStage.SETTLEMENT
