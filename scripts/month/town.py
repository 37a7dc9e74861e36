"""The installation: everybody known, every device enrolled, every agreement open and funded."""

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
from scripts.devices.consignment import SimulatedConsignment, SimulatedScanner, SimulatedTerminal
from scripts.month import days
from scripts.month.days import at
from scripts.month.devices import Band, MonthMeter, Thing
from scripts.month.people import SAVINGS_CENTS, MonthParty, MonthPeople
from scripts.month.place import MonthRail
from scripts.month.plan import CENT, Plan, PlannedAgreement
from scripts.run_bank import new_iban

WINDOW_S = 6 * 3_600  # what is settled in the morning can be released in the evening
EXPIRY = at(days.LAST, 0) + 400 * 86_400
CAP_MICRO = 20_000_000_000
FUSE_WATTS = 24_000
PRICES = (298_700, 312_500, 305_333, 327_901)  # micro-euro per kWh, a utility each
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
Watch = Callable[[int], None]


@dataclass
class Shipment:
    """One delivery. price_cents: for all of its 100 units; late: hours begun after it was due."""

    goods: SimulatedConsignment
    truck: SimulatedScanner
    dock: SimulatedTerminal
    deal: PlannedAgreement
    price_cents: int
    late: int
    due: int


@dataclass
class MonthTown:
    """Everything that speaks or is spoken for."""

    meters: list[MonthMeter]
    bands: list[Band]
    shipments: list[Shipment]
    trucks: list[SimulatedScanner]
    docks: list[SimulatedTerminal]

    @property
    def devices(self) -> list[Thing | SimulatedScanner | SimulatedTerminal]:
        return [*self.meters, *self.bands, *self.trucks, *self.docks]


def bank_accounts(cast: MonthPeople) -> list[dict[str, object]]:
    """The safeguarding account first; those of payees and payers behind it."""
    ours = {"iban": new_iban(1), "name": "proofrail", "kind": "safeguarding", "balance_cents": 0}
    theirs = [
        {"iban": who.iban, "name": who.name, "kind": "customer", "balance_cents": SAVINGS_CENTS}
        for who in cast
    ]
    return [ours, *theirs]


def build(place: MonthRail, seed: int, meters: int, bands: int) -> MonthTown:
    """All devices, but for the shipments, which are booked one by one."""
    chance = random.Random(f"{seed}/town")
    deployment = place.chain.deployment
    domain = Domain(deployment.chain_id, deployment.addresses["WearableVoucher"].lower())
    stations = place.home / "devices"
    return MonthTown(
        [
            MonthMeter(
                f"{'cp' if n % 10 == 9 else 'meter'}-{n:04}",
                seed,
                chance.randrange(10**8),
                sessions=n % 10 == 9,
            )
            for n in range(meters)
        ],
        [Band(f"BAND-{n:04}", seed, domain, BAND_CENTS * CENT, 10 * 86_400) for n in range(bands)],
        [],
        [SimulatedScanner(stations / f"truck-{n}", f"truck-{n}", seed) for n in range(5)],
        [SimulatedTerminal(stations / f"dock-{n}", f"dock-{n}", seed) for n in range(5)],
    )


def settle_in(place: MonthRail, cast: MonthPeople) -> None:
    """Parties with their accounts, and the payees' wish to be paid there."""
    place.office.save_parties(
        [
            agreements.PartyRow(address=who.address, name=who.name, iban=who.iban, **_STREET)
            for who in cast
        ]
    )
    for payee in cast.payees:
        place.office.pay_to_bank(payee.account, payee.iban)


def enrol(
    place: MonthRail, devices: Sequence[Thing | SimulatedScanner | SimulatedTerminal], watch: Watch
) -> None:
    """Into the registry, by their proofs of possession, a hundred to a block or two."""
    deployment = place.chain.deployment
    registry, owner = deployment.addresses["DeviceRegistry"], place.office._registrar.account
    enrolments = [
        Enrolment(
            one.name,
            one.public,
            owner.address,
            *one.sign_digest(
                enrolment_digest(deployment.chain_id, registry, one.name, owner.address)
            ),
        )
        for one in devices
    ]
    for done, batch in _batches(enrolments):
        place.office.enrol(batch)
        watch(done)


def agree(place: MonthRail, town: MonthTown, cast: MonthPeople, plan: Plan, watch: Watch) -> None:
    """A mandate for every meter and wearable, and for every shipment."""
    households = iter(cast.households)
    signed = [
        _meter(place, cast, plan, meter, next(households), number)
        for number, meter in enumerate(town.meters)
    ]
    signed += [_band(place, plan, band, next(households)) for band in town.bands]
    signed += [_shipment(place, cast, one) for one in town.shipments]
    for deal, mandate in signed:
        deal.identity = "0x" + mandate[2].agreement_id().hex()
    for done, batch in _batches([mandate for _, mandate in signed]):
        place.office.open(batch)
        watch(done)


