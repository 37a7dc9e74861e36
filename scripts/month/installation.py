"""Install the month: register parties, enrol devices, open and fund agreements."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from device_adapters.protocols.voucher.typed import Domain
from device_adapters.types import STREAM_BIT
from orchestrator.edges.store import agreements
from orchestrator.operations.agreements import NOBODY, Enrolment, enrolment_digest
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from scripts.month import days
from scripts.month.days import at
from scripts.month.devices import MWH_PER_UNIT, MonthDevice, MonthMeter, MonthWearable
from scripts.month.parties import SAVINGS_CENTS, MonthParties, MonthParty
from scripts.month.plan import CENT, Plan, PlannedAgreement
from scripts.month.rail import MonthRail
from scripts.month.trades.town import MonthTown
from scripts.month.trades.trade import MonthTrade
from services.bank import new_iban
from services.simulated_devices.consignment import (
    SimulatedConsignment,
    SimulatedScanner,
    SimulatedTerminal,
)

WINDOW_S = 6 * 3_600  # a settlement of the morning is released in the evening
EXPIRY = at(days.LAST, 0) + 400 * 86_400
CAP_MICRO = 20_000_000_000
FUSE_WATTS = 24_000
PRICES = (298_700, 312_500, 305_333, 327_901)  # micro-euro per kWh, one per utility
CHARGING_PRICE = 489_900
METER_CENTS, POINT_CENTS, BAND_CENTS = 40_000, 60_000, 20_000
CLASS = 5814  # ISO 18245
_BATCH = 100
_STREET = {
    "street": "Lindenweg",
    "building": "7",
    "post_code": "14467",
    "town": "Potsdam",
    "country": "DE",
}
Watch = Callable[[int], None]  # receives how many are done


@dataclass
class Shipment:
    """One delivery.

    Attributes:
        price_cents: for all of its 100 units.
        late: hours after it was due, rounded up.
        due: Unix seconds.
    """

    goods: SimulatedConsignment
    truck: SimulatedScanner
    dock: SimulatedTerminal
    agreement: PlannedAgreement
    price_cents: int
    late: int
    due: int


@dataclass
class MonthFleet:
    """All devices of the month and the shipments that they report on."""

    meters: list[MonthMeter]
    wearables: list[MonthWearable]
    shipments: list[Shipment]
    trucks: list[SimulatedScanner]
    docks: list[SimulatedTerminal]

    @property
    def devices(self) -> list[MonthDevice | SimulatedScanner | SimulatedTerminal]:
        return [*self.meters, *self.wearables, *self.trucks, *self.docks]


def bank_accounts(parties: MonthParties) -> list[dict[str, object]]:
    """Return the configuration of all bank accounts, the safeguarding account first."""
    safeguarding = {
        "iban": new_iban(1),
        "name": "proofrail",
        "kind": "safeguarding",
        "balance_cents": 0,
    }
    customers = [
        {"iban": party.iban, "name": party.name, "kind": "customer", "balance_cents": SAVINGS_CENTS}
        for party in parties
    ]
    return [safeguarding, *customers]


def build(rail: MonthRail, seed: int, meters: int, wearables: int) -> MonthFleet:
    """Return all devices; `book_shipments` adds the shipments."""
    chance = random.Random(f"{seed}/town")
    deployment = rail.chain.deployment
    domain = Domain(deployment.chain_id, deployment.addresses["WearableVoucher"].lower())
    stations = rail.home / "devices"
    return MonthFleet(
        [
            MonthMeter(
                f"{'cp' if n % 10 == 9 else 'meter'}-{n:04}",
                seed,
                chance.randrange(10**8),
                sessions=n % 10 == 9,
            )
            for n in range(meters)
        ],
        [
            MonthWearable(f"BAND-{n:04}", seed, domain, BAND_CENTS * CENT, 10 * 86_400)
            for n in range(wearables)
        ],
        [],
        [SimulatedScanner(stations / f"truck-{n}", f"truck-{n}", seed) for n in range(5)],
        [SimulatedTerminal(stations / f"dock-{n}", f"dock-{n}", seed) for n in range(5)],
    )


def register_parties(rail: MonthRail, parties: MonthParties) -> None:
    """Register all parties, and set the bank account that each payee is paid to."""
    rail.agreement_ops.save_parties(
        [
            agreements.PartyRow(address=party.address, name=party.name, iban=party.iban, **_STREET)
            for party in parties
        ]
    )
    for payee in parties.payees:
        rail.agreement_ops.pay_to_bank(payee.account, payee.iban)


def enrol(
    rail: MonthRail,
    devices: Sequence[MonthDevice | SimulatedScanner | SimulatedTerminal],
    watch: Watch,
) -> None:
    """Enrol devices with their proofs of possession, a hundred at a time."""
    deployment = rail.chain.deployment
    registry, owner = deployment.addresses["DeviceRegistry"], rail.agreement_ops._registrar.account
    enrolments = [
        Enrolment(
            device.name,
            device.public,
            owner.address,
            *device.sign_digest(
                enrolment_digest(deployment.chain_id, registry, device.name, owner.address)
            ),
        )
        for device in devices
    ]
    for done, batch in _batches(enrolments):
        rail.agreement_ops.enrol(batch)
        watch(done)


def open_agreements(
    rail: MonthRail,
    fleet: MonthFleet,
    town: MonthTown,
    parties: MonthParties,
    plan: Plan,
    watch: Watch,
) -> None:
    """Sign and open an agreement for every meter, wearable, shipment and trade."""
    households = iter(parties.households)
    signed = [
        _meter(rail, parties, plan, meter, next(households), number)
        for number, meter in enumerate(fleet.meters)
    ]
    signed += [_band(rail, plan, band, next(households)) for band in fleet.wearables]
    signed += [_shipment(rail, parties, shipment) for shipment in fleet.shipments]
    signed += [_trade(rail, trade) for trade in town.trades]
    for agreement, mandate in signed:
        agreement.identity = "0x" + mandate[2].agreement_id().hex()
    for done, batch in _batches([mandate for _, mandate in signed]):
        rail.agreement_ops.open(batch)
        watch(done)


def book_shipments(
    fleet: MonthFleet, parties: MonthParties, plan: Plan, seed: int, count: int
) -> None:
    """Add shipments over the month with drawn prices; every fifth is late."""
    chance = random.Random(f"{seed}/shipments")
    for number in range(count):
        pair = number % 5
        goods = SimulatedConsignment(number + 1, units=100)
        day = list(days.span())[3 + number * 22 // max(count, 1)]
        price = chance.randrange(40, 100) * 1_000
        agreement = plan.add(
            PlannedAgreement(goods.subject, parties.carriers[pair].address, funded_cents=price)
        )
        fleet.shipments.append(
            Shipment(
                goods,
                fleet.trucks[pair],
                fleet.docks[pair],
                agreement,
                price,
                late=chance.randrange(1, 9) if number % 5 == 4 else 0,
                due=at(day, 5),
            )
        )


def fund(
    rail: MonthRail, fleet: MonthFleet, town: MonthTown, parties: MonthParties, plan: Plan
) -> None:
    """Have every payer transfer its money overnight, with the reference of its agreement."""
    with rail.store.read() as session:
        references = {
            agreement.name: agreements.get(session, agreement.identity).reference
            for agreement in plan.agreements.values()
        }
    payers = dict(
        zip(
            [device.name for device in (*fleet.meters, *fleet.wearables)],
            parties.households,
            strict=True,
        )
    )
    payers |= {
        shipment.agreement.name: parties.buyers[number % 5]
        for number, shipment in enumerate(fleet.shipments)
    }
    payers |= {trade.agreement.name: trade.payer for trade in town.trades}
    rail.bank.standing_orders(
        [
            (payers[name].iban, agreement.funded_cents, references[name])
            for name, agreement in plan.agreements.items()
        ]
    )


def _meter(
    rail: MonthRail,
    parties: MonthParties,
    plan: Plan,
    meter: MonthMeter,
    payer: MonthParty,
    number: int,
):
    pick = number % len(PRICES)
    payee = parties.charging if meter.sessions else parties.utilities[pick]
    price = CHARGING_PRICE if meter.sessions else PRICES[pick]
    cents = POINT_CENTS if meter.sessions else METER_CENTS
    begins = meter.register * MWH_PER_UNIT
    agreement = plan.add(PlannedAgreement(meter.name, payee.address, price, cents, begins=begins))
    terms = encode_terms(EnergyTerms(price, FUSE_WATTS, continuous=not meter.sessions))
    first = 0 if meter.sessions else 1 << STREAM_BIT
    return agreement, _sign(
        rail, "metered_energy", meter.name, payer, payee.address, terms, first_counter=first
    )


def _band(rail: MonthRail, plan: Plan, band: MonthWearable, payer: MonthParty):
    agreement = plan.add(PlannedAgreement(band.name, "", funded_cents=BAND_CENTS))
    terms = products()["wearable_voucher"].parse_terms(
        {
            "chain": str(band.domain.chain_id),
            "contract": rail.chain.deployment.addresses["WearableVoucher"],
            "per_tap": "25",
            "classes": str(CLASS),
            "offline_taps": "50",
            "offline_amount": "200",
            "max_age": "864000",
        }
    )
    return agreement, _sign(rail, "wearable_voucher", band.name, payer, NOBODY, terms)


def _shipment(rail: MonthRail, parties: MonthParties, shipment: Shipment):
    pair = shipment.goods.serial % 5 - 1
    terms = products()["proof_of_delivery"].parse_terms(
        {
            "consignment": shipment.goods.subject,
            "carrier": shipment.truck.name,
            "price": f"{shipment.price_cents // 100}.00",
            "quantity": "100",
            "shares": "20/50/30",
            "due": _iso(shipment.due),
            "deadline": _iso(at(days.LAST, 23)),
            "late": "1/20",
        }
    )
    return shipment.agreement, _sign(
        rail,
        "proof_of_delivery",
        shipment.dock.name,
        parties.buyers[pair],
        shipment.agreement.payee,
        terms,
    )


def _trade(rail: MonthRail, trade: MonthTrade):
    terms = products()[trade.PRODUCT].parse_terms(trade.terms())
    agreement = trade.agreement
    return agreement, _sign(
        rail, trade.PRODUCT, trade.device.name, trade.payer, agreement.payee, terms
    )


def _sign(
    rail: MonthRail,
    product: str,
    device: str,
    payer: MonthParty,
    payee: str,
    terms: bytes,
    **overrides: int,
):
    rules = products()[product]
    mandate = rail.agreement_ops.mandate(
        device,
        payer.address,
        payee,
        rules,
        cap_micro=CAP_MICRO,
        window_s=WINDOW_S,
        expiry=EXPIRY,
        terms=terms,
        **overrides,
    )
    return device, rules.NAME, mandate, rail.agreement_ops.sign(mandate, payer.account)


def _batches(items: Sequence) -> Iterable[tuple[int, Sequence]]:
    for start in range(0, len(items), _BATCH):
        batch = items[start : start + _BATCH]
        yield start + len(batch), batch


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
