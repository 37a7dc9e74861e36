"""Records that a gateway signed, in a bundle: judged by the registry events that it proves."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from types import SimpleNamespace

import pytest

from device_adapters.types import STREAM_BIT, Assurance, Rejected, device_id
from orchestrator.core.audit.device import _genuine, _life_of, gateway_at, key_at
from tests.support.signing_gateway import SigningGateway

METER, AT = "sml-1", 1_760_000_000
GATEWAY, OTHER = SigningGateway("GW-7"), SigningGateway("GW-8")
NONE = bytes(32)


def enrolled(gateway: SigningGateway, at: int = 1) -> tuple:
    point = (gateway.key.x.to_bytes(32, "big"), gateway.key.y.to_bytes(32, "big"))
    return ("DeviceEnrolled", (device_id(gateway.name), 0, *point, "0x", NONE, 0, at))


def assigned(gateway: str, since: int, until: int = 0, at: int = 0) -> tuple:
    named = device_id(gateway) if gateway else NONE
    return ("GatewayAssigned", (device_id(METER), named, "0x", since, until, at or since))


def record(gateway: SigningGateway) -> dict[str, str]:
    content = f'[{{"bn":"{METER}:","bt":{AT},"n":"1-0:1.8.0","u":"kWh","v":1}}]'.encode()
    body = gateway.seal(METER, (1 << STREAM_BIT) + 1, content, at=AT)
    return {
        "protocol": "sealed",
        "record": b64encode(body).decode(),
        "sha256": "0x" + sha256(body).hexdigest(),
    }


def outcome(history: list[tuple], signer: SigningGateway = GATEWAY, **more: list[tuple]):
    """Return the verified event of a record of GW-7, or why it is not proven."""
    histories = {
        device_id(METER): history,
        device_id("GW-7"): [enrolled(GATEWAY), *more.get("gateway", [])],
        device_id("GW-8"): [enrolled(OTHER)],
    }
    case = SimpleNamespace(histories=histories)
    try:
        return _genuine(case, record(signer), "record 0")
    except Rejected as error:
        return error.detail


def test_record__by_the_assigned_gateway__is_genuine_with_its_assurance():
    event = outcome([assigned("GW-7", 10)])
    assert (event.assurance, event.gateway) == (Assurance.GATEWAY, "GW-7")


REFUSED = {
    "never assigned": [assigned("GW-8", 10)],
    "not yet": [assigned("GW-8", 10), assigned("GW-7", AT + 1)],
    "no more": [assigned("GW-7", 10, AT)],
    "exchanged": [assigned("GW-7", 10), assigned("GW-8", AT)],
    "ended": [assigned("GW-7", 10), assigned("", AT)],
}


@pytest.mark.parametrize("case", REFUSED)
def test_record__by_a_gateway_that_was_not_assigned_then__is_named(case):
    assert "gateway_not_assigned" in outcome(REFUSED[case])


def test_record__of_a_gateway_whose_compromise_a_ruling_took_back__is_genuine():
    stolen = ("CompromiseDeclared", (device_id("GW-7"), AT, AT + 9))
    undone = ("CompromiseRuled", (device_id("GW-7"), 0, 0, AT + 20))
    event = outcome([assigned("GW-7", 10)], gateway=[stolen, undone])
    assert event.gateway == "GW-7"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (("DeviceSuspended", (device_id("GW-7"), AT)), "device_suspended"),
        (("DeviceRevoked", (device_id("GW-7"), AT)), "device_retired"),
        (("CompromiseDeclared", (device_id("GW-7"), AT, AT + 9)), "device_compromised"),
    ],
)
def test_record__status_of_the_gateway__counts(event, reason):
    assert reason in outcome([assigned("GW-7", 10)], gateway=[event])


def test_record__status_of_the_device__counts():
    suspended = ("DeviceSuspended", (device_id(METER), AT))
    assert "suspended" in outcome([assigned("GW-7", 10), suspended])


def test_record__signed_by_another_key__is_not_genuine():
    thief = SigningGateway("GW-7")
    assert "signature_forged" in outcome([assigned("GW-7", 10)], thief)


def test_history__of_a_device_without_a_key__says_from_when_it_exists():
    history = [assigned("GW-7", 50, 90, at=40)]
    assert key_at(history, 39) == "not enrolled yet"
    assert key_at(history, 40) == "without a key of its own"
    answers = [gateway_at(history, at) for at in (49, 50, 89, 90)]
    assert answers == [None, device_id("GW-7"), device_id("GW-7"), None]


OLD, NEW, DEVICE = "0x" + "0a" * 20, "0x" + "0b" * 20, device_id("GW-7")
ADOPTED = ("DeviceAdopted", (DEVICE, OLD, 20))


def life(*events: tuple[str, tuple]) -> list[tuple]:
    """The life of a device by what a case proves; names of a former registry begin with before:."""
    own = [event for event in events if not event[0].startswith("before:")]
    case = SimpleNamespace(
        events_of=lambda *_: own,
        history_of=lambda proofs, contract, names, subject, before: list(events),
    )
    return _life_of(case, [{}], DEVICE)


def former(event: tuple[str, tuple]) -> tuple[str, tuple]:
    return f"before:{event[0]}", event[1]


def test_adopted__what_its_former_registry_said_before__is_its_past():
    past = former(enrolled(OTHER, at=1))
    history = life(past, enrolled(GATEWAY, at=20), ADOPTED)
    assert key_at(history, 10).x == OTHER.key.x and key_at(history, 20).x == GATEWAY.key.x


def test_attack__former_registry_s_key_of_after_the_adoption__signs_nothing():
    later = former(("KeyRotated", (DEVICE, 0, NONE, NONE, 0, 30)))
    silenced = former(("DeviceSuspended", (DEVICE, 31)))
    history = life(former(enrolled(OTHER)), enrolled(GATEWAY, at=20), ADOPTED, later, silenced)
    assert key_at(history, 40).x == GATEWAY.key.x


def test_adopted__key_declared_stolen_at_the_former_registry_later__is_worth_nothing_before():
    stolen = former(("CompromiseDeclared", (DEVICE, 15, 40)))
    history = life(former(enrolled(OTHER)), enrolled(GATEWAY, at=20), ADOPTED, stolen)
    assert key_at(history, 10).x == OTHER.key.x and key_at(history, 20).x == GATEWAY.key.x
    assert key_at(history, 15) == key_at(history, 19) == "compromised"
