"""The verifier itself: it agrees with the contracts, loads little, and never raises."""

from __future__ import annotations

import copy
import dataclasses
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters.types import Rejected
from orchestrator.core.audit import Anchors, AuditStage, assemble, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.audit.device import key_at
from orchestrator.core.audit.logs import EVENTS, TOPICS
from orchestrator.core.audit.reading import unbase64
from orchestrator.edges.chain.abi import event_topics
from orchestrator.edges.chain.artifacts import load_artifacts
from tests.support.audit_node import ANVIL, ROOT
from tests.support.audit_story import PRODUCTS, story

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed")


@pytest.fixture(scope="module")
def parts():
    return story().paid


@pytest.fixture
def bundle(parts):
    return assemble(parts)


def test_key_at__any_time__answers_as_the_registry_on_chain(parts):
    bundle = assemble(parts)
    history = _history(bundle)
    answers = {"not enrolled yet": 0, "suspended": 2, "retired": 3, "compromised": 4, "expired": 5}
    seen = set()
    for at, (status, x, y) in story().key_at.items():
        key = key_at(history, at)
        if isinstance(key, str):
            assert answers[key] == status, at
            seen.add(key)
        else:
            assert (1, key.x, key.y) == (status, int.from_bytes(x), int.from_bytes(y)), at
    assert seen == {"not enrolled yet", "expired", "suspended"}


def _history(bundle: dict) -> list:
    from orchestrator.core.audit.case import Case
    from orchestrator.core.audit.device import device_key

    case = Case(bundle, Anchors(), PRODUCTS)
    device_key(case)
    return case.histories[case.device_id]


@pytest.mark.parametrize("at", [5, 6, 40])
def test_key_at__compromise_declared_later_for_an_earlier_time__bars_from_then_on(at):
    point = (b"\x01" * 32, b"\x02" * 32)
    history = [
        ("DeviceEnrolled", (b"", 0, *point, "", b"", 0, 1)),
        ("CompromiseDeclared", (b"", 5, 30)),
    ]
    assert not isinstance(key_at(history, 4), str)
    assert key_at(history, at) == "compromised"
    assert key_at(history, 0) != key_at(history, 4)


def test_key_at__ruling_on_a_compromise__replaces_what_was_declared_and_zero_takes_it_back():
    point = (b"\x01" * 32, b"\x02" * 32)
    declared = [
        ("DeviceEnrolled", (b"", 0, *point, "", b"", 0, 1)),
        ("CompromiseDeclared", (b"", 20, 30)),
    ]
    moved = [*declared, ("CompromiseRuled", (b"", 25, 0, 40))]
    undone = [*moved, ("CompromiseRuled", (b"", 0, 1, 50))]
    again = [*undone, ("CompromiseDeclared", (b"", 55, 60))]
    answers = {
        name: [key_at(history, at) == "compromised" for at in (19, 20, 24, 25, 54, 55)]
        for name, history in {"moved": moved, "undone": undone, "again": again}.items()
    }
    assert answers == {
        "moved": [False, False, False, True, True, True],
        "undone": [False] * 6,
        "again": [False] * 5 + [True],
    }


def test_assemble__claim_that_the_settlement_does_not_hold__is_refused(parts):
    with pytest.raises(Rejected):
        assemble(dataclasses.replace(parts, sequence=7))
    with pytest.raises(Rejected):
        assemble(dataclasses.replace(parts, settlement=parts.payout))
    with pytest.raises(Rejected, match="not a settlement on the rail"):
        assemble(dataclasses.replace(parts, rail="0x" + "11" * 20))


def test_events__as_declared__have_the_topics_of_the_contracts():
    declared = {
        bytes.fromhex(topic[2:])
        for artifact in load_artifacts().values()
        for topic, _ in event_topics(artifact.abi)
    }
    for name in EVENTS:
        assert declared & {topic for topic, event in TOPICS.items() if event == name}, name


def test_verifier__in_a_fresh_interpreter__loads_no_server_database_or_chain_library():
    code = (
        "import sys, orchestrator.core.audit\n"
        "bad = {'web3', 'sqlmodel', 'sqlalchemy', 'fastapi', 'requests', 'paho', 'trie',"
        " 'orchestrator.edges', 'orchestrator.settings'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=300)


@pytest.mark.parametrize("text", ["TR==", "TQ", "TQ==\n", " TQ==", "T-_=", "é"])
def test_base64__in_another_spelling__is_refused(text):
    assert unbase64("TQ==", "a file") == b"M"
    with pytest.raises(Rejected):
        unbase64(text, "a file")


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
    assert report.failed.stage is AuditStage.FORMAT


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_verify__any_value_anywhere__gives_a_report_that_fails(data):
    bundle = copy.deepcopy(assemble(story().paid))
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
