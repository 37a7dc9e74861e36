"""Delivery records of a recipient: worked cases, each guard, and the text form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device_adapters.keys import read_der
from device_adapters.types import Curve, Rejected, Signed, device_id, subject_id
from oracles import rules
from oracles.citations import resolve
from oracles.types import Agreement, ClaimReason
from orchestrator.products.proof_of_delivery import abi, product
from orchestrator.products.proof_of_delivery.delivery_record import event_hash_bytes

CASES = json.loads((Path(product.__file__).parent / "cases.json").read_text())
WORDS = CASES["prices"][0]["terms"]  # with sensor and conditions
DUE = 1_777_636_800
UNSIGNED = product.DeliveryFacts(False, *(0,) * 10, b"", b"", b"", b"")


def _agreement(terms: bytes) -> Agreement:
    return Agreement(
        b"\1" * 32,
        "dock-1",
        device_id("dock-1"),
        product.NAME,
        terms,
        0,
        2**32 - 1,
        0,
        subject=product.subject(terms),
    )


def _nonzero(facts: bytes) -> dict[str, Any]:
    """Return the facts without the signature's fields and without zeros."""
    fields = product.decode_facts(facts)._asdict()
    assert {len(fields.pop(name)) for name in ("digest", "r", "s")} == {32}
    return {name: value for name, value in fields.items() if value}


def _record(step: str = "receiving", at: int = DUE, **more: Any):
    record = {name: more.pop(name) for name in ("cites", "device", "counter") if name in more}
    event = {"name": "in", "step": step, "at": at, **more}
    return product.case_event({"counter": 1, **record, "events": [event]})


@pytest.mark.parametrize("case", [pytest.param(c, id=c["case"]) for c in CASES["runs"]])
def test_runs__worked_case__claims_and_drops_as_written(case):
    terms = product.parse_terms(case["terms"])
    agreement = _agreement(terms)
    all_events = [product.case_event(record) for record in case["records"]]
    events = [event for event in all_events if event.device == "dock-1"]
    claims, dropped, claimed, anchor = [], {}, 0, None
    for sequence in range(1, 50):
        stream = rules.runs(agreement, product, claimed, anchor, events)
        dropped |= {str(v.event.counter): v.reason for v in stream.dropped}
        if not stream.run:
            break
        cited = resolve(stream.run, all_events)
        claim = rules.derive_claim(agreement, product, sequence, anchor, stream.run, cited)
        counters = [claim.first_counter, claim.last_counter]
        claims.append({"counters": counters, "facts": _nonzero(claim.facts)})
        anchor, claimed = stream.run[-1], stream.run[-1].counter
    for claim in case["claims"]:
        name = claim["facts"]["event_hash"]
        claim["facts"]["event_hash"] = subject_id(name)
    assert claims == case["claims"]
    assert dropped == case.get("dropped", {})
    assert stream.holes == stream.waiting == ()


def test_derive__signature__is_the_events_own():
    event = _record()
    terms = product.parse_terms(WORDS)
    facts = product.decode_facts(product.derive(terms, None, [event], {}))
    assert facts.digest == hashlib.sha256(event.signed.content).digest()
    numbers = (int.from_bytes(facts.r, "big"), int.from_bytes(facts.s, "big"))
    assert numbers == read_der(event.signed.signature_der)
    assert facts.event_hash == subject_id("in")


@pytest.mark.parametrize(
    ("signed", "doubt"),
    [
        ({"curve": Curve.SECP384R1}, ClaimReason.CURVE_NOT_SETTLED),
        ({"digest": "keccak256"}, ClaimReason.CURVE_NOT_SETTLED),
        ({"signature_der": b"\0"}, ClaimReason.SIGNATURE_FORGED),
        ({"signature_der": bytes.fromhex("3006020100020101")}, ClaimReason.SIGNATURE_FORGED),
        ({"signature_der": bytes.fromhex("30060201010201ff")}, ClaimReason.SIGNATURE_FORGED),
    ],
)
def test_admit__signature_no_contract_can_check__dropped_by_name(signed, doubt):
    event = _record()
    plain = {name: getattr(event.signed, name) for name in Signed.__dataclass_fields__}
    event = replace(event, signed=Signed(**{**plain, **signed}))
    refusal = product.admit(product.parse_terms(WORDS), None, event)
    assert refusal is not None and refusal[0] is doubt


