"""The people of the demonstration: who charges, who pays, who is paid, and on what terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_adapters.types import STREAM_BIT
from orchestrator.core.mandate import Mandate
from orchestrator.edges.store import agreements
from orchestrator.operations.agreements import NOBODY, Enrolment, enrolment_digest
from orchestrator.operations.trust import DevelopmentCa, endorsed, keep
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.devices.device import DeviceKind, SimulatedMeter
from scripts.devices.fleet import Fleet
from scripts.devices.station import Station
from scripts.run_bank import new_iban
from scripts.stack import Stack

YEAR_S = 365 * 86_400
WINDOW_S = 2  # a dispute window as short as a demonstration
CAP_MICRO = 5_000_000_000  # 5,000 euro in 30 days
_SAVINGS_CENTS = 10_000_000_000
# device, product, mandate and its payer's signature, as `Office.open` takes them
Signed = tuple[str, str, Mandate, bytes]


@dataclass(frozen=True, slots=True)
class DemoParty:
    """A payer or payee; `index` picks the development account and the IBAN."""

    index: int
    name: str
    street: str
    post_code: str
    town: str


FLEET_OPERATOR = DemoParty(0, "Havel Fleet GmbH", "Werftstrasse", "10557", "Berlin")
HOUSEHOLD = DemoParty(1, "Ada Sommer", "Lindenweg", "14467", "Potsdam")
CHARGE_COMPANY = DemoParty(2, "Ladepunkt Nord eG", "Hafenstrasse", "24103", "Kiel")
UTILITY = DemoParty(3, "Stadtwerke Havelland", "Am Wasserturm", "14612", "Falkensee")
PARTIES = (FLEET_OPERATOR, HOUSEHOLD, CHARGE_COMPANY, UTILITY)
PAYEES = (CHARGE_COMPANY, UTILITY)


def iban(person: DemoParty) -> str:
    return new_iban(10 + person.index)


def register_parties(
    stack: Stack, people: Sequence[DemoParty] = PARTIES, payees: Sequence[DemoParty] = PAYEES
) -> None:
    """Bank accounts, parties, and the payees' wish to be paid to their bank."""
    stack.office.know(
        [
            agreements.PartyRow(
                address=stack.party(p.index).address,
                name=p.name,
                iban=iban(p),
                street=p.street,
                building="7",
                post_code=p.post_code,
                town=p.town,
                country="DE",
            )
            for p in people
        ]
    )
    for person in people:
        stack.bank.open_account(iban(person), person.name, _SAVINGS_CENTS)
    for person in payees:
        stack.office.pay_to_bank(stack.party(person.index), iban(person))


def enrol(stack: Stack, stations: Fleet | Mapping[str, Station], names: Sequence[str]) -> None:
    """The development CA vouches for each device, which proves on chain that it holds its key."""
    deployment, ca = stack.chain.deployment, DevelopmentCa.load(stack.settings)
    registry, owner = deployment.addresses["DeviceRegistry"], stack.party(2).address
    enrolments = []
    for name in names:
        key, asked = (
            stations[name].public,
            enrolment_digest(deployment.chain_id, registry, name, owner),
        )
        vouched = endorsed(
            stack.settings, deployment.chain_id, ca.issue(name, key), name, key, stack.now()
        )
        keep(stack.settings, vouched)
        enrolments.append(
            Enrolment(name, key, owner, *stations[name].sign_digest(asked), endorsement=vouched)
        )
    stack.office.enrol(enrolments)


def sign_mandate(
    stack: Stack, device: str, product: Any, payer: DemoParty, payee: DemoParty | None, **terms: Any
) -> Signed:
    """A mandate as its payer signs it. payee None: each claim names one.

    terms: the product's, encoded, and what else differs from 5,000 euro in 30 days for a year.
    """
    whom = stack.party(payee.index).address if payee else NOBODY
    agreed = {"cap_micro": CAP_MICRO, "window_s": WINDOW_S, "expiry": stack.now() + YEAR_S} | terms
    account = stack.party(payer.index)
    mandate = stack.office.mandate(device, account.address, whom, product, **agreed)
    return device, product.NAME, mandate, stack.office.sign(mandate, account)


def open_all(stack: Stack, signed: Sequence[Signed]) -> list[str]:
    """Opens agreements on chain; returns their funding references."""
    ids = stack.office.open(signed)
    with stack.store.read() as session:
        return [agreements.get(session, identity).reference for identity in ids]


def open_metering(
    stack: Stack, fleet: Fleet, names: Sequence[str], cap_micro: int = CAP_MICRO
) -> list[str]:
    """An open agreement for each metering device; returns the funding references."""
    return open_all(
        stack, [meter_mandate(stack, fleet[name], cap_micro=cap_micro) for name in names]
    )


def meter_mandate(stack: Stack, device: SimulatedMeter, **terms: Any) -> Signed:
    """The mandate for a metering device's energy; terms: what differs from the usual."""
    product = products()["metered_energy"]
    if device.kind is DeviceKind.HOUSEHOLD:
        energy = encode_terms(EnergyTerms(312_500, 24_000, continuous=True))
        agreed = {"terms": energy, "first_counter": 1 << STREAM_BIT} | terms
        return sign_mandate(stack, device.name, product, HOUSEHOLD, UTILITY, **agreed)
    agreed = {"terms": encode_terms(EnergyTerms(489_900, 22_000))} | terms
    return sign_mandate(stack, device.name, product, FLEET_OPERATOR, CHARGE_COMPANY, **agreed)


def fund(
    stack: Stack, fleet: Fleet, names: Sequence[str], references: Sequence[str], cents: int
) -> None:
    """The payers transfer money at their bank, quoting each agreement's reference."""
    for name, reference in zip(names, references, strict=True):
        payer = HOUSEHOLD if fleet[name].kind is DeviceKind.HOUSEHOLD else FLEET_OPERATOR
        transfer(stack, payer, cents, reference)


def transfer(stack: Stack, payer: DemoParty, cents: int, reference: str) -> None:
    """One bank transfer into an agreement's escrow."""
    answer = stack.bank.pay(iban(payer), "", cents, reference)
    if not answer["ok"]:
        raise RuntimeError(f"the bank refused {payer.name}'s transfer for {reference}: {answer}")
