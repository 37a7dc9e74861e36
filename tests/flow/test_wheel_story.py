"""The wheel alone, outside the checkout, from its installation to a rail that was restored.

A person's commands, a partner's HTTP calls, and a meter that shares no code with the project.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.edges.chain.ethereum import Account
from services import anvil
from services.development import ORACLES
from tests.support.independent_meter import IndependentMeter
from tests.support.server_answers import ScatteredPorts
from tests.support.wheel import Installed

pytestmark = [pytest.mark.long, pytest.mark.extended]
PATIENCE_S = 300  # for each wait; a rail on a calm machine needs a few seconds
METER = "acme.wallbox-7"
KWH, PRICE = Decimal("0.3750"), "0.40"
MICRO = 150_000  # 0.375 kWh at 0.40 EUR
# the account of who pays, and of who is paid
PAYER = {"name": "Acme Fleet AG", "street": "Ring", "building": "3", "post_code": "50667"}
PAYER |= {"town": "Koeln", "country": "DE"}
NORD = "Nord eG"
PAYEE = ("--street", "Hafen", "--building", "1", "--post-code", "24103", "--town", "Kiel")
_PORT = re.compile(r"^((?:\w*port = |\w*url = \"http://127\.0\.0\.1:))([1-9][0-9]+)", re.MULTILINE)


def until(holds: Callable[[], Any], what: str) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := holds()):
        assert time.monotonic() < deadline, f"not after {PATIENCE_S} s: {what}"
        time.sleep(0.5)
    return answer


@contextmanager
def step(name: str) -> Iterator[None]:
    """Print how long a part of the story takes."""
    begin = time.monotonic()
    yield
    print(f"{time.monotonic() - begin:6.1f} s  {name}")


class WheelRail:
    """A development rail of an installed wheel, as its operator and a partner see it."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self.home = installed.folder / ".proofrail"
        self.api: httpx.Client | None = None

    def run(self, *arguments: object, code: int = 0) -> str:
        done = self._installed.run("proofrail", *map(str, arguments))
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, *arguments: object) -> bool:
        return self._installed.run("proofrail", *map(str, arguments)).returncode == 0

    def json(self, *arguments: object, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def published(self) -> dict[str, Any]:
        return json.loads((self.home / "rail.json").read_text())

    def configure(self) -> None:
        """Change the ports: `init` takes some that are free now, and other tests start rails."""
        file, ports = self.home / "proofrail.toml", ScatteredPorts()
        text, count = _PORT.subn(lambda found: f"{found[1]}{ports.take(0, '')}", file.read_text())
        assert count == len(("node", "API", "broker", "its readers", *ORACLES))
        file.write_text(text)

    def up(self) -> None:
        self.run("up", "--detach", "--patience", PATIENCE_S)
        if self.api is None:
            keys = {
                role: self.json("api-key", "add", role, "--role", role, *scope)["key"]
                for role, scope in (("operator", ()), ("partner", ("--scope", "acme.")))
            }
            self._keys = {role: {"Authorization": f"Bearer {key}"} for role, key in keys.items()}
            self.api = httpx.Client(base_url=self.published()["api_url"], timeout=60)

    def call(self, path: str, body: Any = None, role: str = "partner") -> Any:
        """Ask the API; with a body a POST."""
        method = "GET" if body is None else "POST"
        answer = self.api.request(method, path, json=body, headers=self._keys[role])
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    def show_processes(self) -> subprocess.CompletedProcess[str]:
        """Run `proofrail ps`, which exits with 1 while one of them is not ready."""
        return self._installed.run("proofrail", "ps", "--json")

    def processes(self) -> dict[str, dict[str, Any]]:
        view = json.loads(self.show_processes().stdout)
        return {process["name"]: process for process in view["processes"]}

    def is_well(self) -> bool:
        """Return whether `proofrail status` finds nothing wrong."""
        return self.succeeds("status")

    def stop(self) -> None:
        """Stop all, also where the test has failed."""
        self._installed.run("proofrail", "down")
        if self.home.exists():
            assert self.json("ps", code=1)["supervisor"] is None


@pytest.fixture
def rail(built: Path, tmp_path: Path) -> Iterator[WheelRail]:
    """The wheel in an environment outside the checkout, where anvil is on PATH as users have it."""
    program = anvil.find()
    if program is None:
        pytest.skip("anvil is not installed: `make setup-dev`")
    with step("install the wheel with [rail]"):
        installed = Installed(tmp_path, built, program.parent)
        installed.install("rail")
    rail = WheelRail(installed)
    yield rail
    rail.stop()


def test_wheel__alone__pays_a_strangers_meter_survives_kills_and_is_restored(rail):
    with step("init"):
        rail.run("init", "--profile", "dev", "--yes")
    rail.configure()
    with step("up"):
        rail.up()
    meter = IndependentMeter(METER)
    try:
        with step("enrol, agree and fund"):
            join(rail, meter)
        with step("first record, paid and reconciled"):
            pay(rail, meter)
            close_day(rail, count=1)
        with step("each process killed, all back"):
            kill_each(rail)
        with step("second record, paid: its payee releases it"):
            pay(rail, meter, by_payee=True)
        with step("backup, wipe, restore, up, rebuild"):
            restore(rail)
        with step("third record, paid; all reconciled"):
            pay(rail, meter, by_payee=True)
            close_day(rail, count=3)
        assert rail.json("reconcile")["breaks"] == []
    finally:
        meter.close()


def join(rail: WheelRail, meter: IndependentMeter) -> None:
    """Enrol the meter and open its agreement over HTTP, then pay money into it by bank."""
    ibans = {
        name: rail.json("sandbox", "bank", "account", name)["iban"] for name in ("acme", "nord")
    }
    payee = rail.json("party", "add", NORD, "--role", "payee", "--iban", ibans["nord"], *PAYEE)
    keeper = Account.create()  # the device's owner, whose key is nowhere else either
    owner = {"device": METER, "owner": keeper.address}
    digest = bytes.fromhex(rail.call("/v1/devices/digest", owner)["sha256"])
    proof = {"key": meter.public_pem, "proof": meter.prove(digest).hex()}
    enrolled = rail.call("/v1/devices", owner | proof)
    broker = rail.published()["broker"]
    meter.connect(broker["host"], broker["port"], enrolled["password"])

    wallet = Account.create()  # the payer's key never leaves the payer
    party = PAYER | {"address": wallet.address, "iban": ibans["acme"]}
    rail.call("/v1/parties", party, "operator")
    about = {"device": METER, "product": "metered_energy"}
    terms = about | {
        "payer": wallet.address,
        "payee": payee["address"],
        "terms": {"price": PRICE, "fuse": "150000"},
        "cap_micro": "500000000",
        "start": int(time.time()) - 3_600,  # the meter's first session has begun already
        "expiry": int(time.time()) + 86_400 * 30,
        "window_s": 5,
    }
    view = rail.call("/v1/agreements/mandate", terms)
    document, consent = view["typed_data"], view["consent"]["typed_data"]
    signature = wallet.sign_typed_data(full_message=document).signature
    agreed = keeper.sign_typed_data(full_message=consent).signature
    signed = about | {
        "mandate": document["message"],
        "signature": "0x" + bytes(signature).hex(),
        "consent": "0x" + bytes(agreed).hex(),
    }
    agreement = rail.call("/v1/agreements", signed)
    rail.run(
        *("sandbox", "bank", "pay", "--from", "acme", "--amount", "100.00"),
        *("--reference", agreement["funding_reference"]),
    )
    until(lambda: escrow(rail, agreement["agreement_id"]) == 100_000_000, "100 EUR in escrow")


def escrow(rail: WheelRail, agreement: str) -> int:
    """Return the micro-euro that the ledger has in the agreement's escrow."""
    balances = rail.call("/v1/ledger/balances", role="operator")["balances"]
    amounts = {line["account"]: int(line["balance"]["amount_minor"]) for line in balances}
    return -amounts.get(f"escrow:{agreement}", 0)


def pay(rail: WheelRail, meter: IndependentMeter, by_payee: bool = False) -> None:
    """Follow one session of the meter from its receipt to the bank's booking of the payout.

    Args:
        by_payee: the rail has ordered the payee's one payout of the day, so the payee releases.
    """
    before = {payment["payment_id"] for payment in payments(rail)}
    keys = rail.call("/.well-known/jwks.json")["keys"]
    assert meter.send(meter.session(KWH), keys, PATIENCE_S) == "accepted"

    def paid() -> dict[str, Any] | None:
        new = [payment for payment in payments(rail) if payment["payment_id"] not in before]
        return next((payment for payment in new if payment["stage"] == "booked"), None)

    if by_payee:  # or the rail, if a new day has begun
        until(lambda: paid() or rail.succeeds("party", "release", NORD), "the payee has released")
    amount = until(paid, "the bank has booked the payout")["amount"]
    assert amount == {"amount_minor": str(MICRO), "asset": "tEUR/6"}


def payments(rail: WheelRail) -> list[dict[str, Any]]:
    """Return the partner's payments."""
    return rail.call("/v1/payments")["items"]


def close_day(rail: WheelRail, count: int) -> None:
    """End the bank's day, and wait until its statement has all payments of the partner."""
    rail.run("sandbox", "bank", "close-day")
    until(
        lambda: [payment["stage"] for payment in payments(rail)] == ["reconciled"] * count,
        "all payments are on a statement",
    )


def kill_each(rail: WheelRail) -> None:
    """Kill each process once, and wait until its supervisor has it back."""
    running = {name: process for name, process in rail.processes().items() if process["pid"]}
    for name, before in running.items():
        os.kill(before["pid"], signal.SIGKILL)

        def is_back(name=name, restarts=before["restarts"]) -> bool:
            now = rail.processes()[name]
            return now["state"] == "ready" and now["restarts"] > restarts

        until(is_back, f"{name} is back")
    until(rail.is_well, "nothing is wrong with the rail")


def lose_power(rail: WheelRail) -> None:
    """Kill the supervisor, with which every process of the rail ends."""
    view = json.loads(rail.show_processes().stdout)
    os.kill(view["supervisor"], signal.SIGKILL)
    pids = [process["pid"] for process in view["processes"] if process["pid"]]
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "all have ended")


def restore(rail: WheelRail) -> None:
    """Lose the machine and all but the backup; recomputing gives the same bytes afterwards."""
    before = rail.json("rebuild")
    archive = rail.json("backup", ".")["archive"]
    lose_power(rail)
    shutil.rmtree(rail.home)
    rail.run("restore", archive)
    rail.up()
    after = rail.json("rebuild")
    assert before["same"] and after["same"]
    assert after["stored_sha256"] == after["rebuilt_sha256"] == before["stored_sha256"]
