"""Later outcomes: signed, of a bounded size, with ids that never change, and acknowledged by id."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as some

from device_adapters.types import Rejected
from orchestrator.core.later_outcome import (
    FIRST_PAUSE_S,
    LAST_PAUSE_S,
    MAX_BYTES,
    MAX_DETAIL,
    MAX_IDS,
    acknowledgement,
    end_of_payment,
    outcome_id,
    pause_after,
    read_acknowledgement,
    read_outcomes,
    sign_all_outcomes,
    sign_outcomes,
)
from orchestrator.core.payment import Stage
from orchestrator.core.receipt import ReceiptRecord, Receipts, public_key_of, read_receipt
from orchestrator.edges.broker.server import MAX_PAYLOAD_BYTES

RECEIPTS = Receipts(
    ec.derive_private_key(11, ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)
KEY = public_key_of(RECEIPTS.public_pem)


def outcome(number: int, detail: str = "5 mWh in 1 s"):
    return SimpleNamespace(
        outcome_id=f"{number:064x}",
        about="meter-1",
        evidence_hash="ab" * 32,
        event_id="0x" + "cd" * 32,
        counter=number,
        outcome="implausible_reading",
        detail=detail,
        payment_id=None,
        at=1_750_000_000,
    )


def reason_of(body: bytes) -> str:
    with pytest.raises(Rejected) as refused:
        read_acknowledgement(body)
    return str(refused.value.reason)


def test_message__read_with_the_rails_key__is_the_payload_of_the_wire_format():
    message, count = sign_outcomes(RECEIPTS, "gw-1", [outcome(7)], 1_750_000_009)
    assert count == 1
    assert read_outcomes(message, KEY) == {
        "version": 1,
        "device": "gw-1",
        "at": 1_750_000_009,
        "outcomes": [
            {
                "id": f"{7:064x}",
                "device": "meter-1",
                "evidence": "ab" * 32,
                "event": "0x" + "cd" * 32,
                "counter": 7,
                "outcome": "implausible_reading",
                "detail": "5 mWh in 1 s",
                "payment": "",
                "at": 1_750_000_000,
            }
        ],
    }


def test_message__receipt_and_outcomes__neither_is_read_as_the_other():
    message, _ = sign_outcomes(RECEIPTS, "a", [outcome(1)], 1)
    receipt = RECEIPTS.sign("a", [ReceiptRecord("ab" * 32)], 1)
    for read, body in ((read_receipt, message), (read_outcomes, receipt)):
        with pytest.raises(Rejected) as refused:
            read(body, KEY)
        assert refused.value.reason == "receipt_malformed"


@pytest.mark.parametrize("kind", ["", "proofrail-other", "JWT"])
def test_message__with_the_right_payload_under_another_kind__is_not_read(kind):
    """What the rail signs for one purpose is good for no other."""
    outcomes = {"version": 1, "device": "a", "at": 1, "outcomes": []}
    with pytest.raises(Rejected, match="receipt_malformed"):
        read_outcomes(RECEIPTS.sign_payload(outcomes, kind), KEY)
    receipt = {"device": "a", "at": 1, "records": []}
    if kind:
        with pytest.raises(Rejected, match="receipt_malformed"):
            read_receipt(RECEIPTS.sign_payload(receipt, kind), KEY)
    else:
        assert read_receipt(RECEIPTS.sign_payload(receipt), KEY) == receipt


def test_message__signed_under_the_kind_of_outcomes_but_of_another_shape__malformed():
    right = {"version": 1, "device": "a", "at": 1, "outcomes": []}
    assert read_outcomes(RECEIPTS.sign_payload(right, "proofrail-outcomes"), KEY) == right
    for wrong in (right | {"version": 2}, right | {"outcomes": [{}]}, {"outcomes": []}):
        with pytest.raises(Rejected, match="receipt_malformed"):
            read_outcomes(RECEIPTS.sign_payload(wrong, "proofrail-outcomes"), KEY)


def test_messages__of_many_outcomes__each_fits_the_broker_and_all_come_in_order():
    outcomes = [outcome(n, "\u20ac" * 10 * MAX_DETAIL) for n in range(300)]
    messages = sign_all_outcomes(RECEIPTS, "a", outcomes, 1)
    assert max(map(len, messages)) < MAX_BYTES * 4 / 3 + 1_000 < MAX_PAYLOAD_BYTES
    views = [view for m in messages for view in read_outcomes(m, KEY)["outcomes"]]
    assert [view["counter"] for view in views] == list(range(300))
    assert {len(view["detail"]) for view in views} == {MAX_DETAIL}


def test_id__the_same_for_the_same_outcome_and_another_for_another():
    ids = {outcome_id(e, o, c) for e in ("a", "b") for o in ("x", "y") for c in ("", "1")}
    assert len(ids) == 8
    assert outcome_id("ab" * 32, "incomplete") == (
        "3e273c346813eee1825f8bd8882514210bd2c4999eead579cec370dbc8a7a62e"
    )


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (Stage.VERIFIED, Stage.REJECTED, "payment_rejected"),
        (Stage.ATTESTED, Stage.REFUSED, "payment_refused"),
        (Stage.RECEIVED, Stage.EXPIRED, "payment_expired"),
        (Stage.DISPUTED, Stage.REFUNDED, "payment_refunded"),
        (Stage.REFUSED, Stage.ATTESTED, "accepted"),
        (Stage.EXPIRED, Stage.SETTLED, "accepted"),
        (Stage.ATTESTED, Stage.WAITING_FOR_FUNDS, None),
        (Stage.RECEIVED, Stage.VERIFIED, None),
        (Stage.BOOKED, Stage.RECONCILED, None),
    ],
)
def test_move__of_a_payment__is_news_where_it_ends_unpaid_or_goes_on(before, after, wanted):
    end = end_of_payment(before, after, "why")
    assert (end and end.outcome) == wanted


def test_pauses__without_an_answer__grow_to_a_limit():
    pauses = [pause_after(sent) for sent in range(1, 100)]
    assert pauses[:4] == [FIRST_PAUSE_S * 2**n for n in range(4)]
    assert pauses == sorted(pauses) and pauses[-1] == LAST_PAUSE_S


def test_acknowledgement__written_and_read__is_the_same_also_without_ids():
    for ids in ([], ["ab" * 32, "cd" * 32]):
        assert read_acknowledgement(acknowledgement(ids)) == ids


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b"", "truncated"),
        (b"\xff", "not_utf8"),
        (b"[]", "malformed"),
        (b'{"version":1}', "malformed"),
        (b'{"version":1,"ids":[],"more":1}', "malformed"),
        (b'{"version":2,"ids":[]}', "acknowledgement_version_unknown"),
        (b'{"version":1,"ids":["x"]}', "malformed"),
        (b'{"version":1,"ids":[1]}', "malformed"),
        (b'{"version":1,"ids":[],"ids":[]}', "duplicate_key"),
        (acknowledgement(["ab" * 32] * (MAX_IDS + 1)), "too_large"),
        (b"[" * 90_000, "too_deep"),
    ],
)
def test_acknowledgement__of_another_form__refused_by_name(body, wanted):
    assert reason_of(body) == wanted


@given(
    some.one_of(some.binary(max_size=200), some.text(max_size=80).map(json.dumps).map(str.encode))
)
def test_acknowledgement__random_bytes__only_the_declared_error(noise):
    assert reason_of(noise)
