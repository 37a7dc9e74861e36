"""Products of one formula on a whole rail: a car, an ATM, a farm, a locked lamp, and a pump.

Devices sign sealed records; a period that is stated again costs the difference. The farm's cover
pays for a season whose premium is a settled payment of the car's agreement.
"""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from device_adapters.protocols.sealed.write import SealClaims, content_claims, write_cose
from orchestrator.core import ledger
from orchestrator.core.payment import Stage
from orchestrator.edges.store import ledger as store_ledger
from scripts.demo import parties
from tests.support.locked_device import LockedDevice
from tests.support.whole_rail import AT_BANK, WholeRail

CAR, ATM, FARM, STATIONS = "car-1", "atm-7", "farm-1", ("st-1", "st-2")
LAMP, PUMP = "lamp-3", "pump-3"
INSURER, DRIVER = parties.UTILITY, parties.HOUSEHOLD
CAR_TERMS = {
    "about": "policy:DE-4711",
    "metrics": "Vehicle.TraveledDistance 0..20000000; Night 0..10000; Harsh 0..1000",
    "plus": "Vehicle.TraveledDistance rising: 0=0, 1000000=35.00, 3000000=75.00",
    "times": "Night rising: 0=100%, 2000=110%, 5000=130%; Harsh rising: 0=85%, 5=100%, 20=125%",
    "base": "12.00",
    "ceiling": "120.00",
    "coverage": "90%",
    "period": "1..60 seconds",
}
COVER_TERMS = {
    "about": "field:7",
    "metrics": "measured 0..100000",
    "plus": "measured falling: 60=4.00, 120=0",
    "ceiling": "4.00",
    "sources": "2",
    "period": "1..60 seconds",
    "stations": ", ".join(STATIONS),
    "quantity": "rain mm",
    "measure": "sum",
    "step": "0.1",
}
LAMP_KEY, DAY_PRICE = "bc41ec9530f6dac86b1a29ab82edc5fb", 300_000
LAMP_TERMS = {
    "about": "device:lamp-3",
    "metrics": "days 1..60",
    "plus": "days rising: 0=0, 60=18.00",
    "ceiling": "18.00",
    "period": "1..86400 seconds",
}
PUMP_TERMS = {
    "about": "asset:pump-3",
    "metrics": "velocity 0..1000000; hours 0..10000; done 0..1",
    "times": "velocity falling: 2300=100%, 4500=60%, 7100=0%; done rising: 0=0%, 1=100%",
    "base": "64.00",
    "ceiling": "64.00",
    "period": "1..9000000 seconds",
    "alarm": "4500",
    "load": "7000",
}
FUNDED = 300_000_000
EARLY = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)