@pytest.mark.parametrize("at", [0, -5, 1 << 40])
def test_admit__time_beyond_the_word__dropped(at):
    refusal = product.admit(product.parse_terms(WORDS), None, _record(at=at))
    assert refusal is not None and refusal[0] is ClaimReason.IMPLAUSIBLE_READING


def test_admit__any_previous_record__same_answer():
    terms, event = product.parse_terms(WORDS), _record()
    others = [None, _record("accepting", counter=2), _record(quantity=7, at=DUE + 9, counter=3)]
    assert {product.admit(terms, other, event) for other in others} == {None}


def test_derive__readings_beyond_the_word__are_its_last_value():
    sensor = {"type": "Temperature", "unit": "centi_celsius"}
    shaken = {"type": "Acceleration", "unit": "milli_g", "value": 1 << 60}
    terms = product.parse_terms({**WORDS, "sensor": "dock-1"})
    for number in (1 << 40, -(1 << 40)):
        event = _record(sensors=[{**sensor, "value": number}, shaken])
        facts = product.decode_facts(product.derive(terms, None, [event], {}))
        edge = (1 << 31) - 1 if number > 0 else -(1 << 31)
        assert (facts.min_centi_c, facts.max_centi_c) == (edge, edge)
        assert facts.max_milli_g == (1 << 32) - 1


def test_derive__conditions_that_are_not_agreed__are_left_out():
    abi = {name: WORDS[name] for name in WORDS if name not in ("shock", "shock_breach")}
    terms = product.parse_terms({**abi, "sensor": "dock-1"})
    event = _record(sensors=[{"type": "Acceleration", "unit": "milli_g", "value": 9}])
    facts = product.decode_facts(product.derive(terms, None, [event], {}))
    assert (facts.sensed, facts.max_milli_g) == (0, 0)


def test_event_hash_bytes__text_of_another_form__rejected():
    for text in ("", "ni:///sha-256;ab?ver=CBV2.0", "ni:///sha-256;" + "z" * 64):
        with pytest.raises(Rejected):
            event_hash_bytes(text)


def test_terms__as_typed__are_what_the_contract_holds():
    terms = product.decode_terms(product.parse_terms(WORDS))
    assert terms == product.DeliveryTerms(
        consignment=subject_id("sscc:340123450000000017"),
        carrier=device_id("truck-1"),
        sensor=device_id("logger-1"),
        price=1_000_000_000,
        quantity=100,
        picked_up_bps=2_000,
        delivered_bps=5_000,
        accepted_bps=3_000,
        due_at=DUE,
        deadline=DUE + 7 * 86_400,
        late_bps_per_hour=50,
        late_max_bps=2_000,
        min_centi_c=200,
        max_centi_c=800,
        breach_bps=1_000,
        shock_milli_g=5_000,
        shock_bps=1_500,
        breach_max_bps=2_500,
    )
    assert product.encode_terms(terms) == product.parse_terms(WORDS)


