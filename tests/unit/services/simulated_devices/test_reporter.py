"""What a reporter seals is genuine, follows on after a restart, and is read as it was meant."""

from __future__ import annotations

import pytest

from device_adapters.protocols import sealed
from orchestrator.products import products
from services.simulated_devices.reporter import SimulatedReporter
from tests.support.meter_streams import reasons

T = 1_777_636_800
PREMIUM = products()["usage_premium"]
TERMS = PREMIUM.parse_terms(
    {
        "about": "policy:1",
        "metrics": "distance 0..9000000; night 0..10000",
        "plus": "distance: 0=0, 1000000=35.00",
        "ceiling": "120.00",
        "period": "1 day",
        "signer": "car-1",
    }
)


class OneKey:
    def __init__(self, device: SimulatedReporter) -> None:
        self._key = device.public

    def key_at(self, device, at_seconds):
        return self._key

    def compromised_since(self, device):
        return None


@pytest.fixture
def car(tmp_path):
    device = SimulatedReporter(tmp_path / "car-1", "car-1", 7)
    yield device
    device.close()


def records_of(car: SimulatedReporter) -> list[bytes]:
    report = car.report("policy:1", (T, T + 86_400), {"distance": 5, "night": 0})
    sensed = car.sense([(T, {"rain": ("3.5", "mm"), "temperature": ("-4", "Cel")})])
    metered = car.meter([(T + 1, "5000.25")])
    return [report, *sensed, *metered, *car.serve("atm:7", [(T + 2, "hardwareError", 400)])]


def test_records__of_every_sort__are_genuine_and_say_what_was_meant(car):
    message = b"".join(records_of(car))
    events = [sealed.decode(record) for record in sealed.split(message)]
    assert reasons(events, OneKey(car)) == [None] * 4
    assert [event.counter for event in events] == [1, 2, 3, 4]
    assert [event.subject for event in events] == ["policy:1", "", "", "atm:7"]
    assert [event.observed_at_ms // 1000 for event in events] == [T + 86_400, T, T + 1, T + 2]
    report, sensed, metered, served = (event.facts for event in events)
    assert report["metrics"] == {"distance": 5, "night": 0}
    values = {r["register"]: (r["value"], r["unit"]) for r in sensed["readings"]}
    assert values == {"rain": ("3.5", "mm"), "temperature": ("-4", "Cel")}
    assert [r["register"] for r in metered["readings"]] == [5_000_250_000]
    assert [r["value"] for r in served["readings"]] == ["0", "400"]


def test_report__with_the_metrics_of_the_terms__is_written_as_the_contract_reads_it(car):
    metrics = {"distance": 5, "night": 0}
    record = car.report("policy:1", (T, T + 86_400), metrics)
    assert PREMIUM.admit(TERMS, None, sealed.decode(record)) is None
    turned = car.report("policy:1", (T, T + 86_400), dict(reversed(metrics.items())))
    assert PREMIUM.admit(TERMS, None, sealed.decode(turned))[0] == "seal_not_canonical"


def test_reporter__started_again__goes_on_with_its_counter_and_what_has_no_receipt(car, tmp_path):
    records = records_of(car)
    car.close()
    again = SimulatedReporter(tmp_path / "car-1", "car-1", 7)
    more = again.meter([(T + 9, 5_001)])
    assert again.unreceipted() == [*records, *more]
    assert again.counter_of(more[0]) == 5
    again.close()
