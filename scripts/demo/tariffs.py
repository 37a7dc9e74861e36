"""The agreements about a past month of devices that measure, and what each comes to.

Most amounts are the worked values of `cases.json` in orchestrator/products/NAME.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

DAY_S, HOUR_S = 86_400, 3_600
HEARTBEAT_S = 12 * HOUR_S
CAR, ATM, BRANCH, FIELD = "car-1", "atm-1", "branch-1", "field-1"
PUMP, LAMP, FREEZER = "pump-1", "lamp-1", "freezer-1"
METER, STATIONS = "branch-meter-1", ("station-1", "station-2", "station-3")
METRES, NIGHT, HARSH = "Vehicle.TraveledDistance", "NightShare", "HarshEventsPer1000km"
ABOUT = {
    CAR: "policy:DE-4711",
    ATM: "atm:1",
    BRANCH: "site:1",
    FIELD: "field:1",
    PUMP: "asset:pump-1",
    LAMP: "device:lamp-1",
    FREEZER: "device:freezer-1",
}


class MeasuredCase(NamedTuple):
    """One agreement. device: whose. amount_micro: what its one payment comes to."""

    product: str
    device: str
    amount_micro: int
    terms: dict[str, str]


def cases(begin: int) -> tuple[MeasuredCase, ...]:
    """Return the agreements about four weeks from `begin` (Unix seconds, a midnight in UTC)."""
    first = datetime.fromtimestamp(begin, UTC).isoformat()
    rows = (
        ("usage_premium", CAR, 51_613_520, _CAR),
        ("service_level", ATM, 124_704_000, _ATM | {"first": first}),
        ("energy_savings", BRANCH, 40_432_000, _BRANCH),
        ("parametric_cover", FIELD, 240_000_000, _FIELD),
        ("maintenance_escrow", PUMP, 546_880_000, _PUMP),
        ("payg_unlock", LAMP, 2_100_000, _DAYS),
        ("payg_unlock", FREEZER, 18_000_000, _DAYS),
    )
    return tuple(MeasuredCase(*row, {"about": ABOUT[row[1]]} | terms) for *row, terms in rows)


_CAR = {
    "metrics": f"{METRES} 0..20000000; {NIGHT} 0..10000; {HARSH} 0..1000",
    "plus": f"{METRES} rising: 0=0, 1000000=35.00, 3000000=75.00",
    "times": f"{NIGHT} rising: 0=100%, 2000=110%, 5000=130%; "
    f"{HARSH} rising: 0=85%, 5=100%, 20=125%",
    "base": "12.00",
    "ceiling": "120.00",
    "coverage": "90%",
    "period": "28..31 days",
    "signer": CAR,  # the contract checks its signature
}
_ATM = {
    "metrics": "uptime 0..10000; cashless 0..44640",
    "plus": "cashless falling: 60=0, 2560=-50.00",
    "times": "uptime rising: 9500=0%, 9900=90%, 9950=100%",
    "base": "180.00",
    "ceiling": "180.00",
    "coverage": "99%",
    "period": "28 days",
    "heartbeat": str(HEARTBEAT_S),
    "low": "100",
    "maintenance": "none",
}
_BRANCH = {
    "metrics": "heating 0..100000; cooling 0..100000; energy 0..10000000",
    "plus": "heating rising: 0=0, 100000=347.20; cooling rising: 0=0, 100000=246.40; "
    "energy falling: 0=0, 10000000=-1120.00",
    "base": "47.04",
    "ceiling": "200.00",
    "coverage": "90%",
    "sources": "2",
    "period": "28..31 days",
    "meter": METER,
    "station": STATIONS[0],
    "heat_below": "15.5",
    "cool_above": "18",
}
_FIELD = {
    "metrics": "measured 0..100000",
    "plus": "measured falling: 600=400.00, 1200=0",
    "ceiling": "400.00",
    "coverage": "95%",
    "sources": str(len(STATIONS)),
    "period": "28 days",
    "stations": ", ".join(STATIONS),
    "quantity": "rain mm",
    "measure": "sum",
    "step": "0.1",
}
_PUMP = {
    "metrics": "velocity 0..50000; hours 0..1000",
    "times": "velocity falling: 2300=100%, 4500=60%, 7100=0%; hours falling: 48=100%, 96=50%",
    "base": "640.00",
    "ceiling": "640.00",
    "period": "1..720 hours",
    "alarm": "4500",
    "load": "8000",
}
_DAYS = {
    "metrics": "days 1..60",
    "plus": "days rising: 0=0, 60=18.00",
    "ceiling": "18.00",
    "period": "1 hour",
}