def book_shipments(town: MonthTown, cast: MonthPeople, plan: Plan, seed: int, count: int) -> None:
    """Shipments through the month: each its price, its carrier, its buyer; every fifth is late."""
    chance = random.Random(f"{seed}/shipments")
    for number in range(count):
        pair = number % 5
        goods = SimulatedConsignment(number + 1, units=100)
        day = list(days.span())[3 + number * 22 // max(count, 1)]
        price = chance.randrange(40, 100) * 1_000
        deal = plan.add(
            PlannedAgreement(goods.subject, cast.carriers[pair].address, funded_cents=price)
        )
        town.shipments.append(
            Shipment(
                goods,
                town.trucks[pair],
                town.docks[pair],
                deal,
                price,
                late=chance.randrange(1, 9) if number % 5 == 4 else 0,
                due=at(day, 5),
            )
        )


def fund(place: MonthRail, town: MonthTown, cast: MonthPeople, plan: Plan) -> None:
    """Everybody's transfer with the reference of its agreement, overnight."""
    with place.store.read() as session:
        found = {
            deal.name: agreements.get(session, deal.identity).reference
            for deal in plan.deals.values()
        }
    payers = dict(zip([d.name for d in (*town.meters, *town.bands)], cast.households, strict=True))
    payers |= {one.deal.name: cast.buyers[number % 5] for number, one in enumerate(town.shipments)}
    place.bank.standing_orders(
        [(payers[name].iban, deal.funded_cents, found[name]) for name, deal in plan.deals.items()]
    )


def _meter(
    place: MonthRail,
    cast: MonthPeople,
    plan: Plan,
    meter: MonthMeter,
    payer: MonthParty,
    number: int,
):
    pick = number % len(PRICES)
    payee = cast.charging if meter.sessions else cast.utilities[pick]
    price = CHARGING_PRICE if meter.sessions else PRICES[pick]
    cents = POINT_CENTS if meter.sessions else METER_CENTS
    deal = plan.add(PlannedAgreement(meter.name, payee.address, price, cents))
    terms = encode_terms(EnergyTerms(price, FUSE_WATTS, continuous=not meter.sessions))
    first = 0 if meter.sessions else 1 << STREAM_BIT
    return deal, _sign(
        place, "metered_energy", meter.name, payer, payee.address, terms, first_counter=first
    )


def _band(place: MonthRail, plan: Plan, band: Band, payer: MonthParty):
    deal = plan.add(PlannedAgreement(band.name, "", funded_cents=BAND_CENTS))
    terms = products()["wearable_voucher"].parse_terms(
        {
            "chain": str(band.domain.chain_id),
            "contract": place.chain.deployment.addresses["WearableVoucher"],
            "per_tap": "25",
            "classes": str(CLASS),
            "offline_taps": "50",
            "offline_amount": "200",
            "max_age": "864000",
        }
    )
    return deal, _sign(place, "wearable_voucher", band.name, payer, NOBODY, terms)


def _shipment(place: MonthRail, cast: MonthPeople, one: Shipment):
    pair = one.goods.serial % 5 - 1
    terms = products()["proof_of_delivery"].parse_terms(
        {
            "consignment": one.goods.subject,
            "carrier": one.truck.name,
            "price": f"{one.price_cents // 100}.00",
            "quantity": "100",
            "shares": "20/50/30",
            "due": _iso(one.due),
            "deadline": _iso(at(days.LAST, 23)),
            "late": "1/20",
        }
    )
    return one.deal, _sign(
        place, "proof_of_delivery", one.dock.name, cast.buyers[pair], one.deal.payee, terms
    )


def _sign(
    place: MonthRail,
    product: str,
    device: str,
    payer: MonthParty,
    payee: str,
    terms: bytes,
    **more: int,
):
    rules = products()[product]
    mandate = place.office.mandate(
        device,
        payer.address,
        payee,
        rules,
        cap_micro=CAP_MICRO,
        window_s=WINDOW_S,
        expiry=EXPIRY,
        terms=terms,
        **more,
    )
    return device, rules.NAME, mandate, place.office.sign(mandate, payer.account)


def _batches(items: Sequence) -> Iterable[tuple[int, Sequence]]:
    for start in range(0, len(items), _BATCH):
        batch = items[start : start + _BATCH]
        yield start + len(batch), batch


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
