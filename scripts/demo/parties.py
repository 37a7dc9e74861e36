"""The parties of the demonstration: payers, payees, and the terms of their agreements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_adapters.types import STREAM_BIT
from orchestrator.core.mandate import Mandate
from orchestrator.edges.store import agreements
from orchestrator.operations.agreements import NOBODY, Enrolment, enrolment_digest
from orchestrator.operations.trust import DevelopmentCa, check_endorsement, save_endorsement
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.stack import Stack
from services.bank import new_iban
from services.simulated_devices.device import DeviceKind, SimulatedMeter
from services.simulated_devices.fleet import Fleet
from services.simulated_devices.station import Station

YEAR_S = 365 * 86_400
WINDOW_S = 2  # a short dispute window, so that the demonstration is short
CAP_MICRO = 5_000_000_000  # 5,000 euro in 30 days
_SAVINGS_CENTS = 10_000_000_000
# (device, product, mandate, payer's signature), as `AgreementOps.open` takes them
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


def iban(party: DemoParty) -> str:
    """Return the IBAN of a party at the simulated bank."""
    return new_iban(10 + party.index)


def register_parties(
    stack: Stack, parties: Sequence[DemoParty] = PARTIES, payees: Sequence[DemoParty] = PAYEES
) -> None:
    """Register parties, open their bank accounts, and have payees paid to their bank."""
    stack.agreement_ops.save_parties(
        [
            agreements.PartyRow(
                address=stack.party(party.index).address,
                name=party.name,
                iban=iban(party),
                street=party.street,
                building="7",
                post_code=party.post_code,
                town=party.town,
                country="DE",
            )
            for party in parties
        ]
    )
    for party in parties:
        stack.bank.open_account(iban(party), party.name, _SAVINGS_CENTS)
    for payee in payees:
        stack.agreement_ops.pay_to_bank(stack.party(payee.index), iban(payee))


def enrol(stack: Stack, stations: Fleet | Mapping[str, Station], names: Sequence[str]) -> None:
    """Enrol devices: the development CA endorses each one, and it proves that it holds its key."""
    deployment, ca = stack.chain.deployment, DevelopmentCa.load(stack.settings)
    registry, owner = deployment.addresses["DeviceRegistry"], stack.party(2).address
    enrolments = []
    for name in names:
        key, digest = (
            stations[name].public,
            enrolment_digest(deployment.chain_id, registry, name, owner),
        )
        endorsement = check_endorsement(
            stack.settings, deployment.chain_id, ca.issue(name, key), name, key, stack.now()
        )
        save_endorsement(stack.settings, endorsement)
        enrolments.append(
            Enrolment(
                name, key, owner, *stations[name].sign_digest(digest), endorsement=endorsement
            )
        )
    stack.agreement_ops.enrol(enrolments)


def sign_mandate(
    stack: Stack,
    device: str,
    product: Any,
    payer: DemoParty,
    payee: DemoParty | str | None,
    **terms: Any,
) -> Signed:
    """Return a mandate signed by its payer.

    Args:
        payee: an address for a contract; None if each claim names its payee.
        terms: `terms` of the product, encoded, and other fields that differ from the defaults
            (5,000 euro in 30 days, for a year).
    """
    payee_address = (
        stack.party(payee.index).address if isinstance(payee, DemoParty) else payee or NOBODY
    )
    agreed = {"cap_micro": CAP_MICRO, "window_s": WINDOW_S, "expiry": stack.now() + YEAR_S} | terms
    account = stack.party(payer.index)
    mandate = stack.agreement_ops.mandate(device, account.address, payee_address, product, **agreed)
    return device, product.NAME, mandate, stack.agreement_ops.sign(mandate, account)


def open_all(stack: Stack, signed: Sequence[Signed]) -> list[str]:
    """Open agreements on chain; return their funding references."""
    ids = stack.agreement_ops.open(signed)
    with stack.store.read() as session:
        return [agreements.get(session, identity).reference for identity in ids]


def open_metering(
    stack: Stack, fleet: Fleet, names: Sequence[str], cap_micro: int = CAP_MICRO
) -> list[str]:
    """Open an agreement for each metering device; return the funding references."""
    return open_all(
        stack, [meter_mandate(stack, fleet[name], cap_micro=cap_micro) for name in names]
    )


def meter_mandate(stack: Stack, device: SimulatedMeter, **terms: Any) -> Signed:
    """Return the signed mandate for a metering device's energy.

    Args:
        terms: fields that differ from the defaults.
    """
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
    """Have the payers transfer money with the reference of each agreement."""
    for name, reference in zip(names, references, strict=True):
        payer = HOUSEHOLD if fleet[name].kind is DeviceKind.HOUSEHOLD else FLEET_OPERATOR
        transfer(stack, payer, cents, reference)


def transfer(stack: Stack, payer: DemoParty, cents: int, reference: str) -> None:
    """Make one bank transfer into an agreement's escrow.

    Raises:
        RuntimeError: the bank refuses it.
    """
    answer = stack.bank.pay(iban(payer), "", cents, reference)
    if not answer["ok"]:
        raise RuntimeError(f"the bank refused {payer.name}'s transfer for {reference}: {answer}")
