"""Attacks that the pages of the Index products name, each carried out on the product's rules.

What the contract itself resists is in tests/contracts/test_index_attacks.py; that nobody chooses
among heard records, in tests/unit/oracles/test_hearing.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from device_adapters.types import Assurance, Event
from oracles.types import ClaimReason
from orchestrator import products as package
from orchestrator.products import products
from orchestrator.products.index.tariff import IndexFacts

START, HOUR, DAY = 1_798_761_600, 3_600, 86_400  # 2027-01-01, a Friday
CAR = {
    "about": "policy:1",
    "metrics": "distance 0..300000; harsh 0..100",
    "plus": "distance rising: 0=0, 1000000=35.00",
    "times": "harsh rising: 0=85%, 5=100%",
    "base": "12.00",
    "ceiling": "120.00",
    "coverage": "90%",
    "period": "1 day",
    "assurance": "device",
}
HEALTH = {
    "about": "policy:2",
    "metrics": "active 0..1440",
    "plus": "active rising: 90=-1.00, 300=4.00",
    "ceiling": "3.00",
    "coverage": "70%",
    "period": "1 day",
}


class Attacked:
    """A product with terms, and records of its devices."""

    def __init__(self, name: str, terms: Mapping[str, str] | None = None, **changes: str) -> None:
        self.product: Any = products()[name]
        path = Path(package.__file__).parent / name / "cases.json"
        words = terms or json.loads(path.read_text())["runs"][0]["terms"]
        self.about, self.terms = words["about"], self.product.parse_terms(dict(words) | changes)

    def report(self, ordinal: int, begin: int, end: int, metrics: Mapping[str, int], **fields: Any):
        """Return a report of the agreement's device; its ordinal is its counter."""
        stated = {"counter": ordinal, "ordinal": ordinal, "from": begin, "to": end}
        record = stated | {"metrics": dict(metrics), "subject": self.about} | fields
        return self.product.case_event(record)

    def day(self, number: int, metrics: Mapping[str, int], **fields: Any) -> Event:
        """Return a report of one day."""
        begin = START + (number - 1) * DAY
        return self.report(number, begin, begin + DAY, metrics, **fields)

    def sensed(self, device: str, counter: int, at: int, **readings: tuple[str, str]) -> Event:
        """Return a record of a sensor: `name=(value, unit)`."""
        values = {name: list(value) for name, value in readings.items()}
        record = {"device": device, "counter": counter, "to": at, "readings": values}
        return self.product.case_event(record | {"subject": self.about})

    def refusal(self, event: Event, previous: Event | None = None) -> ClaimReason | None:
        """Return why a record is dropped, or None."""
        refused = self.product.admit(self.terms, previous, event)
        return refused[0] if refused else None

    def facts(self, run: Sequence[Event], heard: Sequence[Event] = ()) -> IndexFacts:
        """Return the facts of a whole run."""
        cited = {f"{event.device} {event.counter}": event for event in heard}
        return self.product.decode_facts(self.product.derive(self.terms, None, run, cited))

    def complete(self, run: Sequence[Event]) -> int:
        return self.product.complete(self.terms, None, run)

    def answer(self, facts: IndexFacts) -> tuple[int, str]:
        """Return (amount, name of the refusal) of an agreement's first claim."""
        state = self.product.open(self.terms, START)
        raw = self.product.encode_facts(facts)
        amount, refusal = self.product.price(state, self.terms, raw, 2**47 - 1)
        return amount, self.product.REFUSALS.get(refusal, "")


# --- usage premium


def test_attack__car_is_unplugged_for_a_trip__its_period_is_not_charged_by_that_report():
    car = Attacked("usage_premium", CAR)
    metrics = {"distance": 10_000, "harsh": 0}
    assert car.refusal(car.day(1, metrics, coverage=9_000)) is None
    assert car.refusal(car.day(1, metrics, coverage=8_999)) == ClaimReason.COVERAGE_SHORT


def test_attack__odometer_is_turned_back__an_earlier_period_cannot_be_stated_again():
    car = Attacked("usage_premium", CAR)
    first, second = (car.day(n, {"distance": 200_000, "harsh": 0}) for n in (1, 2))
    assert car.refusal(second, first) is None
    rolled = {"distance": 1_000, "harsh": 0}
    assert car.refusal(car.day(1, rolled, counter=3), second) == ClaimReason.TOO_LATE
    overlapping = car.report(3, START + 2 * DAY - HOUR, START + 3 * DAY - HOUR, rolled)
    assert car.refusal(overlapping, second) == ClaimReason.PERIOD_UNEXPECTED
    again = car.report(2, START + 2 * DAY, START + 3 * DAY, rolled, counter=3)
    assert car.refusal(again, second) == ClaimReason.PERIOD_UNEXPECTED


