"""Sealed records of a meter without a key: who may send them, and what is stored of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import pytest

from device_adapters.types import STREAM_BIT, Message, device_id
from oracles.types import ClaimReason
from orchestrator.core.payment import Stage
from orchestrator.edges.store import agreements, evidence, exposure, payments, rejections
from orchestrator.steps import event_of
from tests.support.signing_gateway import SigningGateway
from tests.support.small_intake import START, SmallIntake

METER = "sml-1"


@pytest.fixture
def place(tmp_path) -> Iterator[SmallIntake]:
    """METER has no key and is behind GW-7; GW-8 is a gateway of others."""
    small = SmallIntake(tmp_path)
    small.gateway, small.other = SigningGateway("GW-7"), SigningGateway("GW-8")
    for gateway in (small.gateway, small.other):
        small.chain.keys[device_id(gateway.name)] = gateway.key.as_device_key()
    small.chain.keys[device_id(METER)] = ClaimReason.DEVICE_WITHOUT_KEY
    small.chain.gateways[device_id(METER)] = device_id("GW-7")
    small.identity = small.agree(METER, first_counter=1 << STREAM_BIT)
    yield small
    small.close()


def sealed(gateway: SigningGateway, number: int, kwh: str = "1") -> Message:
    at = START + 1_000 * number
    content = f'[{{"bn":"{METER}:","bt":{at},"n":"1-0:1.8.0","u":"kWh","v":{kwh}}}]'.encode()
    record = gateway.seal(METER, (1 << STREAM_BIT) + number, content, at=at)
    return Message("sealed", gateway.name, record)


def test_sealed__by_the_assigned_gateway__is_stored_with_its_assurance(place):
    assert place.answers(sealed(place.gateway, 1), sealed(place.gateway, 2)) == ["accepted"] * 2
    with place.store.read() as session:
        records = evidence.unclaimed(session, place.identity, 0, 10)
        row = evidence.event_of_evidence(session, sha256(records[0].body).hexdigest())
    assert [(record.assurance, record.gateway) for record in records] == [("gateway", "GW-7")] * 2
    assert (row.assurance, row.gateway) == ("gateway", "GW-7")
    first = records[0]
    event = event_of(first.protocol, first.body, first.assurance, first.gateway)
    assert (event.assurance, event.gateway, event.device) == ("gateway", "GW-7", METER)


def test_sealed__two_gateways_report_one_meter__the_other_gets_a_named_reason(place):
    assert place.answers(sealed(place.other, 1), sealed(place.gateway, 1)) == [
        ClaimReason.GATEWAY_NOT_ASSIGNED,
        "accepted",
    ]
    with place.store.read() as session:
        (row,) = rejections.newest(session, None, None, 10)
    assert row.device == METER and "GW-8" in row.detail and METER in row.detail


def test_sealed__after_an_exchange_of_the_gateway__the_old_one_counts_no_more(place):
    assert place.answers(sealed(place.gateway, 1)) == ["accepted"]
    place.chain.gateways[device_id(METER)] = device_id("GW-8")
    assert place.answers(sealed(place.gateway, 2), sealed(place.other, 2)) == [
        ClaimReason.GATEWAY_NOT_ASSIGNED,
        "accepted",
    ]


def test_sealed__meter_exchanged_behind_its_gateway__the_old_one_is_refused_by_its_status(place):
    place.chain.keys[device_id(METER)] = ClaimReason.DEVICE_RETIRED
    assert place.answers(sealed(place.gateway, 1)) == [ClaimReason.DEVICE_RETIRED]


def test_sealed__gateway_declared_compromised__nothing_of_its_meters_is_taken(place):
    place.chain.compromised[device_id("GW-7")] = START + 10**6
    assert place.answers(sealed(place.gateway, 1)) == [ClaimReason.DEVICE_COMPROMISED]


def test_exposed__records_that_a_gateway_signed__are_at_risk_with_its_key(place):
    """Disputed by the warden are those of meters without a key: the contract takes no others."""
    place.take(sealed(place.gateway, 1), sealed(place.gateway, 2))
    payment = payments.PaymentRow(
        payment_id="0x" + "01" * 32,
        agreement_id=place.identity,
        sequence=1,
        stage=Stage.SETTLED,
        first_counter=(1 << STREAM_BIT) + 1,
        last_counter=(1 << STREAM_BIT) + 2,
        amount_micro=5,
        release_at=place.clock + 100,
        created_at=1,
    )
    devices = [
        agreements.DeviceRow(
            device_id="0x" + device_id(name).hex(),
            name=name,
            curve="",
            key_x=key,
            key_y=key,
            owner="0x",
            enrolled_at=1,
        )
        for name, key in ((METER, ""), ("GW-7", "0x1"), ("GW-8", "0x2"))
    ]
    with place.store.write() as session:
        session.add_all([payment, *devices])
        session.flush()
        first, last = payment.first_counter, payment.last_counter
        evidence.claim_events(session, place.identity, first, last, payment.payment_id)

    def seen(name: str) -> tuple[list[str], list[str]]:
        device = "0x" + device_id(name).hex()
        with place.store.read() as session:
            rows = exposure.exposed(session, device)
            return (
                [row.payment_id for row in rows],
                exposure.open_windows(session, device, place.clock),
            )

    here = ["0x" + "01" * 32]
    assert (seen("GW-7"), seen(METER), seen("GW-8")) == ((here, here), (here, here), ([], []))
    with place.store.write() as session:
        agreements.device_by_name(session, METER).key_x = "0x3"
    assert seen("GW-7") == (here, [])
