"""The stack's home: never a foreign folder; private keys; only its own processes are stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from device_adapters.types import Curve, DeviceKey, Rejected
from orchestrator.core.endorsement import read
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.keystore import LOCAL_CHAIN
from orchestrator.errors import Halt
from orchestrator.home_lock import hold
from orchestrator.operations.trust import DevelopmentCa, check_endorsement, trusted_roots
from orchestrator.settings import Settings
from scripts.stack import ORACLES, Stack
from services import processes

P256_GENERATOR = (  # any point of the curve will do (SEC 2, 2.4.2)
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def test_prepare__folder_that_holds_something_else__is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Halt, match="is not the home of a demonstration"):
        Stack(tmp_path, 0).prepare()
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_prepare__home_of_an_earlier_demonstration__is_emptied(tmp_path):
    home = tmp_path / "home"
    Stack(home, 0).prepare()
    (home / "proofrail.sqlite3").write_text("old")
    Stack(home, 0).prepare()
    assert not (home / "proofrail.sqlite3").exists() and (home / "keys").exists()


def test_prepare__home_of_a_rail__is_refused_and_left_alone(tmp_path):
    """The file rail.json, which marked what 0.4.0 deleted, is in the home of every rail."""
    for name in ("rail.json", "proofrail.toml", "proofrail.sqlite3"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(Halt, match="Nothing was deleted"):
        Stack(tmp_path, 0).prepare()
    assert len(list(tmp_path.iterdir())) == 3


def test_prepare__demonstration_that_runs__is_refused_and_left_alone(tmp_path):
    Stack(tmp_path, 0).prepare()
    with hold(tmp_path / "rail.lock"), pytest.raises(Halt, match=f"Process {os.getpid()} works"):
        Stack(tmp_path, 0).prepare()
    assert (tmp_path / "keys").exists()


def test_prepare__keys__are_private_and_the_rail_holds_no_oracle_key(tmp_path):
    stack = Stack(tmp_path / "home", 0)
    stack.prepare()
    keys = stack.settings.keys
    assert {path.stat().st_mode & 0o077 for path in keys.iterdir() if path.is_file()} == {0}
    held = {keystore.load(keys, name).address for name in keystore.names(keys)}
    oracles = {keystore.development_account(5 + n).address for n in range(len(ORACLES))}
    assert not held & oracles  # without their keys the rail cannot forge an attestation


def test_prepare__built_in_ca__endorses_devices_of_this_home_only(tmp_path):
    key = DeviceKey(Curve.SECP256R1, *P256_GENERATOR)
    for name in ("one", "other"):
        Stack(tmp_path / name, 0).prepare()
    first, other = (Settings(home=tmp_path / name) for name in ("one", "other"))
    chain, now = DevelopmentCa.load(first).issue("cp-1", key), int(time.time())
    assert check_endorsement(first, LOCAL_CHAIN, chain, "cp-1", key, now).device == "cp-1"
    with pytest.raises(Rejected, match="endorsement_root_unknown"):
        check_endorsement(other, LOCAL_CHAIN, chain, "cp-1", key, now)
    with pytest.raises(Halt, match="trusts a development CA"):
        check_endorsement(first, 1, chain, "cp-1", key, now)


def test_development_ca__same_device_and_key__is_the_same_certificate(tmp_path):
    key = DeviceKey(Curve.SECP256R1, *P256_GENERATOR)
    Stack(tmp_path / "home", 0).prepare()
    ca = DevelopmentCa.load(Settings(home=tmp_path / "home"))
    first, same, other, brief = (
        ca.issue("cp-1", key),
        ca.issue("cp-1", key),
        ca.issue("cp-2", key),
        ca.issue("cp-1", key, 2_000_000_000),
    )
    assert first == same
    assert len({read(chain)[0].serial_number for chain in (first, other, brief)}) == 3


def test_development_ca__missing_readable_by_others_or_broken__is_a_halt(tmp_path):
    settings = Settings(home=tmp_path / "home")
    with pytest.raises(Halt, match="--endorsement"):
        DevelopmentCa.load(settings)
    DevelopmentCa.make(settings, int(time.time()))
    file = settings.keys / "device-ca.pem"
    file.chmod(0o644)
    with pytest.raises(Halt, match="chmod 600"):
        DevelopmentCa.load(settings)
    keystore.write_private(file, b"nothing")
    with pytest.raises(Halt, match="cannot be read"):
        DevelopmentCa.load(settings)
    (settings.trust / "junk.pem").write_bytes(b"junk")
    with pytest.raises(Halt, match="has no usable roots"):
        trusted_roots(settings, LOCAL_CHAIN)


def test_stop__by_process_id__ends_only_what_it_started(tmp_path):
    own, other = (multiprocessing.get_context("spawn").Process(target=_sleep) for _ in range(2))
    for process in (own, other):
        process.start()
    stack = Stack(tmp_path / "home", 0, processes={"own": own})
    stack.stop("own")
    stack.stop("own")
    stack.stop("unknown")
    assert own.exitcode == -signal.SIGTERM and other.exitcode is None
    other.kill()
    other.join()


def _sleep() -> None:
    time.sleep(60)


def test_start__program_that_fails__reports_the_end_of_its_log(tmp_path):
    stack = Stack(tmp_path / "home", 0, patience_s=120)
    stack.prepare()
    stack._spawn(processes.broker_process(stack.settings, "--no-such-flag"))
    with pytest.raises(Halt, match=r"broker did not start \(exit 2\).*unrecognized arguments"):
        stack._wait_ready("broker")