def test_attack__shaker_moves_a_wearable_all_day__more_minutes_than_a_day_has_are_not_believed():
    wearer = Attacked("usage_premium", HEALTH)
    assert wearer.refusal(wearer.day(1, {"active": 1_440})) is None
    assert wearer.refusal(wearer.day(1, {"active": 1_441})) == ClaimReason.METRIC_OUTSIDE


def test_attack__health_report_that_ought_to_cost__takes_nothing_from_the_wearer():
    wearer = Attacked("usage_premium", HEALTH)
    assert wearer.answer(IndexFacts(START, START + DAY, 10_000, 1, (0,))) == (0, "")
    assert wearer.answer(IndexFacts(START, START + DAY, 10_000, 1, (300,))) == (3_000_000, "")


def test_attack__file_says_what_a_car_drove__the_terms_want_the_car_s_own_word():
    car = Attacked("usage_premium", CAR)
    metrics = {"distance": 10_000, "harsh": 0}
    for source in (Assurance.GATEWAY, Assurance.FILE):
        stated = car.day(1, metrics, assurance=source)
        assert car.refusal(stated) == ClaimReason.ASSURANCE_TOO_LOW


# --- service level


class AttackedMachine(Attacked):
    """A machine that sends every hour: each record is whether it serves."""

    def __init__(self, **changes: str) -> None:
        own = {"heartbeat": "3600", "assurance": "device", "maintenance": "none"}
        super().__init__("service_level", None, **own | changes)

    def state(self, hour: float, serves: bool, counter: int | None = None, **fields: Any) -> Event:
        counter = int(hour) + 1 if counter is None else counter
        readings = {"in_service": [str(int(serves)), ""], "cash": ["4200", ""]}
        record = {"counter": counter, "to": int(START + hour * HOUR), "readings": readings}
        return self.product.case_event(record | {"subject": self.about} | fields)

    def uptime(self, run: Sequence[Event]) -> int:
        return self.facts(run).metrics[0]


def test_attack__operator_sends_heartbeats_of_a_machine_that_is_down__are_not_the_machine_s():
    atm = AttackedMachine()
    assert atm.refusal(atm.state(1, True)) is None
    forged = atm.state(1, True, assurance=Assurance.GATEWAY)
    assert atm.refusal(forged) == ClaimReason.ASSURANCE_TOO_LOW


def test_attack__silence_is_sold_as_an_outage_of_the_rail__counts_as_down():
    atm = AttackedMachine()
    silent = [atm.state(hour, True, n) for n, hour in enumerate([*range(13), 24], 1)]
    assert atm.uptime(silent) == 10_000 * 13 // 24  # an hour's heartbeat behind the last word
    held_back = [atm.state(hour, True) for hour in range(25)]
    assert atm.uptime(held_back) == 10_000  # all came later, with the machine's own times


def test_attack__records_that_say_down_are_left_out__nobody_saw_that_time_and_nothing_is_paid():
    atm = AttackedMachine()
    honest = [atm.state(hour, hour not in (5, 6, 7)) for hour in range(25)]
    assert atm.complete(honest) == 25 and atm.uptime(honest) == 10_000 * 21 // 24
    cut = [event for event in honest if event.counter not in (6, 7, 8)]
    assert atm.facts(cut).coverage == 10_000 * 20 // 24
    assert atm.complete(cut) == 0


def test_attack__machine_s_clock_is_turned_back__its_record_is_dropped():
    atm = AttackedMachine()
    before = atm.state(5, False, 6)
    assert atm.refusal(atm.state(4, True, 7), before) == ClaimReason.TIME_BACKWARDS
    assert atm.refusal(atm.state(5, True, 7), before) is None


def test_attack__maintenance_whenever_it_suits__counts_only_in_the_hours_of_the_terms():
    atm = AttackedMachine(maintenance="Fri 02:00-04:00")
    planned = [atm.state(hour, hour not in (2, 3)) for hour in range(25)]
    assert atm.uptime(planned) == 10_000
    later = [atm.state(hour, hour not in (5, 6)) for hour in range(25)]
    assert atm.uptime(later) == 10_000 * 20 // 22


