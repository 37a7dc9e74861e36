"""What the stored row of a device says after rulings on its compromise are final."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from device_adapters.types import device_id
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.store import Store, add_new, agreements, blocks
from orchestrator.steps import finalise

DEVICE = "0x" + device_id("cp-1").hex()


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "rail.sqlite3")
    row = agreements.DeviceRow(
        device_id=DEVICE,
        name="cp-1",
        owner="0x" + "11" * 20,
        enrolled_at=1,
        curve="secp256r1",
        key_x="0x1",
        key_y="0x2",
    )
    with store.write() as session:
        add_new(session, [row])
    yield store
    store.close()


def final(store: Store, *logs: tuple[str, dict]) -> tuple[str, int | None]:
    """Store these logs, one a block, and apply them; return status and compromise of the row."""
    for number, (name, args) in enumerate(logs, 1):
        log = DecodedLog(name, {"device": DEVICE, **args}, "0xaa", number, f"0xb{number}", 0)
        row = blocks.ChainLogRow(
            block_hash=log.block_hash,
            log_index=0,
            block_number=number,
            tx_hash="0xaa",
            name=name,
            args=json.dumps(log.args),
        )
        with store.write() as session:
            add_new(session, [row])
            finalise._HANDLERS[name](SimpleNamespace(), session, log, number)
    with store.read() as session:
        row = agreements.device(session, DEVICE)
        return row.status, row.compromised_since


STOLEN, UNDONE = ("CompromiseDeclared", {"since": 5}), ("CompromiseRuled", {"since": 0})


@pytest.mark.parametrize(
    ("before", "status"),
    [
        ([], "active"),
        ([("DeviceSuspended", {})], "suspended"),
        ([("DeviceSuspended", {}), ("DeviceResumed", {})], "active"),
        ([("DeviceRevoked", {})], "retired"),
    ],
)
def test_compromise_undone__by_a_ruling__the_device_is_what_it_was_before(store, before, status):
    assert final(store, *before, STOLEN, UNDONE) == (status, None)


def test_compromise_ruled__for_another_time__replaces_what_was_declared(store):
    assert final(store, STOLEN, ("CompromiseRuled", {"since": 9})) == ("compromised", 9)


def test_compromise_undone__then_suspended__is_suspended(store):
    assert final(store, STOLEN, UNDONE, ("DeviceSuspended", {})) == ("suspended", None)


def test_compromised__and_then_retired__stays_compromised(store):
    assert final(store, STOLEN, ("DeviceRevoked", {})) == ("compromised", 5)
