"""A meter of each unsigned protocol is sealed by its gateway, verified, and settled as energy."""

from __future__ import annotations

import pytest

from device_adapters.protocols.sealed import decode
from device_adapters.protocols.sealed.meter import is_energy
from device_adapters.registers import Direction, of_number
from device_adapters.registry import UnsignedProtocol, unsigned
from device_adapters.types import Assurance, DeviceKey, Event, Rejected, device_id
from oracles.types import ClaimReason
from oracles.verify import verify_event
from orchestrator.products.metered_energy import product
from orchestrator.products.metered_energy.abi import EnergyTerms, decode_facts, encode_terms
from tests.support.kinds_of_meters import WITHOUT_ENERGY
from tests.support.signing_gateway import SigningGateway

GATEWAY = SigningGateway("GW-7")
METERS = [protocol for name, protocol in unsigned().items() if name not in WITHOUT_ENERGY]
PROTOCOLS = pytest.mark.parametrize("protocol", METERS, ids=lambda p: p.name)
FORMS = pytest.mark.parametrize("form", ["COSE", "JWS"])


class OneGateway:
    """A registry in which the meters have no key, and GW-7 speaks for those that are named."""

    def __init__(self, *meters: str) -> None:
        self.meters = {device_id(meter) for meter in meters}

    def key_at(self, device: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        if device == device_id(GATEWAY.name):
            return GATEWAY.key
        return ClaimReason.DEVICE_WITHOUT_KEY

    def gateway_at(self, device: bytes, at_seconds: int) -> bytes | None:
        return device_id(GATEWAY.name) if device in self.meters else None

    def compromised_since(self, device: bytes) -> int | None:
        return None


def meter_example(protocol: UnsignedProtocol) -> tuple[bytes, str, Direction]:
    """Return (content, meter, direction) of the first example with an energy register."""
    for _, content, expected in protocol.examples:
        if not isinstance(expected, dict):
            continue
        for reading in protocol.read(content).readings:
            if is_energy(reading) and reading.usable:
                assert reading.obis is not None
                return content, reading.device or "M-1", reading.obis.direction
    raise AssertionError(f"{protocol.name} has no example of an electricity meter")


def terms(direction: Direction, least: Assurance) -> bytes:
    export = direction is Direction.EXPORT
    agreed = EnergyTerms(300_000, 40_000, True, export=export, assurance=least.number)
    return encode_terms(agreed)


@PROTOCOLS
@FORMS
def test_unsigned__sealed_by_the_assigned_gateway__is_admitted_and_names_its_register(
    protocol: UnsignedProtocol, form: str
) -> None:
    content, meter, direction = meter_example(protocol)
    sealed = [
        decode(GATEWAY.seal(meter, (1 << 39) + number, content, protocol.name, form))
        for number in (1, 2)
    ]
    events = [verify_event(event, OneGateway(meter)) for event in sealed]
    least = Assurance.FILE if protocol.is_file else Assurance.GATEWAY
    assert [type(event) for event in events] == [Event, Event]
    assert [(event.assurance, event.gateway) for event in events] == [(least, "GW-7")] * 2
    agreed = terms(direction, least)
    assert product.admit(agreed, None, events[0]) is None
    assert product.admit(agreed, events[0], events[1]) is None
    assert product.complete(agreed, None, events) == 2
    facts = decode_facts(product.derive(agreed, None, events, {}))
    assert of_number(facts.register).direction is direction
    assert facts.energy >= 0


@PROTOCOLS
def test_unsigned__terms_that_take_only_devices__do_not_take_a_gateway(
    protocol: UnsignedProtocol,
) -> None:
    content, meter, direction = meter_example(protocol)
    event = verify_event(
        decode(GATEWAY.seal(meter, 1 << 39, content, protocol.name)), OneGateway(meter)
    )
    refusal = product.admit(terms(direction, Assurance.DEVICE), None, event)
    assert refusal is not None and refusal[0] is ClaimReason.ASSURANCE_TOO_LOW


@PROTOCOLS
def test_unsigned__a_gateway_that_is_not_assigned__is_refused(protocol: UnsignedProtocol) -> None:
    content, meter, _ = meter_example(protocol)
    event = decode(GATEWAY.seal(meter, 1 << 39, content, protocol.name))
    answer = verify_event(event, OneGateway("another meter"))
    assert isinstance(answer, Rejected)
    assert answer.reason is ClaimReason.GATEWAY_NOT_ASSIGNED
