"""What the stored row of a device says after rulings on its compromise are final."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from sqlmodel import select

from device_adapters.types import device_id
from orchestrator.edges.chain.client import DecodedLog
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.store import Store, add_new, agreements, blocks, payments
from orchestrator.steps import finalise

DEVICE = "0x" + device_id("cp-1").hex()
OLD, NEW = "0x" + "0a" * 20, "0x" + "0b" * 20  # registries
REGISTRIES = {"DeviceRegistry": NEW, "DeviceRegistry@0.5.0": OLD}
CONTEXT = SimpleNamespace(
    now=lambda: 99, chain=SimpleNamespace(deployment=Deployment(1, "", REGISTRIES, {}, True))
)


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
        by = args.pop("by", "")
        log = DecodedLog(name, {"device": DEVICE} | args, "0xaa", number, f"0xb{number}", 0, by)
        row = blocks.ChainLogRow(
            block_hash=log.block_hash,
            log_index=0,
            block_number=number,
            tx_hash="0xaa",
            name=name,
            args=json.dumps(log.args),
            address=log.address,
        )
        with store.write() as session:
            add_new(session, [row])
            if name in finalise._HANDLERS:
                finalise._HANDLERS[name](CONTEXT, session, log, number)
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


def _payments(store: Store, device: str, *stages: tuple[str, str]) -> None:
    """Store payments of one agreement of a device: (stage, reason) of each."""
    agreement = agreements.AgreementRow(
        agreement_id="0xa" + device[-4:],
        device="cp",
        device_id=device,
        product="metered_energy",
        product_address="0x0",
        payer="0x1",
        payee="0x2",
        cap_micro=1,
        period_days=1,
        window_s=1,
        expiry=99,
        first_counter=1,
        required_domain=0,
        salt="0x0",
        signature="0x",
        reference=device[-4:],
        terms="0x",
        opened_at=1,
    )
    rows = [
        payments.PaymentRow(
            payment_id=f"0x{device[-4:]}{number}",
            agreement_id=agreement.agreement_id,
            sequence=number,
            stage=stage,
            next_step=None,
            reason=reason,
            first_counter=1,
            last_counter=1,
            created_at=0,
        )
        for number, (stage, reason) in enumerate(stages)
    ]
    with store.write() as session:
        add_new(session, [agreement])
        add_new(session, rows)


def _stages(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as session:
        rows = session.exec(select(payments.PaymentRow).order_by(payments.PaymentRow.payment_id))
        return [(row.stage, row.next_step) for row in rows]


REFUSED = (
    ("rejected", "device_compromised"),
    ("rejected", "register_backwards"),
    ("refused", "product_10"),
    ("refused", "sequence_unexpected"),
    ("reconciled", "device_compromised"),
)


def test_attack__payments_refused_for_a_false_compromise__are_tried_again_after_the_ruling(store):
    """Else an owner leaves honest payees unpaid for ever, although the committee undid it."""
    _payments(store, DEVICE, *REFUSED)
    final(store, STOLEN, UNDONE)
    assert _stages(store) == [
        ("received", "verify"),
        ("rejected", None),
        ("verified", "attest"),
        ("refused", None),
        ("reconciled", None),
    ]


def test_ruling__on_a_gateway__reinstates_what_its_meters_were_refused_and_no_others(store):
    meter, stranger = ("0x" + device_id(name).hex() for name in ("meter", "stranger"))
    _payments(store, meter, ("refused", "product_10"))
    _payments(store, stranger, ("refused", "product_10"))
    assigned = ("GatewayAssigned", {"device": meter, "gateway": DEVICE})
    final(store, assigned, STOLEN, UNDONE)
    assert sorted(_stages(store)) == [("refused", None), ("verified", "attest")]


def test_compromised__and_then_retired__stays_compromised(store):
    assert final(store, STOLEN, ("DeviceRevoked", {})) == ("compromised", 5)


@pytest.mark.parametrize(
    ("logs", "status"),
    [
        ([("DeviceSuspended", {"by": OLD})], "suspended"),
        ([("DeviceAdopted", {"by": NEW}), ("DeviceSuspended", {"by": OLD})], "active"),
        ([("DeviceAdopted", {"by": NEW}), ("DeviceRevoked", {"by": NEW})], "retired"),
        ([("DeviceSuspended", {}), ("DeviceAdopted", {"by": NEW})], "suspended"),
    ],
    ids=["before", "former registry after it", "new registry after it", "stored before the move"],
)
def test_adopted__only_what_the_new_registry_says_counts_from_then_on(store, logs, status):
    assert final(store, *[(name, dict(args)) for name, args in logs]) == (status, None)