# --- energy savings


class AttackedSite(Attacked):
    """A site with its meter and its station, which measured three days."""

    def __init__(self) -> None:
        super().__init__("energy_savings")
        self.meter = [self.metered("m-9", n, START + n * DAY // 2, 5_000_000 * n) for n in range(7)]
        self.station = [
            self.sensed("st-9", n, START + n * DAY // 2 + HOUR, temperature=("5.5", "Cel"))
            for n in range(6)
        ]

    def metered(self, device: str, counter: int, at: int, mwh: int) -> Event:
        record = {"device": device, "counter": counter, "to": at, "obis": {"1-0:1.8.0*255": mwh}}
        return self.product.case_event(record | {"subject": self.about})

    def month(self, metrics: Mapping[str, int], days: int = 3) -> Event:
        return self.report(1, START, START + days * DAY, metrics)


def test_attack__site_reports_a_warm_month_as_a_cold_one__the_station_decides():
    site = AttackedSite()
    lie = site.month({"heating": 99_999, "cooling": 99_999, "energy": 1})
    assert site.facts([lie], [*site.meter, *site.station]).metrics == (3_000, 0, 30_000)


def test_attack__register_of_another_meter__is_not_the_site_s():
    site = AttackedSite()
    others = [site.metered("m-8", n, START + n * DAY // 2, 1_000 * n) for n in range(7)]
    month = site.month({"x": 0})
    honest = site.facts([month], [*site.meter, *site.station])
    assert site.facts([month], [*site.meter, *others, *site.station]) == honest
    facts = site.facts([month], [*others, *site.station])
    assert site.answer(facts) == (0, "CoverageShort")


def test_attack__month_leaves_out_its_worst_days__has_not_the_length_of_the_terms():
    site = Attacked("energy_savings", None, period="28..31 days")
    whole = site.report(1, START, START + 31 * DAY, {"x": 0})
    short = site.report(2, START + 31 * DAY, START + 51 * DAY, {"x": 0})
    assert site.refusal(whole) is None
    assert site.refusal(short, whole) == ClaimReason.PERIOD_UNEXPECTED
    again = site.report(2, START + 11 * DAY, START + 39 * DAY, {"x": 0})
    assert site.refusal(again, whole) == ClaimReason.PERIOD_UNEXPECTED


# --- parametric cover


class AttackedField(Attacked):
    """A field and its five stations, over four days; each rained this much a day (mm)."""

    def __init__(self) -> None:
        super().__init__("parametric_cover")
        self.season = self.report(1, START, START + 4 * DAY, {"measured": 0})

    def rain(self, **daily: str) -> list[Event]:
        return [
            self.sensed(name.replace("_", "-"), day, START + day * DAY + HOUR, rain=(amount, "mm"))
            for name, amount in daily.items()
            for day in range(4)
        ]

    def measured(self, heard: Sequence[Event]) -> tuple[int, int]:
        """Return (tenths of a millimetre, stations that counted)."""
        facts = self.facts([self.season], heard)
        return facts.metrics[0], facts.sources


def test_attack__too_few_stations__pay_nothing():
    field = AttackedField()
    dry = {"st_1": "15", "st_2": "15"}
    facts = field.facts([field.season], field.rain(**dry))
    assert field.answer(facts) == (0, "SourcesShort")
    facts = field.facts([field.season], field.rain(**dry, st_3="15"))
    assert field.answer(facts) == (400_000_000, "")


def test_attack__false_station_of_one_s_own__is_not_heard():
    field = AttackedField()
    listed = field.rain(st_1="20", st_2="21", st_3="22")
    dry = field.rain(st_8="0", st_9="0")
    assert field.measured([*listed, *dry]) == field.measured(listed) == (840, 3)
    from_here = {event.device_id for event in dry}
    assert not from_here & field.product.hears(field.terms)


def test_attack__one_broken_or_bought_station__does_not_move_the_median_beyond_its_neighbours():
    field = AttackedField()
    honest = field.rain(st_1="20", st_2="21", st_3="22", st_4="23")
    for bought in ("0", "1000000"):
        median, count = field.measured([*honest, *field.rain(st_5=bought)])
        assert 840 <= median <= 880 and count == 5
    one_day = field.sensed("st-5", 0, START + HOUR, rain=("0", "mm"))
    assert field.measured([*honest, one_day]) == field.measured(honest)


def test_attack__season_begins_when_it_stops_raining__has_not_the_length_of_the_terms():
    field = Attacked("parametric_cover", None, period="90 days")
    whole = field.report(1, START, START + 90 * DAY, {"measured": 0})
    chosen = field.report(2, START + 100 * DAY, START + 130 * DAY, {"measured": 0})
    assert field.refusal(whole) is None
    assert field.refusal(chosen, whole) == ClaimReason.PERIOD_UNEXPECTED
    moved = field.report(2, START + 60 * DAY, START + 150 * DAY, {"measured": 0})
    assert field.refusal(moved, whole) == ClaimReason.PERIOD_UNEXPECTED


# --- maintenance escrow


class AttackedPump(Attacked):
    """A pump: each record is a minute's reading, or an order."""

    def __init__(self) -> None:
        super().__init__("maintenance_escrow")

    def reading(self, hour: int, velocity: int, load: int = 8_000, **fields: Any) -> Event:
        return self.at(hour, {"velocity": velocity, "load": load}, **fields)

    def order(self, hour: int) -> Event:
        return self.at(hour, {"order": 1})

    def at(self, hour: int, metrics: Mapping[str, int], **fields: Any) -> Event:
        end = START + hour * HOUR
        return self.report(hour + 1, end - 60, end, metrics, **fields)


def test_attack__asset_is_measured_while_it_idles__says_nothing():
    pump = AttackedPump()
    alarm, order = pump.reading(1, 6_000), pump.order(2)
    assert pump.complete([alarm, order, pump.reading(5, 500, load=6_999)]) == 0
    run = [alarm, order, pump.reading(5, 500, load=6_999), pump.reading(9, 5_000, load=7_000)]
    assert pump.complete(run) == 4 and pump.facts(run).metrics == (5_000, 7)


def test_attack__order_without_a_fault__is_no_repair():
    pump = AttackedPump()
    assert pump.complete([pump.reading(1, 4_499), pump.order(2), pump.reading(5, 500)]) == 0
    assert pump.complete([pump.order(2), pump.reading(3, 6_000), pump.reading(5, 500)]) == 0
    assert pump.complete([pump.reading(1, 4_500), pump.order(2), pump.reading(5, 500)]) == 3


def test_attack__first_good_reading_among_many_bad_ones__is_not_waited_for():
    pump = AttackedPump()
    run = [pump.reading(1, 6_000), pump.order(2), pump.reading(5, 7_000), pump.reading(9, 500)]
    assert pump.complete(run) == 3 and pump.facts(run[:3]).metrics == (7_000, 3)


def test_attack__file_states_the_asset_quiet__its_own_device_has_to():
    pump = AttackedPump()
    quiet = pump.reading(5, 500, assurance=Assurance.FILE)
    assert pump.refusal(pump.reading(5, 500)) is None
    assert pump.refusal(quiet) == ClaimReason.ASSURANCE_TOO_LOW


# --- pay-as-you-go unlock


def test_attack__order_is_stated_again_with_more_days__cannot_be_changed():
    lamp = Attacked("payg_unlock")
    order = lamp.report(1, START, START + 60, {"days": 7})
    again = lamp.report(1, START, START + 60, {"days": 30}, counter=2)
    assert lamp.refusal(order) is None
    assert lamp.refusal(again, order) == ClaimReason.PERIOD_UNEXPECTED


# --- the pages


PAGES = ("usage_premium", "service_level", "energy_savings", "parametric_cover")
PAGES += ("maintenance_escrow", "payg_unlock")
ROOT = Path(package.__file__).parents[2]


@pytest.mark.parametrize(
    "page",
    [*(f"orchestrator/products/{name}/README.md" for name in PAGES), "docs/WATERFALL.md"],
)
def test_page__each_attack_in_its_table__names_tests_that_exist(page):
    text = (ROOT / page).read_text()
    _, _, table = text.partition("| attack | what holds | test |\n|---|---|---|\n")
    rows = [line.split("|") for line in table.partition("\n\n")[0].splitlines()]
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row[3])]
    assert len(rows) >= 4 and len(names) >= len(rows)
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if not re.search(rf"def test_\w+__{name}__", tests)] == []