def test_terms__by_their_ids__are_the_same_terms():
    names = {"consignment": subject_id(WORDS["consignment"]), "carrier": device_id("truck-1")}
    typed = {**WORDS, **{name: f"0x{value.hex()}" for name, value in names.items()}}
    assert product.parse_terms(typed) == product.parse_terms(WORDS)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"consignment": "sscc:106141412345678907"}, "check digit"),
        ({"price": None}, "price is missing"),
        ({"price": "0"}, "the price"),
        ({"price": "1.0000001"}, "price is '1.0000001'"),
        ({"price": "NaN"}, "price is 'NaN'"),
        ({"price": "1e9999999"}, "price is"),
        ({"quantity": "1.5"}, "quantity is '1.5'"),
        ({"quantity": "-1"}, "quantity is -1, which does not fit uint32"),
        ({"shares": "20/50"}, "shares is"),
        ({"shares": "20/50/31"}, "not 100 %"),
        ({"due": "2026-05-01T12:00"}, "without its zone"),
        ({"due": "soon"}, "due is 'soon'"),
        ({"deadline": "2026-04-01T12:00Z"}, "due after the deadline"),
        ({"late": "0.5/0"}, "rate or limit"),
        ({"late": "5/101"}, "above 100 %"),
        ({"celsius": "8..2"}, "the coldest"),
        ({"breach": "0"}, "what its breach costs"),
        ({"shock_breach": "0"}, "shock lacks"),
        ({"sensor": None}, "come together"),
        ({"breach_max": "0"}, "their limit"),
        ({"sensor": "truck-1"}, "cannot be the sensor"),
        ({"consignment": "sscc:123"}, "consignment is"),
        ({"consignment": "0x" + "00" * 32}, "consignment or carrier is missing"),
    ],
)
def test_terms__nonsense__refused_and_named(changes, named):
    typed = {**WORDS, **changes}
    with pytest.raises(Rejected) as refusal:
        product.parse_terms({name: text for name, text in typed.items() if text is not None})
    assert refusal.value.reason is ClaimReason.FACTS_MALFORMED and named in refusal.value.detail


def test_format__terms_and_facts__have_units():
    view = product.format_terms(product.parse_terms(WORDS))
    assert view["price"] == "1000 EUR for 100 units"
    assert view["shares"] == "20 % / 50 % / 30 % (picked up / delivered / accepted)"
    assert view["late"] == "0.5 % an hour, at most 20 %"
    assert view["temperature"] == "2 to 8 °C, else 10 % off"
    assert view["shock"] == "at most 5 g, else 15 % off"
    facts = UNSIGNED._replace(
        withdrawn=True,
        received=40,
        delivered_at=DUE,
        sensed=3,
        min_centi_c=-50,
        max_centi_c=812,
        max_milli_g=1_250,
        signed_at=DUE,
        event_hash=b"\1" * 32,
        digest=b"\2" * 32,
        r=b"\3" * 32,
        s=b"\4" * 32,
    )
    view = product.format_facts(product.encode_facts(facts))
    assert view["event"] == f"0x{'01' * 32} withdrawn"
    assert view["received"] == "40 units at 2026-05-01T12:00:00Z"
    assert (view["temperature"], view["shock"]) == ("-0.5 to 8.12 °C", "1.25 g")
    assert "accepted" not in view and "picked up" not in view


def test_facts__that_contradict_themselves__rejected():
    whole = UNSIGNED._replace(
        signed_at=1, event_hash=b"\1" * 32, digest=b"\1" * 32, r=b"\1" * 32, s=b"\1" * 32
    )
    assert product.decode_facts(product.encode_facts(whole)) == whole
    for wrong in (
        {"received": 1},
        {"accepted_at": 1},
        {"min_centi_c": 1},
        {"max_milli_g": 1},
        {"sensed": 1, "min_centi_c": 2, "max_centi_c": 1},
    ):
        with pytest.raises(Rejected):
            product.decode_facts(product.encode_facts(whole._replace(**wrong)))
    for wrong in ({"received": 1 << 32}, {"sensed": 4}, {"min_centi_c": 1 << 31}, {"r": b"\1"}):
        with pytest.raises(Rejected):
            product.encode_facts(whole._replace(**wrong))


def test_facts__edge_of_each_type__survive_the_wire():
    edges = UNSIGNED._replace(
        withdrawn=True,
        received=2**32 - 1,
        accepted=2**32 - 1,
        delivered_at=2**40 - 1,
        accepted_at=1,
        sensed=abi.TEMPERATURE,
        min_centi_c=-(2**31),
        max_centi_c=2**31 - 1,
        event_hash=b"\xff" * 32,
        digest=b"\xff" * 32,
        r=b"\xff" * 32,
        s=b"\0" * 32,
    )
    raw = product.encode_facts(edges)
    assert len(raw) == 480 and product.decode_facts(raw) == edges
