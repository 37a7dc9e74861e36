"""One token for each final payment on a real chain: the same digits after anything, no second."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_adapters.types import device_id
from orchestrator import cli
from orchestrator.core.effect import Effect, EffectKind, FinalPayment
from orchestrator.core.effect_delivery import TargetKind
from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.client import Chain
from orchestrator.edges.chain.keystore import write_private
from orchestrator.edges.store import Session, Store, all_rows, effects
from orchestrator.edges.unlock.keys import UnlockKeys
from orchestrator.edges.webhook.client import WebhookTarget
from orchestrator.edges.webhook.signing import new_secret
from orchestrator.steps.deliver import deliver_effects, secret_file
from orchestrator.steps.finalise import finalise
from tests.support.deep_rail import FINALITY, DeepRail
from tests.support.effect_double import give_effects
from tests.support.killed_forks import killed_at_each
from tests.support.locked_device import LockedDevice
from tests.support.small_rail import has_anvil
from tests.support.webhook_receiver import WebhookReceiver

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
KEY = "bc41ec9530f6dac86b1a29ab82edc5fb"
START = 5


@cache
def _started() -> DeepRail:
    rail = DeepRail(Path(tempfile.mkdtemp(prefix="unlock-rail-")) / "home").start()
    atexit.register(rail.stop)
    return rail


@pytest.fixture
def rail(monkeypatch):
    """A payment of a meter named PUMP/n gives the locked device PUMP a token of seven days."""
    started = _started()
    locks: dict[str, str] = {}  # id of the agreement's device: id of the locked device

    def ask(terms: bytes, facts: bytes, payment: FinalPayment) -> tuple[Effect, ...]:
        locked = started.locks.get(payment.device)
        content = {"device": locked, "mode": "add_time", "days": 7}
        return (Effect("unlock", EffectKind.UNLOCK_TOKEN, content),) if locked else ()

    started.locks = locks
    give_effects(monkeypatch, ask)
    return started


def meter(rail: DeepRail, pump: str, number: int = 1) -> str:
    """An agreement for a locked device; the next number is the one that follows it."""
    name = f"{pump}-{number}"
    rail.locks["0x" + device_id(name).hex()] = "0x" + device_id(pump).hex()
    rail.join(name, 5_000)
    return name


def key(rail: DeepRail, pump: str) -> LockedDevice:
    UnlockKeys(rail.settings.unlock_keys).add(pump, KEY, START, None)
    return LockedDevice(KEY, START)


def paid(rail: DeepRail, name: str, number: int = 1) -> str:
    """A further payment that is final; returns its id."""
    rail.charge(name, "2")
    while rail.payment(name).sequence != number:
        rail.work(1)
    rail.until(name, "posted", 40)
    return rail.payment(name).payment_id


def shown(rail: DeepRail, payment: str) -> list[dict]:
    words = ["--home", str(rail.home), "unlock", "show", payment, "--json"]
    done = CliRunner().invoke(cli.app, words)
    return json.loads(done.stdout)["tokens"] if done.exit_code == 0 else []


def digits(rail: DeepRail, payment: str) -> str:
    [token] = shown(rail, payment)
    return token["digits"]


def test_token__of_a_payment__is_shown_from_finality_on_and_always_the_same(rail):
    name, device = meter(rail, "pump-a"), key(rail, "pump-a")
    rail.settle_now(name, 2)
    payment = rail.payment(name).payment_id
    assert shown(rail, payment) == []  # in a block that may vanish
    rail.reorganise(2)
    assert shown(rail, payment) == []
    rail.until(name, "posted", 40)
    first = digits(rail, payment)
    rail.work(FINALITY)
    assert digits(rail, payment) == first
    assert device.enter(first) == "add_time"
    assert device.enter(digits(rail, payment)) in ("used", "invalid")
    assert device.days == 7


def test_tokens__of_renewed_agreements__go_on_with_the_devices_own_count(rail):
    device = key(rail, "pump-b")
    payments = []
    for number in (1, 2):
        name = meter(rail, "pump-b", number)
        payments += [paid(rail, name, sequence) for sequence in (1, 2)]
    tokens = [token for payment in payments for token in shown(rail, payment)]
    assert [token["number"] for token in tokens] == [1, 2, 3, 4]
    assert [token["count"] for token in tokens] == [8, 10, 12, 14]
    assert [device.enter(token["digits"]) for token in tokens] == ["add_time"] * 4
    assert [device.enter(token["digits"]) for token in tokens] == ["used"] * 4
    assert device.days == 4 * 7  # days sold = days unlocked


def test_tokens__when_blocks_vanish_and_payments_change_places__are_one_each(rail):
    """Two payments of one device are in vanished blocks; what is final decides about the order."""
    device = key(rail, "pump-c")
    names = [meter(rail, "pump-c", number) for number in (1, 2)]
    hashes = [rail.settle_now(names[0], 1), rail.settle_now(names[1], 1)]
    depth = 3
    rail.reorganise(depth, rail.raw(hashes[1]))  # the second one comes first now, or alone
    for name in names:
        rail.until(name, "posted", 60)
    tokens = [shown(rail, rail.payment(name).payment_id)[0] for name in names]
    assert sorted(token["number"] for token in tokens) == [1, 2]
    tokens.sort(key=lambda token: token["number"])
    assert [device.enter(token["digits"]) for token in tokens] == ["add_time"] * 2
    assert device.days == 14


def test_token__of_a_device_whose_key_is_not_here__waits_for_it(rail):
    name = meter(rail, "pump-d")
    folder = rail.home / "tokens-d"
    folder.mkdir()
    target(rail, "folder-d", TargetKind.FOLDER, str(folder))
    payment = paid(rail, name)
    assert shown(rail, payment) == [] and list(folder.iterdir()) == []
    key(rail, "pump-d")
    rail.work(4, 60)
    [file] = folder.iterdir()
    token = json.loads(file.read_text())["data"]["token"]
    assert token == {"digits": digits(rail, payment), "count": START + 3}
    remove(rail, "folder-d")


def test_token__killed_at_any_point_from_finality_to_delivery__is_the_same_and_the_only_one(
    rail, receiver_of_tokens
):
    name, device = meter(rail, "pump-e"), key(rail, "pump-e")
    receiver, folder = receiver_of_tokens, rail.home / "tokens-e"
    folder.mkdir()
    target(rail, "hook-e", TargetKind.WEBHOOK, receiver.url)
    target(rail, "folder-e", TargetKind.FOLDER, str(folder))
    rail.settle_now(name, 1)
    for _ in range(FINALITY + 1):
        rail.mine()
    rail.see()
    payment = rail.payment(name).payment_id
    assert shown(rail, payment) == []

    def work() -> None:
        store = Store(rail.store.path)
        chain = Chain(rail.testnet.url, rail.chain.deployment, load_artifacts())
        context = replace(rail.rail, store=store, chain=chain)
        finalise(context)
        deliver_effects(context)

    points = (
        (Session, "commit"),
        (WebhookTarget, "deliver"),
        (os, "fsync"),
        (os, "replace"),
    )
    killed = killed_at_each(work, points)
    assert killed > 8, f"only {killed} points were reached"
    [file] = folder.glob("*.json")
    contents = [file.read_bytes(), *(body for _, body in receiver.got)]
    given = {json.loads(content)["data"]["token"]["digits"] for content in contents}
    assert given == {digits(rail, payment)} and len(set(receiver.ids())) == 1
    assert [device.enter(each) for each in given] == ["add_time"]
    assert device.enter(given.pop()) in ("used", "invalid") and device.days == 7
    print(f"killed at {killed} points; {len(receiver.got)} webhooks, all of one id and one token")
    for added in ("hook-e", "folder-e"):
        remove(rail, added)


def test_keys_and_digits__after_all_of_this__are_in_no_database_and_no_log(rail):
    name, _ = meter(rail, "pump-f"), key(rail, "pump-f")
    token = digits(rail, paid(rail, name))
    with rail.store.read() as session:
        stored = [row.message for row in all_rows(session, effects.EffectRow)]
    assert stored and not any(token in message for message in stored)
    content = rail.store.path.read_bytes() + (rail.home / "log").read_bytes()
    assert KEY.encode() not in content and bytes.fromhex(KEY) not in content


def target(rail: DeepRail, name: str, way: TargetKind, place: str) -> None:
    row = effects.EffectTargetRow(name=name, way=way, place=place, kinds="", added_at=0)
    with rail.store.write() as session:
        effects.add_target(session, row)


def remove(rail: DeepRail, name: str) -> None:
    with rail.store.write() as session:
        assert effects.remove_target(session, name)


@pytest.fixture
def receiver_of_tokens(rail):
    receiver = WebhookReceiver()
    write_private(secret_file(rail.settings, "hook-e"), new_secret().encode())
    yield receiver
    receiver.close()
