"""A device of each kind publishes and is paid: through its gateway, or with a key of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from device_adapters.inlets.device_link import DeviceLink
from device_adapters.keys import read_der
from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from device_adapters.registry import load_unsigned, unsigned
from device_adapters.types import STREAM_BIT, Assurance
from orchestrator.core.payment import Stage
from orchestrator.edges.store import evidence, payments
from orchestrator.operations import gateways
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.demo import parties
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from tests.support.kinds_of_meters import KINDS, WITHOUT_ENERGY
from tests.support.whole_rail import WholeRail

GATEWAY, TOKENS = "gw-kinds", "42A1B2C3D4E5F6EE"
PRICE, STEP_WH = 300_000, 200  # micro-euro a kWh
UNSETTLED = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED)
PAID = PRICE * STEP_WH // 1000


@pytest.fixture(scope="module")
def rail(own_rail: WholeRail) -> WholeRail:
    """Return a rail of this file's own: others count the payments of theirs."""
    return own_rail


def _station(rail: WholeRail, name: str) -> SimulatedMeter:
    station = SimulatedMeter(rail.stack.home / name, name, DeviceKind.CHARGE_POINT, None, 0)
    parties.enrol(rail.stack, {name: station}, [name])
    return station


def _open(rail: WholeRail, meters: dict[str, EnergyTerms]) -> None:
    """Open and fund an agreement for each meter."""
    product = products()["metered_energy"]
    mandates = [
        parties.sign_mandate(
            rail.stack,
            name,
            product,
            parties.HOUSEHOLD,
            parties.UTILITY,
            terms=encode_terms(terms),
            first_counter=1 << STREAM_BIT,
        )
        for name, terms in meters.items()
    ]
    for reference in parties.open_all(rail.stack, mandates):
        parties.transfer(rail.stack, parties.HOUSEHOLD, 1_000, reference)


def _terms(assurance: Assurance, export: bool = False) -> EnergyTerms:
    return EnergyTerms(PRICE, 24_000, continuous=True, assurance=assurance.number, export=export)


@pytest.fixture(scope="module")
def gateway(rail: WholeRail) -> SimulatedMeter:
    """Return a gateway that the owner of a meter of each kind assigned to it, with agreements."""
    stack, station = rail.stack, _station(rail, GATEWAY)
    owner, terms = stack.party(2), {}
    for protocol, (meter, _) in KINDS.items():
        wanted = gateways.next_assignment(stack.chain, meter, GATEWAY, 0, 0)
        signature = gateways.sign(wanted, stack.chain.deployment, owner)
        stack.agreement_ops.assign(
            gateways.SignedAssignment(meter, owner.address, wanted, signature)
        )
        is_file = load_unsigned(protocol).is_file
        terms[meter] = _terms(Assurance.FILE if is_file else Assurance.GATEWAY)
    _open(rail, terms)
    return station


@pytest.fixture(scope="module")
def link(rail: WholeRail, gateway: SimulatedMeter) -> Iterator[DeviceLink]:
    broker, password = rail.stack.broker, rail.stack.issue_devices([GATEWAY])[GATEWAY]
    link = DeviceLink(broker["host"], broker["port"], GATEWAY, password)
    assert link.wait_ready(60), link.refusal
    yield link
    link.close()


def _payment(rail: WholeRail, record: bytes) -> payments.PaymentRow | None:
    """Return the settled payment that holds a record."""
    with rail.store.read() as session:
        event = evidence.event_of_evidence(session, sha256(record).hexdigest())
        if event is None or event.payment_id is None:
            return None
        (row,) = payments.by_ids(session, [event.payment_id])
    return None if row.stage in UNSETTLED else row


def test_kinds__every_protocol_without_signatures__is_among_them() -> None:
    assert set(KINDS) == set(unsigned()) - WITHOUT_ENERGY


def test_oracles__of_a_running_rail__say_which_reader_they_have(rail):
    """Neither reader alone reaches the quorum of three."""
    (listed,) = rail.commands(["oracle", "list", "--json"])
    oracles = json.loads(listed.stdout)
    assert sorted(oracle["reader"] for oracle in oracles) == ["library"] * 2 + ["own"] * 2
    assert [oracle["problem"] for oracle in oracles] == [None] * 4


def test_meters_of_each_kind__through_their_gateway__are_paid(rail, gateway, link):
    key = (gateway.folder / "key.pem").read_bytes()
    begin = (int(time.time()) // 60 + 1) * 60  # after the assignments; MSCONS has whole minutes
    records = {
        protocol: [
            write_cose(
                SealClaims(GATEWAY, meter, (1 << STREAM_BIT) + number, begin + 60 * number),
                content_claims(protocol, content(begin + 60 * number, 5_000 + STEP_WH * number)),
                key,
            )
            for number in (1, 2)
        ]
        for protocol, (meter, content) in KINDS.items()
    }
    assert all(link.publish(record, "sealed") for pair in records.values() for record in pair)
    for protocol, (_, second) in records.items():
        payment = rail.until(lambda record=second: _payment(rail, record), f"{protocol} settles")
        assert payment.amount_micro == PAID, protocol


def test_ocpp_message_of_a_charge_point__with_signed_values__is_paid(rail):
    """The controller of the charge point publishes what it would send to its central system."""
    device = rail.fleet["cp-0001"]
    (record,) = device.make_records(1)
    device.forget([record])
    rail.sent["cp-0001"].append(record)
    value = {"value": record.decode(), "format": "SignedData", "context": "Transaction.End"}
    sampled = [{"timestamp": "2026-11-30T10:00:00Z", "sampledValue": [value]}]
    frame = [2, "1", "MeterValues", {"connectorId": 1, "meterValue": sampled}]
    assert device.link.publish(json.dumps(frame).encode(), "ocpp")
    assert rail.until(lambda: _payment(rail, record), "the record of the message settles")


def test_tokens_of_a_secure_element__with_a_register__are_paid_as_export(rail):
    station = _station(rail, TOKENS)
    _open(rail, {TOKENS: _terms(Assurance.DEVICE, export=True)})
    broker, password = rail.stack.broker, rail.stack.issue_devices([TOKENS])[TOKENS]
    link = DeviceLink(broker["host"], broker["port"], TOKENS, password)
    assert link.wait_ready(60), link.refusal
    tokens: list[bytes] = []
    for number in (1, 2):
        previous = sha256(tokens[-1]).digest() if tokens else None
        at, register = int(time.time()) + 60 * number, STEP_WH * number
        claims = {1: bytes.fromhex(TOKENS), 2: at, 3: STEP_WH, 4: number, 5: previous}
        tokens.append(_token(station.key, claims | {-70_005: register}))
    assert all(link.publish(token, "eat") for token in tokens)
    payment = rail.until(lambda: _payment(rail, tokens[1]), "the second token settles")
    link.close()
    assert payment.amount_micro == PAID


def _token(key: ec.EllipticCurvePrivateKey, claims: dict[int, object]) -> bytes:
    r, s = read_der(key.sign(cbor2.dumps(claims, canonical=True), ec.ECDSA(hashes.SHA256())))
    return cbor2.dumps(claims | {9: r.to_bytes(32, "big") + s.to_bytes(32, "big")}, canonical=True)