class Insured:
    """A car and an ATM with keys of their own, and an agreement for each."""

    def __init__(self, rail: WholeRail, home: Path) -> None:
        self.rail, self.keys = rail, {}
        self.home = home
        for name in (CAR, ATM):
            self.enrol(name)
        self.policy = self.agree(CAR, "usage_premium", CAR_TERMS)
        self.first = int(time.time()) + 2  # after the block of the opening
        self.service = self.agree(ATM, "service_level", self.atm_terms())
        self.now, self.ordered = self.first, 0

    def enrol(self, name: str) -> None:
        file = self.home / f"{name}.pem"
        self.keys[name] = _key(file)
        self.run("device", "add", name, "--owner", DRIVER.name, "--private-key", str(file))

    def atm_terms(self) -> dict[str, str]:
        return {
            "about": "atm:7",
            "metrics": "uptime 0..10000; cashless 0..44640",
            "plus": "cashless falling: 60=0, 2560=-50.00",
            "times": "uptime rising: 9500=0%, 9900=90%, 9950=100%",
            "base": "18.00",
            "ceiling": "18.00",
            "coverage": "99%",
            "period": "10 seconds",
            "first": datetime.fromtimestamp(self.first + 8, UTC).isoformat(),
            "heartbeat": "5",
            "low": "100",
            "maintenance": "none",
        }

    def agree(
        self,
        device: str,
        product: str,
        terms: dict[str, str],
        *more: str,
        payer=DRIVER,
        payee=INSURER,
    ) -> str:
        words = [part for name, text in terms.items() for part in ("--term", f"{name}={text}")]
        parties_of = ["--payer", payer.name, "--payee", payee.name]
        limits = ["--cap", "500.00", "--window", "1"]
        opened = self.run(
            *("agreement", "open", "--device", device, "--product", product),
            *(*parties_of, *limits, *words, *more),
        )
        reference = opened["funding_reference"]
        paid = self.rail.stack.bank.pay(parties.iban(payer), "", 30_000, reference)
        assert paid["ok"], paid
        agreement = opened["agreement_id"]
        self.rail.until(lambda: self.left(agreement) == FUNDED, f"the escrow of {device}")
        return agreement

    def run(self, *arguments: str) -> dict[str, Any]:
        (done,) = self.rail.commands([*arguments, "--json"])
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def seal(self, device: str, counter: int, at: int, sealed: dict[str, Any]) -> dict[str, str]:
        claims = SealClaims(device, device, counter, at)
        record = write_cose(claims, sealed, self.keys[device])
        return {"protocol": "sealed", "record_base64": base64.b64encode(record).decode()}

    def report(self, counter: int, ordinal: int, metres: int, coverage: int = 9_800):
        begin = self.now + 2 * (ordinal - 1)
        report = {
            "device": CAR,
            "subject": CAR_TERMS["about"],
            "ordinal": ordinal,
            "from": begin,
            "to": begin + 2,
            "metrics": {"Vehicle.TraveledDistance": metres, "Night": 1_200, "Harsh": 3},
            "coverage": coverage,
            "sources": 1,
        }
        return self.seal(CAR, counter, begin + 2, {"report": report})

    def state(self, counter: int, after: int, device: str = "online"):
        at = self.first + 8 + after
        said = {"machine": ATM, "about": "atm:7", "at": at * 1000, "device": device, "cash": 4_200}
        return self.seal(ATM, counter, at, content_claims("machine", json.dumps(said).encode()))

    def rain(self, station: str, at: int, millimetres: int) -> dict[str, str]:
        pack = [{"bn": f"{station}/", "n": "rain", "u": "mm", "v": millimetres, "t": at}]
        content = content_claims("senml", json.dumps(pack).encode())
        return self.seal(station, 1, at, content)

    def season(self, begin: int, end: int) -> dict[str, str]:
        report = {"device": FARM, "subject": COVER_TERMS["about"], "ordinal": 1}
        report |= {"from": begin, "to": end, "metrics": {"x": 0}, "coverage": 10_000, "sources": 1}
        return self.seal(FARM, 1, end, {"report": report})

    def stated(self, device: str, about: str, counter: int, **metrics: int) -> str:
        """Send a report of the second that follows the last one; return the rail's answer."""
        begin = max(self.ordered, int(time.time()) + 2)  # behind the block of the opening
        self.ordered = begin + 1
        report = {"device": device, "subject": about, "ordinal": counter, "metrics": metrics}
        report |= {"from": begin, "to": begin + 1, "coverage": 10_000, "sources": 1}
        return self.send(self.seal(device, counter, begin, {"report": report}))[0]

    def order(self, counter: int, days: int) -> str:
        return self.stated(LAMP, LAMP_TERMS["about"], counter, days=days)

    def left(self, agreement: str) -> int:
        """Return what the ledger says that an agreement can still be charged."""
        with self.rail.store.read() as session:
            return -store_ledger.balances(session).get((ledger.escrow(agreement), ledger.TEUR), 0)

    def send(self, *records: dict[str, str]) -> list[str]:
        """Send records by HTTP; return the rail's answer to each."""
        answer = self.rail.api("POST", "/v1/evidence", "operator", json={"records": list(records)})
        assert answer.status_code < 300, answer.text
        return [row["outcome"] for row in answer.json()["records"]]

    def payments(self, agreement: str) -> list[Any]:
        rows = [row for row in self.rail.all_payments() if row.agreement_id == agreement]
        return sorted(rows, key=lambda row: row.sequence)

    def amounts(self, agreement: str, count: int) -> list[int]:
        """Wait until `count` payments are final, and return their amounts."""

        def is_final() -> bool:
            rows = self.payments(agreement)
            return len(rows) >= count and not any(row.stage in EARLY for row in rows)

        self.rail.until(is_final, f"{count} payments of {agreement}")
        return [row.amount_micro for row in self.payments(agreement)]


@pytest.fixture(scope="module")
def insured(own_rail: WholeRail, tmp_path_factory: pytest.TempPathFactory) -> Insured:
    return Insured(own_rail, tmp_path_factory.mktemp("insured"))


def test_premium__of_signed_totals__is_charged_proved_and_stated_again(insured, tmp_path):
    policy = insured.policy
    assert insured.send(insured.report(1, 1, 1_240_000)) == ["accepted"]
    assert insured.amounts(policy, 1) == [51_613_520]
    assert insured.send(insured.report(2, 1, 1_000_000)) == ["accepted"]
    assert insured.amounts(policy, 2) == [51_613_520, -4_782_720]
    unplugged, parked = insured.report(3, 2, 310_000, coverage=7_100), insured.report(4, 3, 0)
    assert insured.send(unplugged, parked) == ["accepted"] * 2
    amounts = insured.amounts(policy, 3)
    assert amounts[2] == 12_000_000 * 10_600 * 9_400 // 10**8  # nights and harsh events as before
    bundle = tmp_path / "bundle.json"
    insured.run("audit", "export", insured.payments(policy)[0].payment_id, "-o", str(bundle))
    assert insured.run("audit", "verify", str(bundle))["ok"]


