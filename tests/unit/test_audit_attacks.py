"""Bundles that lie with every hash right again: each lie is named by the stage that it harms."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256

import pytest
from audit_node import ANVIL, ROOT
from audit_rail import START
from audit_story import PRODUCTS, told
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.audit import Anchors, Stage, Unproven, assemble, verify
from orchestrator.core.audit.blocks import keccak
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.audit.device import key_at
from orchestrator.core.audit.logs import EVENTS, TOPICS
from orchestrator.core.ledger import Entry, Posting, chain_hash, entry
from orchestrator.core.references import end_to_end_id
from orchestrator.edges.bank import camt
from orchestrator.edges.chain.compiler import build

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def parts():
    return told().paid


@pytest.fixture
def bundle(parts):
    return assemble(parts)


def failure(bundle: dict, anchors: Anchors | None = None) -> tuple[Stage, str]:
    failed = verify(sealed(bundle), PRODUCTS, anchors).failed
    assert failed is not None
    return failed.stage, failed.detail


def with_record(bundle: dict, place: int, record: bytes) -> dict:
    bundle["evidence"][place] = {
        "protocol": "ocmf",
        "sha256": "0x" + sha256(record).hexdigest(),
        "record": b64encode(record).decode(),
    }
    return bundle


def test_record__of_another_key__is_not_evidence(bundle):
    stranger = type(told().meter)("HM-0001")
    lie = with_record(bundle, 1, stranger.record(3, START + 30_800, "112.25"))
    assert failure(lie)[0] is Stage.EVIDENCE


def test_record__signed_again_by_the_device__is_not_the_claimed_one(bundle, parts):
    """A valid signature, right hash, right facts: only the evidence root tells them apart."""
    again = told().meter.record(3, START + 20_000 + 3_600 * 3, "112.25")
    assert again != parts.evidence[1][1]
    stage, detail = failure(with_record(bundle, 1, again))
    assert stage is Stage.CLAIM
    assert "evidence" in detail


def test_record__signed_with_a_rotated_out_key__names_the_device_key(bundle):
    old = told().before.record(3, START + 20_000 + 3_600 * 3, "112.25")
    assert failure(with_record(bundle, 1, old))[0] is Stage.DEVICE_KEY


def test_record__from_a_time_of_suspension__names_the_device_key(bundle):
    silent = told().meter.record(3, START + 13_500, "112.25")
    assert failure(with_record(bundle, 1, silent))[0] is Stage.DEVICE_KEY


def test_record__left_out__leaves_a_gap_in_the_counters(bundle):
    del bundle["evidence"][1]
    assert failure(bundle)[0] is Stage.EVENTS


def test_records__out_of_order__are_named_by_their_counters(bundle):
    bundle["evidence"].reverse()
    assert failure(bundle)[0] is Stage.EVENTS


def test_records__last_one_left_out__claim_says_more_than_they_do(bundle):
    del bundle["evidence"][-1]
    assert failure(bundle)[0] is Stage.CLAIM


def test_anchor__left_out_or_other__facts_are_not_the_derived_ones(bundle):
    bundle["anchor"] = None
    assert failure(bundle)[0] is Stage.CLAIM


def test_history__without_its_enrolment__names_the_device_key(bundle):
    del bundle["device"]["history"][0]
    assert failure(bundle)[0] is Stage.DEVICE_KEY


def test_signatures__fewer_than_a_quorum__name_the_attestation(bundle):
    bundle["batch"]["signatures"].pop()
    stage, detail = failure(bundle)
    assert stage is Stage.ATTESTATION
    assert "quorum" in detail


@pytest.mark.parametrize("how", ["same twice", "unsorted"])
def test_signatures__repeated_or_unsorted__name_the_attestation(bundle, how):
    signatures = bundle["batch"]["signatures"]
    bundle["batch"]["signatures"] = (
        [signatures[0], *signatures[:-1]] if how == "same twice" else signatures[::-1]
    )
    assert failure(bundle)[0] is Stage.ATTESTATION


def test_attestation__more_domains_wanted_than_signed__names_the_attestation(bundle):
    assert verify(bundle, PRODUCTS, Anchors(min_domains=3)).ok
    assert failure(bundle, Anchors(min_domains=4))[0] is Stage.ATTESTATION


def test_amount__raised_in_outcome_and_ledger_alike__names_the_settlement(bundle):
    bundle["settlement"]["amount_micro"] += 10_000
    for posting, sign in zip(bundle["ledger"][0]["postings"], (1, -1), strict=True):
        posting["amount_minor"] += sign * 10_000
    assert failure(bundle)[0] is Stage.SETTLEMENT


def rewritten(bundle: dict, place: int, change) -> dict:
    """An entry changed, balanced, and with its own id and hash right again."""
    told_entry = bundle["ledger"][place]
    postings = [(p["account"], p["asset"], p["amount_minor"]) for p in told_entry["postings"]]
    other = entry(told_entry["kind"], told_entry["ref"], change(postings))
    told_entry["postings"] = [dataclasses.asdict(posting) for posting in other.postings]
    told_entry["hash"] = chain_hash(told_entry["previous"], other)
    return bundle


@pytest.mark.parametrize(
    ("place", "stage"),
    [(0, Stage.LEDGER), (1, Stage.PAYOUT), (2, Stage.PAYOUT), (3, Stage.BANK_LINE)],
)
def test_entry__of_double_amount_with_its_hash_right__is_not_what_happened(bundle, place, stage):
    lie = rewritten(bundle, place, lambda items: [(a, asset, 2 * n) for a, asset, n in items])
    assert failure(lie)[0] is stage


def test_entry__that_does_not_balance_with_its_hash_right__names_the_ledger(bundle):
    first = bundle["ledger"][0]
    first["postings"][0]["amount_minor"] += 1
    postings = tuple(Posting(**posting) for posting in first["postings"])
    made = Entry(first["entry_id"], first["kind"], first["ref"], postings)
    first["hash"] = chain_hash(first["previous"], made)
    stage, detail = failure(bundle)
    assert stage is Stage.LEDGER
    assert "balance" in detail


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_entry__left_out__is_missed(bundle, place):
    del bundle["ledger"][place]
    wanted = (Stage.LEDGER, Stage.PAYOUT, Stage.PAYOUT, Stage.BANK_LINE)[place]
    assert failure(bundle)[0] is wanted


def swapped(bundle: dict, parts, part: str, old: str, new: str) -> dict:
    """A bank file with other text, and the SHA-256 of that text."""
    content = parts.bank_file if part == "bank_file" else parts.bank_line[0]
    assert old.encode() in content
    content = content.replace(old.encode(), new.encode())
    bundle[part] |= {
        "sha256": "0x" + sha256(content).hexdigest(),
        "content": b64encode(content).decode(),
    }
    return bundle


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("bank_file", ">8.47<", ">8.48<"),
        ("bank_file", "DE89370400440532013000", "DE75512108001245126199"),
        ("bank_file", "<EndToEndId>PR", "<EndToEndId>PQ"),
        ("bank_file", 'Ccy="EUR"', 'Ccy="USD"'),
        ("bank_file", "</Document>", ""),
        ("bank_line", ">8.47<", ">8.46<"),
        ("bank_line", "<EndToEndId>PR", "<EndToEndId>PQ"),
        ("bank_line", "DBIT", "CRDT"),
        ("bank_line", "BOOK", "PDNG"),
        ("bank_line", 'Ccy="EUR"', 'Ccy="USD"'),
        ("bank_line", "<Sts>", "<RvslInd>true</RvslInd><Sts>"),
        ("bank_line", "</Refs>", "</Refs><RtrInf/>"),
    ],
)
def test_bank__other_text_with_its_hash_right__is_not_the_payout(bundle, parts, part, old, new):
    assert failure(swapped(bundle, parts, part, old, new))[0].value == part


def test_bank__the_line_s_path__is_spelt_as_the_bank_door_spells_it(parts, bundle):
    content, path = parts.bank_line
    line = camt.line_at(content, path)
    assert (line.amount_minor, line.end_to_end_id) == (-847, end_to_end_id(parts.order))
    for other in ("Stmt/Ntry[2]/NtryDtls/TxDtls[1]", "Stmt[1]/Ntry[2]/NtryDtls[1]/TxDtls[1]"):
        bundle["bank_line"]["path"] = other
        assert failure(bundle)[0] is Stage.BANK_LINE


def test_bank__the_neighbour_line__is_not_the_payout(bundle):
    bundle["bank_line"]["path"] = bundle["bank_line"]["path"].replace("Ntry[2]", "Ntry[1]")
    assert failure(bundle)[0] is Stage.BANK_LINE


@pytest.mark.parametrize(
    ("anchors", "stage"),
    [
        (Anchors(registry="0x" + "11" * 20), Stage.DEVICE_KEY),
        (Anchors(rail="0x" + "11" * 20), Stage.MANDATE),
        (Anchors(chain_id=1), Stage.MANDATE),
        (Anchors(committee="0x" + "11" * 20), Stage.ATTESTATION),
        (Anchors(token="0x" + "11" * 20), Stage.PAYOUT),
        (Anchors(blocks=frozenset({"0x" + "11" * 32})), Stage.DEVICE_KEY),
        (Anchors(files=frozenset({"11" * 32})), Stage.BANK_FILE),
    ],
)
def test_anchors__other_than_the_bundle__name_the_stage_that_rests_on_them(bundle, anchors, stage):
    assert failure(bundle, anchors)[0] is stage


def test_anchors__all_as_the_report_prints_them__hold(bundle):
    trust = verify(bundle, PRODUCTS).trust
    assert trust == json.loads(json.dumps(trust))
    anchors = Anchors(
        blocks=frozenset(trust["blocks"].values()),
        chain_id=trust["chain_id"],
        rail=trust["rail"],
        registry=trust["registry"],
        committee=trust["committee"],
        token=trust["token"],
        files=frozenset(trust["files"]),
    )
    report = verify(bundle, PRODUCTS, anchors)
    assert report.complete
    assert report.trust["blocks_anchored"] and report.trust["files_anchored"]
    last = max(trust["blocks"], key=int)
    fewer = dataclasses.replace(anchors, blocks=anchors.blocks - {trust["blocks"][last]})
    assert failure(bundle, fewer)[0] is Stage.PAYOUT


@pytest.mark.parametrize("upto", ["ledger", "payout", "bank_file", "bank_line"])
def test_bundle__of_a_payment_on_its_way__holds_as_far_as_it_goes(bundle, upto):
    names = ["ledger", "payout", "bank_file", "bank_line"]
    for name in names[names.index(upto) :]:
        bundle[name] = None
    report = verify(sealed(bundle), PRODUCTS)
    assert report.ok and not report.complete
    assert upto not in [step.stage for step in report.steps]


def test_bundle__with_a_hole_in_its_later_parts__is_no_bundle(bundle):
    bundle["ledger"] = None
    assert failure(bundle)[0] is Stage.FORMAT


def test_key_at__any_time__answers_as_the_registry_on_chain(parts):
    bundle = assemble(parts)
    history = _history(bundle)
    answers = {"not enrolled yet": 0, "suspended": 2, "retired": 3, "compromised": 4}
    for at, (status, x, y) in told().key_at.items():
        key = key_at(history, at)
        if isinstance(key, str):
            assert answers[key] == status, at
        else:
            assert (1, key.x, key.y) == (status, int.from_bytes(x), int.from_bytes(y)), at


def _history(bundle: dict) -> list:
    from orchestrator.core.audit.case import Case
    from orchestrator.core.audit.device import device_key

    case = Case(bundle, Anchors(), PRODUCTS)
    device_key(case)
    return case.history


@pytest.mark.parametrize("at", [5, 6, 40])
def test_key_at__compromise_declared_later_for_an_earlier_time__bars_from_then_on(at):
    point = (b"\x01" * 32, b"\x02" * 32)
    history = [
        ("DeviceEnrolled", (b"", 0, *point, "", b"", 1)),
        ("CompromiseDeclared", (b"", 5, 30)),
    ]
    assert not isinstance(key_at(history, 4), str)
    assert key_at(history, at) == "compromised"
    assert key_at(history, 0) != key_at(history, 4)


def test_assemble__claim_that_the_settlement_does_not_hold__is_refused(parts):
    with pytest.raises(Unproven):
        assemble(dataclasses.replace(parts, sequence=7))
    with pytest.raises(Unproven):
        assemble(dataclasses.replace(parts, settlement=parts.payout))


def test_events__as_declared__have_the_topics_of_the_contracts():
    declared = {
        keccak(f"{part['name']}({','.join(i['type'] for i in part['inputs'])})".encode())
        for artifact in build(ROOT, ROOT / ".build" / "contracts").values()
        for part in artifact.abi
        if part["type"] == "event"
    }
    for name in EVENTS:
        assert declared & {topic for topic, known in TOPICS.items() if known == name}, name


def test_verifier__in_a_fresh_interpreter__loads_no_server_database_or_chain_library():
    code = (
        "import sys, orchestrator.core.audit\n"
        "bad = {'web3', 'sqlmodel', 'sqlalchemy', 'fastapi', 'requests', 'paho', 'trie',"
        " 'orchestrator.edges', 'orchestrator.settings'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=70) | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_verify__anything_at_all__gives_a_report(value):
    report = verify(value, PRODUCTS)
    assert report.failed is not None
    assert report.failed.stage is Stage.FORMAT


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_verify__any_value_anywhere__gives_a_report_that_fails(data):
    bundle = copy.deepcopy(assemble(told().paid))
    part, key = bundle, data.draw(st.sampled_from(sorted(bundle)))
    while isinstance(part[key], dict | list) and part[key] and data.draw(st.booleans()):
        part = part[key]
        keys = sorted(part) if isinstance(part, dict) else list(range(len(part)))
        key = data.draw(st.sampled_from(keys))
    before = part[key]
    same = st.integers() if isinstance(before, int) else st.from_regex(r"0x([0-9a-f]{2})*")
    part[key] = data.draw(st.one_of(json_values, same))
    if part[key] != before and part[key] is not None:
        assert not verify(sealed(bundle) if key != "digest" else bundle, PRODUCTS).ok
