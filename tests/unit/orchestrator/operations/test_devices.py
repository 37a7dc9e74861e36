"""A device's life in the registry, on a real chain: endorsed, given new keys, stopped, stolen."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3

from device_adapters.types import Curve, DeviceKey, device_id
from orchestrator.core.identity import enrolment_digest, rotation_digest
from orchestrator.edges.chain.client import Call
from orchestrator.edges.chain.sender import ChainCall
from orchestrator.errors import Halt, Retry
from orchestrator.operations.agreements import AgreementOps, Enrolment, Rotation
from tests.support.real_chain import has_anvil
from tests.support.registry_ops import (
    ACTIVE,
    COMPROMISED,
    DAY,
    EXPIRED,
    OWNER,
    REVOKED,
    SUSPENDED,
    RegistryOps,
)

needs_anvil = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
HOUR = 3_600
ADDRESSES = st.binary(min_size=20, max_size=20).map(Web3.to_checksum_address)


@pytest.fixture
def registry(tmp_path):
    operations = RegistryOps(tmp_path)
    yield operations
    operations.store.close()


@given(
    ADDRESSES,
    st.text(max_size=40),
    st.integers(1, 2**64),
    st.integers(0, 2**40 - 1),
    st.integers(1, 2**32),
    st.sampled_from([Curve.SECP256R1, Curve.SECP256K1]),
)
def test_rotation_digest__any_key__is_the_abi_encoding_that_the_contract_hashes(
    registry, name, chain_id, expires_at, keys, curve
):
    key = DeviceKey(curve, 7, 2**255)
    kinds = [
        "string",
        "uint256",
        "address",
        "bytes32",
        "uint8",
        "uint256",
        "uint256",
        "uint40",
        "uint256",
    ]
    values = [
        "proofrail/rotate/v1",
        chain_id,
        registry,
        device_id(name),
        0 if curve is Curve.SECP256R1 else 1,
        key.x,
        key.y,
        expires_at,
        keys,
    ]
    wanted = hashlib.sha256(encode(kinds, values)).digest()
    assert rotation_digest(chain_id, registry, name, key, expires_at, keys) == wanted


@needs_anvil
def test_enrol__endorsed__carries_its_hash_and_its_expiry_to_the_chain_and_the_store(registry):
    device = registry.enrolled("ops-life", days=30)
    row, now = registry.row("ops-life"), registry.chain.now()
    [log] = [
        log
        for log in registry.chain.logs("DeviceRegistry", "DeviceEnrolled")
        if log["device"] == row.device_id
    ]
    assert (log["endorsement"], log["expiresAt"]) == ("0x" + row.endorsement, row.expires_at)
    assert row.expires_at > now
    assert registry.key_at("ops-life", now) == (ACTIVE, device.public.x)
    assert registry.key_at("ops-life", row.expires_at - 1)[0] == ACTIVE
    assert registry.key_at("ops-life", row.expires_at)[0] == EXPIRED


@needs_anvil
def test_enrol__endorsement_of_another_device_or_key__is_halted_before_anything_is_sent(registry):
    device, other = registry.device("ops-2"), registry.device("life-2-other")
    r, s = device.sign_digest(enrolment_digest(*registry.at, "ops-2", OWNER))
    before = registry.sent()
    for name, key in (("life-2-other", device.public), ("ops-2", other.public)):
        endorsement = registry.endorsed(name, key, 30)
        with pytest.raises(Halt, match="another name or key"):
            registry.ops.enrol([Enrolment("ops-2", device.public, OWNER, r, s, endorsement)])
    assert registry.sent() == before and registry.row("ops-2") is None


@needs_anvil
def test_enrol__no_endorsement_on_another_chain__halts(registry):
    device = registry.device("desk-3")
    client = registry.chain.at(registry.chain.client.url)
    client.deployment = replace(registry.chain.deployment, chain_id=1)
    senders = {role: registry.chain.sender(registry.store, 12, client) for role in registry.senders}
    agreement_ops = AgreementOps(senders, registry.chain.now, lambda: None)
    before = registry.sent()
    with pytest.raises(Halt, match="has no endorsement"):
        agreement_ops.enrol([Enrolment("ops-3", device.public, OWNER, 1, 1)])
    with pytest.raises(Halt, match="has no endorsement"):
        agreement_ops.rotate(Rotation("ops-3", device.public, (1, 1), (1, 1)))
    assert registry.sent() == before


@needs_anvil
def test_enrol__another_key_under_a_name_that_is_taken__is_halted(registry):
    registry.enrolled("ops-4")
    other = registry.device("life-4-other")
    r, s = other.sign_digest(enrolment_digest(*registry.at, "ops-4", OWNER))
    with pytest.raises(Halt, match="another key"):
        registry.ops.enrol([Enrolment("ops-4", other.public, OWNER, r, s)])


@needs_anvil
def test_rotate__signed_by_old_and_new__holds_from_then_on_and_twice_is_once(registry):
    old, new = registry.enrolled("ops-5"), registry.device("life-5-new")
    before = registry.between()
    endorsement = registry.endorsed("ops-5", new.public, 60)
    rotation = registry.rotation(old, new, endorsement)
    registry.ops.rotate(rotation)
    sent = registry.sent()
    registry.ops.rotate(rotation)
    assert registry.sent() == sent
    assert registry.key_at("ops-5", before) == (ACTIVE, old.public.x)
    assert registry.key_at("ops-5", registry.chain.now()) == (ACTIVE, new.public.x)
    row = registry.row("ops-5")
    assert (row.key_x, row.endorsement, row.expires_at) == (
        hex(new.public.x),
        endorsement.sha256.hex(),
        endorsement.expires_at,
    )


@needs_anvil
def test_rotate__back_to_a_key_it_had__is_refused(registry):
    old, new = registry.enrolled("ops-6"), registry.device("life-6-new")
    registry.ops.rotate(registry.rotation(old, new))
    new.name = "ops-6"
    registry.chain.later(HOUR)
    with pytest.raises(Retry, match="KeyTaken"):
        registry.ops.rotate(registry.rotation(new, old))


@needs_anvil
def test_rotate__within_the_hour__halts_with_the_time_and_sends_nothing(registry):
    keys = [registry.enrolled("ops-17"), *map(registry.device, ("life-17-1", "life-17-2"))]
    for key in keys:
        key.name = "ops-17"
    registry.ops.rotate(registry.rotation(keys[0], keys[1]))
    turned, sent = registry.chain.now(), registry.sent()
    next_at = datetime.fromtimestamp(turned + HOUR, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    rotation = registry.rotation(keys[1], keys[2])
    with pytest.raises(Halt, match=f"replaced from {next_at} on"):
        registry.ops.rotate(rotation)
    assert registry.sent() == sent
    registry.chain.later(HOUR)
    registry.ops.rotate(rotation)
    assert registry.ops.key_of("ops-17") == (keys[2].public.x, keys[2].public.y)


@needs_anvil
@pytest.mark.parametrize("signer", ["stranger", "new"])
def test_rotate__not_signed_by_the_old_key__is_refused_by_the_contract(registry, signer):
    name = f"life-7-{signer}"
    old, new, thief = (
        registry.enrolled(name),
        registry.device(name + "-new"),
        registry.device(name + "-thief"),
    )
    forged = registry.rotation(old, new)
    wrong = {"stranger": thief, "new": new}[signer]
    wrong.name = name
    forged = replace(forged, by_old=registry.rotation(wrong, new).by_old)
    before = registry.sent()
    with pytest.raises(Retry, match="RotationUnsigned"):
        registry.ops.rotate(forged)
    assert registry.sent() == before
    assert registry.row(name).key_x == hex(old.public.x)


@needs_anvil
@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"expires_at": 5},
        {"keys_so_far": 0},
        {"keys_so_far": 2},
    ],
)
def test_rotate__signatures_over_anything_else__are_refused_by_the_contract(registry, change):
    name = "life-8-" + "-".join(map(str, *change.items()))
    old, new = registry.enrolled(name), registry.device(name + "-new")
    with pytest.raises(Retry, match="RotationUnsigned"):
        registry.ops.rotate(registry.rotation(old, new, **change))


@needs_anvil
def test_rotate__new_key_does_not_sign__is_refused_by_the_contract(registry):
    old, new, other = (
        registry.enrolled("ops-9"),
        *map(registry.device, ("life-9-new", "life-9-other")),
    )
    forged = replace(registry.rotation(old, new), by_new=registry.rotation(old, other).by_new)
    with pytest.raises(Retry, match="PossessionUnproven"):
        registry.ops.rotate(forged)


@needs_anvil
def test_rotate__expired_key__still_names_its_successor_and_the_gap_stays(registry):
    old, new = registry.enrolled("ops-10", days=1), registry.device("life-10-new")
    gap = registry.chain.later(2 * DAY) - 5
    assert registry.ops.status("ops-10") == "expired"
    registry.ops.rotate(registry.rotation(old, new))
    assert registry.ops.status("ops-10") == "active"
    assert registry.key_at("ops-10", gap) == (EXPIRED, old.public.x)


@needs_anvil
@pytest.mark.parametrize("end", ["suspend", "retire", "compromise"])
def test_rotate__device_that_was_stopped__is_refused(registry, end):
    name = f"life-11-{end}"
    old, new = registry.enrolled(name), registry.device(name + "-new")
    if end == "compromise":
        registry.ops.declare_compromised(name, registry.chain.now())
    else:
        getattr(registry.ops, end)(name)
    with pytest.raises(Retry, match="DeviceInStatus"):
        registry.ops.rotate(registry.rotation(old, new))


@needs_anvil
@pytest.mark.parametrize("by", ["registrar", "warden"])
def test_suspend__and_resume__hold_for_their_time_only_and_repeat(registry, by):
    name = f"life-12-{by}"
    registry.enrolled(name)
    for _ in range(2):  # a device may be suspended again
        before = registry.between()
        registry.ops.suspend(name, by)
        sent = registry.sent()
        registry.ops.suspend(name, by)
        assert registry.sent() == sent
        assert registry.row(name).status == "suspended"
        during = registry.between()
        registry.ops.resume(name)
        sent = registry.sent()
        registry.ops.resume(name)
        assert registry.sent() == sent
        assert [registry.key_at(name, t)[0] for t in (before, during, registry.chain.now())] == [
            ACTIVE,
            SUSPENDED,
            ACTIVE,
        ]


@needs_anvil
def test_warden__every_call_but_suspend__is_refused(registry):
    registry.enrolled("ops-13")
    thief = AgreementOps(
        dict.fromkeys(registry.senders, registry.senders["warden"]),
        registry.chain.now,
        lambda: None,
    )
    with pytest.raises(Retry, match="NotInCharge"):
        thief.retire("ops-13")
    with pytest.raises(Retry, match="NotInCharge"):
        thief.declare_compromised("ops-13", registry.chain.now())
    registry.ops.suspend("ops-13")
    with pytest.raises(Retry, match="NotInRole"):
        thief.resume("ops-13")
    assert registry.row("ops-13").status == "suspended"


@needs_anvil
def test_retire__for_ever__what_came_before_stands_and_nothing_follows(registry):
    device = registry.enrolled("ops-14")
    before = registry.between()
    registry.ops.retire("ops-14")
    assert registry.key_at("ops-14", before) == (ACTIVE, device.public.x)
    assert registry.key_at("ops-14", registry.chain.now())[0] == REVOKED
    with pytest.raises(Halt, match="is retired, not suspended"):
        registry.ops.resume("ops-14")
    assert registry.row("ops-14").status == "retired"


@needs_anvil
def test_declare_compromised__dated_back__reaches_back_and_never_forward(registry):
    registry.enrolled("ops-15")
    times = [registry.chain.later(100) for _ in range(3)]
    assert registry.ops.declare_compromised("ops-15", times[1]) == times[1]
    assert [registry.key_at("ops-15", t)[0] for t in times] == [ACTIVE, COMPROMISED, COMPROMISED]
    sent = registry.sent()
    assert registry.ops.declare_compromised("ops-15", times[2]) == times[1]
    assert registry.sent() == sent
    assert registry.ops.declare_compromised("ops-15", times[0]) == times[0]
    assert registry.key_at("ops-15", times[0])[0] == COMPROMISED
    assert registry.key_at("ops-15", times[0] - 1)[0] == ACTIVE
    row = registry.row("ops-15")
    assert (row.status, row.compromised_since) == ("compromised", times[0])


@needs_anvil
def test_attack__declare_compromised_since_1970__halts_and_says_that_a_ruling_is_needed(registry):
    """On 0.3.0 this made everything worthless that the device had signed, and nothing undid it."""
    registry.enrolled("ops-18")
    now, sent = registry.chain.now(), registry.sent()
    with pytest.raises(Halt, match="ask the oracles for a ruling"):
        registry.ops.declare_compromised("ops-18", 1)
    assert registry.sent() == sent
    assert registry.row("ops-18").status == "active"
    assert abs(registry.ops.declarable_from("ops-18") - (now - 7 * DAY)) < HOUR


@needs_anvil
def test_declare_compromised__in_the_future__is_refused_by_the_contract(registry):
    registry.enrolled("ops-16")
    with pytest.raises(Retry, match="CompromiseDateInvalid"):
        registry.ops.declare_compromised("ops-16", registry.chain.now() + 1_000)
    assert registry.row("ops-16").status == "active"


@needs_anvil
def test_freeze__a_dispute_that_the_contract_refuses__is_returned_and_stops_no_other(registry):
    disputes = [
        ChainCall(
            "dispute",
            f"0x0{n}",
            Call(
                "Disputes",
                "dispute",
                (
                    bytes(32),
                    1,
                    (bytes(32), bytes(32), OWNER, 1, 0, 9),
                    bytes(32),
                    [],
                ),
            ),
        )
        for n in range(2)
    ]
    refused = registry.ops.dispute(disputes)
    assert list(refused) == ["0x00", "0x01"]
    assert all("would revert" in why for why in refused.values())
