"""The people of the demonstration: who charges, who pays, who is paid, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass

from device_adapters.types import STREAM_BIT
from orchestrator.authority import DevelopmentCa, endorsed, keep
from orchestrator.edges.store import agreements
from orchestrator.office import Enrolment, challenge
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.devices.device import Device, Kind
from scripts.devices.fleet import Fleet
from scripts.run_bank import new_iban
from scripts.stack import Stack

YEAR_S = 365 * 86_400
WINDOW_S = 2  # a challenge window as short as a demonstration
CAP_MICRO = 5_000_000_000  # 5,000 euro in 30 days


@dataclass(frozen=True, slots=True)
class Person:
    """A payer or payee; `index` picks the development account and the IBAN."""

    index: int
    name: str
    street: str
    post_code: str
    town: str


FLEET_OPERATOR = Person(0, "Havel Fleet GmbH", "Werftstrasse", "10557", "Berlin")
HOUSEHOLD = Person(1, "Ada Sommer", "Lindenweg", "14467", "Potsdam")
CHARGE_COMPANY = Person(2, "Ladepunkt Nord eG", "Hafenstrasse", "24103", "Kiel")
UTILITY = Person(3, "Stadtwerke Havelland", "Am Wasserturm", "14612", "Falkensee")
PEOPLE = (FLEET_OPERATOR, HOUSEHOLD, CHARGE_COMPANY, UTILITY)
PAYEES = (CHARGE_COMPANY, UTILITY)


def iban(person: Person) -> str:
    return new_iban(10 + person.index)


def settle_in(stack: Stack) -> None:
    """Bank accounts, parties, and the payees' wish to be paid to their bank."""
    stack.office.know([
        agreements.Party(
            address=stack.party(p.index).address, name=p.name, iban=iban(p), street=p.street,
            building="7", post_code=p.post_code, town=p.town, country="DE",
        )
        for p in PEOPLE
    ])  # fmt: skip
    for person in PEOPLE:
        stack.bank.open_account(iban(person), person.name, 10_000_000_000)
    for person in PAYEES:
        stack.office.pay_to_bank(stack.party(person.index), iban(person))


def enrol(stack: Stack, fleet: Fleet, names: list[str]) -> None:
    """The development CA vouches for each device, which proves on chain that it holds its key."""
    deployment, ca = stack.chain.deployment, DevelopmentCa.load(stack.settings)
    registry, owner = deployment.addresses["DeviceRegistry"], stack.party(2).address
    enrolments = []
    for name in names:
        key, asked = fleet[name].public, challenge(deployment.chain_id, registry, name, owner)
        vouched = endorsed(
            stack.settings, deployment.chain_id, ca.issue(name, key), name, key, stack.now()
        )
        keep(stack.settings, vouched)
        enrolments.append(
            Enrolment(name, key, owner, *fleet[name].sign_digest(asked), endorsement=vouched)
        )
    stack.office.enrol(enrolments)


def agree(
    stack: Stack, fleet: Fleet, names: list[str], cap_micro: int = CAP_MICRO
) -> list[str]:
    """A signed mandate and an open agreement for each device; returns the funding references."""
    product, signed = products()["metered_energy"], []
    for name in names:
        device = fleet[name]
        payer = HOUSEHOLD if device.kind is Kind.HOUSEHOLD else FLEET_OPERATOR
        payee = UTILITY if device.kind is Kind.HOUSEHOLD else CHARGE_COMPANY
        mandate = stack.office.mandate(
            name, stack.party(payer.index).address, stack.party(payee.index).address, product,
            cap_micro=cap_micro, window_s=WINDOW_S, expiry=stack.now() + YEAR_S,
            first_counter=1 << STREAM_BIT if device.kind is Kind.HOUSEHOLD else 0,
            terms=_terms(device),
        )  # fmt: skip
        signature = stack.office.sign(mandate, stack.party(payer.index))
        signed.append((name, "metered_energy", mandate, signature))
    ids = stack.office.open(signed)
    with stack.store.read() as session:
        return [agreements.get(session, identity).reference for identity in ids]


def _terms(device: Device) -> bytes:
    if device.kind is Kind.HOUSEHOLD:
        return encode_terms(EnergyTerms(312_500, 24_000, continuous=True))
    return encode_terms(EnergyTerms(489_900, 22_000))


def fund(stack: Stack, fleet: Fleet, names: list[str], references: list[str], cents: int) -> None:
    """The payers transfer money at their bank, quoting each agreement's reference."""
    for name, reference in zip(names, references, strict=True):
        payer = HOUSEHOLD if fleet[name].kind is Kind.HOUSEHOLD else FLEET_OPERATOR
        answer = stack.bank.pay(iban(payer), "", cents, reference)
        if not answer["ok"]:
            raise RuntimeError(f"the bank refused a payment for {name}: {answer}")
