"""A cloned device: the warden suspends it once; the proof goes to a contract that accepts it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from device_adapters.types import device_id
from oracles.types import ClaimReason
from orchestrator.edges.chain.client import Call, Quote
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import agreements, conflicts, sends
from orchestrator.errors import Retry
from orchestrator.steps.quarantine import quarantine
from services.simulated_devices.record import Point, units_of
from tests.support.small_dock import GOODS, SmallDock, T
from tests.support.small_rail import SmallRail, has_anvil

CP = "cp-0001"
ID = "0x" + device_id(CP).hex()


@pytest.fixture(scope="module")
def rail(tmp_path_factory):
    if not has_anvil():
        pytest.skip("anvil is not installed")
    small_rail = SmallRail(Path(tmp_path_factory.mktemp("quarantine")) / "home").start()
    yield small_rail
    small_rail.stop()


def fork(device, counter: int, units: int) -> bytes:
    points = [
        Point("B", device.now, device.register),
        Point("E", device.now + 3_600, device.register + units_of(units)),
    ]
    return device.forge(points, counter, device.key)


def suspensions(rail) -> int:
    logs = rail.chain.logs_between("DeviceRegistry", 1, rail.chain.head())
    return sum(log.name == "DeviceSuspended" and log.args["device"] == ID for log in logs)


def test_attack__clone__is_suspended_once_and_accepted_again_after_the_registrar_resumes_it(rail):
    device = rail.fleet[CP]
    rail.clock += 100_000
    record = device.session("5")[0]
    other = fork(device, 1, 9)
    assert rail.take(record, other) == ["accepted", "counter_replayed"]
    rail.work(3)
    assert suspensions(rail) == 1
    with rail.store.read() as session:
        [(conflict_device, reason, count, _)] = conflicts.quarantined(session)
        assert (conflict_device, reason, count) == (ID, "counter_replayed", 1)
        assert agreements.device(session, ID).status == "suspended"
        assert conflicts.unreported(session, 9) == []
    now = rail.chain.blocks([rail.chain.head()])[0].timestamp
    assert rail.rail.registry.key_at(device_id(CP), now) is ClaimReason.DEVICE_SUSPENDED
    rail.work(2)
    assert suspensions(rail) == 1
    rail.agreement_ops.resume(CP)
    rail.work(2)
    rail.take(other)  # the same fork, however often it comes
    rail.work(2)
    assert suspensions(rail) == 1
    rail.take(fork(device, 1, 11))  # another one
    rail.work(3)
    assert suspensions(rail) == 2


def test_device_suspended_by_hand__before_the_warden_comes__needs_no_call(rail):
    device = rail.fleet["cp-0002"]
    rail.clock += 100_000
    rail.agreement_ops.suspend("cp-0002")
    rail.rail.registry.refresh()
    device.now = rail.clock - 90_000  # what it signed before counts, and so does its fork
    assert rail.take(device.session("5")[0], fork(device, 1, 9)) == ["accepted", "counter_replayed"]
    rail.work(2)
    with rail.store.read() as session:
        address = rail.rail.warden.account.address
        assert sends.next_nonce(session, 31337, address) in (None, 1, 2)
        rows = (
            session.connection()
            .exec_driver_sql(
                "SELECT reported_tx FROM conflict WHERE device_id = ?",
                ("0x" + device_id("cp-0002").hex(),),
            )
            .fetchall()
        )
    assert [tuple(row) for row in rows] == [("",)]


# --- where the proof is sent


class RefusingSender:
    """Stands for a sender: `refuses` is what a quote raises."""

    def __init__(self, refuses: str = "") -> None:
        self.refuses, self.calls, self.prepared, self.broadcasts = refuses, [], [], 0

    def quote(self, call: Call) -> Quote:
        if self.refuses:
            raise Retry(self.refuses)
        self.calls.append(call)
        return Quote("", "", 0, 0, 0, 0)

    def prepare(self, session, purpose, ref, quote, now) -> str:
        self.prepared.append((purpose, ref))
        return "0x77"

    def broadcast(self) -> int:
        self.broadcasts += 1
        return 1


@pytest.fixture
def dock(tmp_path):
    small_dock = SmallDock(tmp_path)
    small_dock.agree()
    first = small_dock.dock.receive(GOODS, T, 60)
    small_dock.dock.counter = 0
    other = small_dock.dock.receive(GOODS, T, 40)
    assert small_dock.take(first, other) == ["accepted", "counter_replayed"]
    yield small_dock
    small_dock.close()


def _rail(
    dock, sender: RefusingSender, warden: RefusingSender, proof=("reportDoubleSpend", (1, 2))
) -> SimpleNamespace:
    product = SimpleNamespace(
        CONTRACT="WearableVoucher",
        proof_of_conflict=lambda agreement, first, second: (
            proof
            and (
                proof[0],
                (
                    agreement,
                    first.facts["events"][0]["quantity"],
                    second.facts["events"][0]["quantity"],
                ),
            )
        ),
    )
    fields = {name: getattr(dock.rail, name) for name in ("store", "registry", "now", "log")}
    deployment = Deployment(1, "", {"WearableVoucher": "0x"}, {}, True)
    fields["chain"] = SimpleNamespace(deployment=deployment)
    return SimpleNamespace(
        **fields, sender=sender, warden=warden, rules={"proof_of_delivery": product}
    )


def test_proof__that_a_contract_takes__is_sent_once_with_the_two_records(dock):
    sender, warden = RefusingSender(), RefusingSender()
    rail = _rail(dock, sender, warden)
    assert quarantine(rail) == 1 and quarantine(rail) == 0
    [call] = sender.calls
    agreement = bytes.fromhex(
        dock.rows("SELECT agreement_id FROM agreement WHERE device = 'dock-1'")[0][0][2:]
    )
    assert call == Call("WearableVoucher", "reportDoubleSpend", (agreement, 60, 40))
    assert [call.function for call in warden.calls] == ["suspend"]
    assert [purpose for purpose, _ in sender.prepared + warden.prepared] == [
        "prove_conflict",
        "quarantine",
    ]


def test_proof__that_the_contract_refuses__holds_up_no_suspension(dock):
    rail = _rail(
        dock, RefusingSender("WearableVoucher.reportDoubleSpend would revert: X"), RefusingSender()
    )
    assert quarantine(rail) == 1
    assert [purpose for purpose, _ in rail.warden.prepared] == ["quarantine"]


@pytest.mark.parametrize("silent", ["sender", "warden"])
def test_quarantine__node_is_silent__nothing_is_noted_and_it_comes_round_again(dock, silent):
    rail = _rail(dock, RefusingSender(), RefusingSender())
    getattr(rail, silent).refuses = "the node gave no usable answer"
    assert quarantine(rail) == 0
    assert rail.warden.prepared == rail.sender.prepared == []
    getattr(rail, silent).refuses = ""
    assert quarantine(rail) == 1


def test_proof__of_a_product_without_one__only_the_warden_acts(dock):
    rail = _rail(dock, RefusingSender(), RefusingSender(), proof=None)
    assert quarantine(rail) == 1
    assert rail.sender.calls == [] and len(rail.warden.calls) == 1
