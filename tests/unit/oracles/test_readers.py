"""Two readers of OCMF share no code, so a bug in one of them moves no money.

Four oracles as `proofrail init` makes them: each reader has half of them, a quorum needs three.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_adapters import registry
from device_adapters.protocols import ocmf
from device_adapters.protocols.ocmf import independent
from device_adapters.types import Event, Rejected
from oracles.readers import LIBRARY, OWN, READERS, RecordReader
from oracles.types import ClaimReason
from orchestrator.products.metered_energy import product
from services.development import ORACLES, reader_of
from services.simulated_devices.record import Point, payload_of, sign
from tests.support.meter_streams import SOME_DAY, agreement, key_of, message, session_record
from tests.support.oracle_at import AGREEMENT, ask, claim_of, oracle, reasons

NEED = 3  # signatures of a quorum
_OURS = ("plain", "rules", "fields", "sections", "record", "sessions", "check", "transactions")


def off_by_ten(event: Event) -> Event:
    for reading in event.facts["readings"]:
        if reading["mark"] == "E":
            reading["register"] += 10
    return event


def without_multiplier(event: Event) -> Event:
    for reading in event.facts["readings"]:
        reading["register"] //= 1_000
    return event


def direction_swapped(event: Event) -> Event:
    for reading in event.facts["readings"]:
        reading["obis"] = reading["obis"].replace(":B0.", ":C0.")
    return event


BUGS = (off_by_ten, without_multiplier, direction_swapped)


def readers(buggy: str = "", bug=lambda event: event) -> list[RecordReader]:
    """Return the reader of each oracle of a new rail, one of the two readers with a bug."""
    decoders = {"own": ocmf.decode, "library": independent.decode}
    wrong = RecordReader(buggy, {"ocmf": lambda record: bug(decoders[buggy](record))})
    names = [reader_of(domain) for _, domain in ORACLES]
    return [wrong if name == buggy else READERS[name] for name in names]


def answers(folder: Path, used: list[RecordReader], records: list[bytes], claim) -> list:
    answered = []
    for index, reader in enumerate(used):
        node = oracle(folder / str(index), reader=reader)
        node.take([message(*records)])
        answered.append(ask(node, claim))
    return answered


def test_oracles__of_a_new_rail__no_reader_has_a_quorum_by_itself():
    shares = Counter(reader_of(domain) for _, domain in ORACLES)
    assert set(shares) == set(READERS) and max(shares.values()) < NEED


def test_attest__both_readers__sign_the_same_claim_and_say_how_they_read(tmp_path):
    records = [session_record("M1", n) for n in (1, 2)]
    answered = answers(tmp_path, readers(), records, claim_of(*records))
    assert all(answer.signature for answer in answered)
    nodes = [oracle(tmp_path / name, reader=READERS[name]) for name in READERS]
    assert [node.health()["reader"] for node in nodes] == ["own", "library"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
@pytest.mark.parametrize("buggy", READERS)
def test_attest__a_bug_in_one_reader__stops_at_the_quorum(tmp_path, buggy, bug):
    """Whoever derived the claim: those who read right refuse the wrong one, and the reverse."""
    records = [session_record("M1", 1)]
    right = claim_of(*records)
    events = [bug(event) for event in map(ocmf.decode, records)]
    try:
        facts = product.derive(agreement().terms, None, events, {})
    except (Rejected, IndexError):  # the wrong reader sees nothing to charge
        facts = right.facts[:-1] + b"\0"
    wrong = type(right)(AGREEMENT, 1, 1, 1, right.evidence, facts)
    for turn, claim in enumerate((right, wrong)):
        answered = answers(tmp_path / str(turn), readers(buggy, bug), records, claim)
        refused = [reasons(answer)[0][1] for answer in answered if answer.signature is None]
        assert len(answered) - len(refused) < NEED
        assert set(refused) <= {ClaimReason.CLAIM_DIFFERS, ClaimReason.KIND_NOT_PRICED}


def test_independent__its_imports__none_of_our_reader():
    tree = ast.parse(Path(independent.__file__).read_text())
    imported = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    names = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    assert not [m for m in imported | names if m.rpartition(".")[2] in _OURS]
    assert {m for m in imported if m.startswith("device_adapters")} == {
        "device_adapters.keys",
        "device_adapters.types",
    }


_POINT = st.tuples(
    st.sampled_from(["B", "C", "E", "X", "L", ""]), st.integers(0, 10**6), st.integers(0, 10**8)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_POINT, min_size=1, max_size=4), st.sampled_from("TF"), st.integers(0, 10**9))
def test_decode__any_record_of_a_meter__says_the_same_to_both_and_what_is_paid_passes_both(
    points, stream, number
):
    readings = [Point(mark, SOME_DAY + at, register) for mark, at, register in points]
    record = sign(payload_of("M1", f"{stream}{number}", readings), key_of("M1"))
    ours, theirs = ocmf.decode(record), independent.decode(record)
    for name in ("device", "gateway", "counter", "observed_at_ms", "signed", "place", "evidence"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.facts["readings"] == theirs.facts["readings"]
    for terms in (agreement().terms, product.encode_terms(product.EnergyTerms(1, 22_000, True))):
        taken = [
            not event.not_billable and product.admit(terms, None, event) is None
            for event in (ours, theirs)
        ]
        # the library alone knows fewer rules; it must not refuse what a rail pays
        assert taken[1] or not taken[0], theirs.not_billable


@pytest.mark.parametrize("title, record, wanted", ocmf.EXAMPLES, ids=lambda item: str(item)[:60])
def test_decode__examples_of_ocmf__never_two_different_readings(title, record, wanted):
    try:
        ours, theirs = ocmf.decode(record), independent.decode(record)
    except Rejected:
        return  # one of them reads nothing: then no quorum reads it either
    assert ours.facts["readings"] == theirs.facts["readings"], title
    assert (ours.device, ours.counter, ours.signed) == (
        theirs.device,
        theirs.counter,
        theirs.signed,
    )


@given(st.binary(max_size=300))
def test_decode__any_bytes__only_the_declared_error(data):
    for raw in (data, b"OCMF|" + data, b'OCMF|{"PG":"T1","RD":[' + data):
        try:
            independent.decode(raw)
        except Rejected:
            continue


def test_read__with_other_decoders__only_their_protocol_is_read_otherwise():
    record, seen = session_record("M1", 1), []
    decoders = {"voucher": seen.append, "ocmf": lambda raw: off_by_ten(independent.decode(raw))}
    (event,) = registry.read(message(record), None, decoders)
    (usual,) = registry.read(message(record), None, OWN.decoders)
    assert event.facts["readings"][1]["register"] == usual.facts["readings"][1]["register"] + 10
    assert not seen and LIBRARY.decoders.keys() == {"ocmf"}