def test_cover__whose_premium_is_proved_on_chain__pays_for_the_season(insured):
    """The premium is a settled payment of the car's agreement; what is none proves nothing."""
    if not insured.payments(insured.policy):  # where this test runs alone
        assert insured.send(insured.report(1, 1, 1_240_000)) == ["accepted"]
    insured.amounts(insured.policy, 1)
    for name in (FARM, *STATIONS):
        insured.enrol(name)
    terms = COVER_TERMS | {"premium": insured.policy}
    cover = insured.agree(FARM, "parametric_cover", terms, payer=INSURER, payee=DRIVER)
    premium = insured.payments(insured.policy)[0].payment_id
    no_cover = ["agreement", "prove-premium", insured.service, premium]
    (other,) = insured.rail.commands(no_cover)
    assert other.returncode == 2 and "other_agreement" in other.stdout + other.stderr
    proved = insured.run("agreement", "prove-premium", cover, premium)
    assert proved["sent"] and len(proved["transactions"]) == 1
    begin = int(time.time()) + 1  # behind the opening
    stations = [insured.rain(name, begin + 1, 3 * n + 6) for n, name in enumerate(STATIONS)]
    records = [*stations, insured.season(begin, begin + 2)]
    assert insured.send(*records) == ["accepted"] * 3
    assert insured.amounts(cover, 1) == [3_000_000]  # the median of 6 and 9 mm


def test_lamp__of_ordered_days__takes_one_token_for_each_final_payment(insured):
    """Its count goes on behind a claim that was passed over, and in a renewed agreement."""
    insured.enrol(LAMP)
    secret = insured.home / "lamp.key"
    secret.write_text(LAMP_KEY)
    insured.run("unlock", "device", "add", LAMP, "--key", str(secret))
    lamp = LockedDevice(LAMP_KEY)
    first = insured.agree(LAMP, "payg_unlock", LAMP_TERMS)
    assert insured.order(1, 7) == "accepted"
    assert insured.amounts(first, 1) == [7 * DAY_PRICE]
    insured.run("agreement", "skip", first, "--last-counter", "1")  # no record
    assert insured.order(2, 30) == "accepted"
    insured.amounts(first, 2)
    second = insured.agree(LAMP, "payg_unlock", LAMP_TERMS, "--after", "2")
    assert insured.order(3, 60) == "accepted"
    assert insured.amounts(second, 1) == [60 * DAY_PRICE]
    paid = [
        row for row in (*insured.payments(first), *insured.payments(second)) if row.amount_micro
    ]
    shown = [insured.run("unlock", "show", row.payment_id)["tokens"] for row in paid]
    tokens = [token for (token,) in shown]
    assert [(token["number"], token["days"]) for token in tokens] == [(1, 7), (2, 30), (3, 60)]
    assert [lamp.enter(token["digits"]) for token in tokens] == ["add_time"] * 3
    assert [lamp.enter(token["digits"]) for token in tokens] == ["used"] * 3
    charged = 2 * FUNDED - insured.left(first) - insured.left(second)
    assert lamp.days == 97 == charged // DAY_PRICE  # days sold = days unlocked


def test_pump__ordered_behind_an_alarm__sends_a_work_order_and_is_paid_under_load(insured):
    insured.enrol(PUMP)
    repair, about = insured.agree(PUMP, "maintenance_escrow", PUMP_TERMS), PUMP_TERMS["about"]
    assert insured.stated(PUMP, about, 1, velocity=6_200, load=8_000) == "accepted"
    assert insured.stated(PUMP, about, 2, order=1) == "accepted"
    assert insured.amounts(repair, 1) == [0]
    payment = insured.payments(repair)[0].payment_id
    orders = insured.run("effect", "list", "--kind", "work_order")["effects"]
    assert [(order["payment"], order["name"]) for order in orders] == [(payment, "repair")]
    assert insured.stated(PUMP, about, 3, velocity=900, load=500) == "accepted"  # it idles
    assert insured.stated(PUMP, about, 4, velocity=3_400, load=7_400) == "accepted"
    assert insured.amounts(repair, 2) == [0, 51_200_000]
    assert len(insured.run("effect", "list", "--kind", "work_order")["effects"]) == 1


def test_fee__of_signed_states__silence_is_down_and_late_records_are_not(insured):
    service = insured.service
    served = [insured.state(number, 2 * (number - 1)) for number in range(1, 7)]
    assert insured.send(*served) == ["accepted"] * 6  # all at once, after an outage of the rail
    assert insured.amounts(service, 1) == [18_000_000]
    silent = [insured.state(7, 20), insured.state(8, 24, "hardwareError"), insured.state(9, 30)]
    assert insured.send(*silent) == ["accepted"] * 3
    assert insured.amounts(service, 3) == [18_000_000, 0, 0]
    insured.rail.until(
        lambda: insured.payments(service)[0].stage in AT_BANK,
        "the fee on a bank line",
    )


def _key(path: Path) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)
    return pem
