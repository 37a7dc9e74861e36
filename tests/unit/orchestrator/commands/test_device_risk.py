"""A stolen key and a changed one on a whole rail: what can be frozen is, the rest is listed."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.commands.device_risk import moment
from orchestrator.errors import Halt
from orchestrator.operations.trust import DevelopmentCa
from services.simulated_devices.record import Point
from tests.support.open_rail import OpenRail, open_rail
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")


@pytest.fixture
def rail(monkeypatch: pytest.MonkeyPatch) -> OpenRail:
    """Commands see the rail's clock, and wait for blocks that come with each transaction."""
    whole_rail = open_rail()
    DevelopmentCa.make(whole_rail.settings, whole_rail.clock)
    monkeypatch.setattr(time, "time", lambda: whole_rail.clock)
    whole_rail.testnet.rpc("evm_setAutomine", True)
    yield whole_rail
    whole_rail.testnet.rpc("evm_setAutomine", False)


def run_json(rail: OpenRail, *arguments: object) -> Any:
    result = CliRunner().invoke(cli.app, ["--home", str(rail.home), *map(str, arguments), "--json"])
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def held(rail: OpenRail, payment: str) -> int:
    """Micro-euro that a dispute holds."""
    return rail.chain.view("PaymentRail", "frozen", bytes.fromhex(payment[2:]))[1]


def test_compromise__dated_back__freezes_what_is_in_its_window_and_lists_what_has_left(rail):
    rail.join("theft-1", 50_000)
    before = rail.clock
    rail.charge("theft-1", "5")
    rail.until("theft-1", "booked")
    gone = rail.payment("theft-1").payment_id
    rail.charge("theft-1", "7")
    rail.until("theft-1", "posted")
    caught = rail.payment("theft-1")

    look = run_json(rail, "device", "compromise", "theft-1", "--since", before, "--dry-run")
    assert {p["payment_id"]: p["remedy"] for p in look["payments"]} == {
        gone: "at_bank",
        caught.payment_id: "freeze",
    }
    assert held(rail, caught.payment_id) == 0

    done = run_json(rail, "device", "compromise", "theft-1", "--since", before)
    assert done["disputed"] == {caught.payment_id: "frozen"}
    assert held(rail, caught.payment_id) == caught.amount_micro > 0
    again = run_json(rail, "device", "compromise", "theft-1", "--since", before)
    assert again["since"] == before
    rail.until("theft-1", "disputed")
    after = run_json(rail, "device", "risk", "theft-1")["payments"]
    assert {p["payment_id"]: p["remedy"] for p in after} == {
        gone: "at_bank",
        caught.payment_id: "frozen",
    }
    refused = rail.take(*rail.fleet["theft-1"].session("1"))
    assert refused == ["device_compromised"]
    rail.agree_with_the_chain()


def test_rotate__device_in_use__each_key_counts_for_its_time(rail):
    rail.join("theft-2", 50_000)
    rail.charge("theft-2", "3")
    rail.until("theft-2", "posted")
    device, old, new = rail.fleet["theft-2"], rail.fleet["theft-2"].key, rail.fleet.add("next").key
    late = device.session("1")  # signed before the rotation, sent after it
    rail.clock = max(rail.clock, device.now) + 10
    rail.mine()
    rotate = (
        "device",
        "rotate",
        "theft-2",
        "--private-key",
        device.folder / "key.pem",
        "--new-private-key",
        rail.fleet["next"].folder / "key.pem",
    )
    assert run_json(rail, *rotate)["sent"]
    rail.clock += 60
    rail.work(2)
    device.now = rail.clock
    stale = device.forge([Point("B", rail.clock, 1), Point("E", rail.clock, 1)], 99, old)
    assert rail.take(*late, stale) == ["accepted", "signature_forged"]
    device.key = new
    assert rail.take(*device.session("2")) == ["accepted"]
    for _ in range(30):
        if (newest := rail.payment("theft-2")).sequence > 1 and newest.stage == "posted":
            break
        rail.work(1)
    assert newest.sequence > 1
    rail.agree_with_the_chain()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1790000000", 1_790_000_000),
        ("2026-09-21T14:13:20Z", 1_790_000_000),
        ("2026-09-21T16:13:20+02:00", 1_790_000_000),
    ],
)
def test_moment__time_with_its_zone__is_unix_seconds(text, wanted):
    assert moment(text) == wanted


@pytest.mark.parametrize("text", ["2026-09-21T14:13:20", "2026-09-21", "yesterday", "-5", "1e9"])
def test_moment__anything_else__is_not_guessed(text):
    with pytest.raises(Halt, match="is not a time"):
        moment(text)
