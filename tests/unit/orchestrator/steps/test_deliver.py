"""Delivery: at least once to each target, and no target or effect holds up another."""

from __future__ import annotations

import os
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.core.effect import Effect, EffectKind, EffectRecord, records_of
from orchestrator.core.effect_delivery import TargetKind
from orchestrator.edges.chain.keystore import write_private
from orchestrator.edges.store import Session, Store, effects
from orchestrator.edges.webhook.signing import new_secret
from orchestrator.settings import Settings
from orchestrator.steps.deliver import deliver_effects, secret_file
from tests.support.effect_double import PAYMENT, SCOPE
from tests.support.killed_forks import killed_at_each
from tests.support.rail_builder import context_of_stand_ins
from tests.support.webhook_receiver import WebhookReceiver

NOW = 1_760_000_000


class Outbox:
    """A rail with an outbox, and a clock."""

    def __init__(self, home: Path) -> None:
        self.home, self.clock = home, NOW
        self.settings = Settings(home=home)
        self.store = Store(self.settings.database)
        chain = SimpleNamespace(deployment=SimpleNamespace(chain_id=31337))
        self.context = context_of_stand_ins(
            self.settings, self.store, lambda: self.clock, chain=chain
        )

    def target(self, name: str, place: str, kinds: str = "", secret: str = "") -> None:
        way = TargetKind.WEBHOOK if place.startswith("http") else TargetKind.FOLDER
        if secret:
            write_private(secret_file(self.settings, name), secret.encode())
        row = effects.EffectTargetRow(name=name, way=way, place=place, kinds=kinds, added_at=NOW)
        with self.store.write() as session:
            effects.add_target(session, row)

    def add(self, *kinds: EffectKind) -> list[str]:
        with self.store.write() as session:
            records = records_for(*kinds)
            effects.add(session, records, self.clock)
        return [record.effect_id for record in records]

    def turn(self, seconds: int = 0) -> int:
        self.clock += seconds
        return deliver_effects(self.context)

    def state(self, name: str):
        with self.store.read() as session:
            return next(state for state in effects.states(session) if state.name == name)


def records_for(*kinds: EffectKind) -> list[EffectRecord]:
    wanted = [Effect(f"e{number}", kind, {"n": number}) for number, kind in enumerate(kinds)]
    return records_of(SCOPE, PAYMENT, wanted)


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox(tmp_path)
    yield outbox
    outbox.store.close()


@pytest.fixture
def receiver():
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


WORK, CASH, HOOK = EffectKind.WORK_ORDER, EffectKind.CASH_ORDER, EffectKind.WEBHOOK


def test_deliver__to_each_target__are_the_effects_of_its_kinds_in_order(outbox, receiver):
    secret, folder = new_secret(), outbox.home / "orders"
    folder.mkdir()
    outbox.target("crm", receiver.url, "", secret)
    outbox.target("depot", str(folder), "work_order,cash_order")
    ids = outbox.add(HOOK, WORK, CASH)
    assert outbox.turn() == 5 and outbox.turn() == 0
    assert receiver.ids() == ids and receiver.genuine(secret)
    assert {path.name.split("-")[0] for path in folder.iterdir()} == {"work_order", "cash_order"}


def test_target__that_does_not_answer__waits_longer_each_time_and_holds_up_no_other(
    outbox, receiver
):
    folder = outbox.home / "orders"
    outbox.target("crm", receiver.url, "", new_secret())
    outbox.target("depot", str(folder))
    receiver.status = 503
    outbox.add(WORK, CASH)
    assert outbox.turn() == 0 and len(receiver.got) == 1  # not the second one too
    folder.mkdir()
    assert outbox.turn(4) == 0 and len(receiver.got) == 1
    assert outbox.turn(1) == 2  # the folder takes both
    assert len(receiver.got) == 2 and outbox.turn(9) == 0 and len(receiver.got) == 2
    state = outbox.state("crm")
    assert (state.waiting, state.oldest_at, state.trouble) == (2, NOW, "it answered 503")
    receiver.status = 200
    assert outbox.turn(1) == 2 and outbox.state("crm").waiting == 0


def test_effect__that_its_target_refuses__waits_alone(outbox, receiver):
    outbox.target("crm", receiver.url, "", new_secret())
    receiver.status = 422
    outbox.add(WORK)
    assert outbox.turn() == 0
    receiver.status = 200
    with outbox.store.write() as session:
        later = records_of(SCOPE, PAYMENT, [Effect("later", WORK)])
        effects.add(session, later, outbox.clock)
    assert outbox.turn() == 1 and receiver.ids()[-1] == later[0].effect_id
    assert outbox.turn(5) == 1 and outbox.state("crm").waiting == 0


def test_target__without_its_secret__waits_and_halts_nothing(outbox, receiver):
    outbox.target("crm", receiver.url)
    outbox.add(WORK)
    assert outbox.turn() == 0 and receiver.got == []
    assert "cannot be read" in outbox.state("crm").trouble


def test_redeliver__a_delivered_effect__sends_the_same_bytes_again(outbox, receiver):
    outbox.target("crm", receiver.url, "", new_secret())
    [identity] = outbox.add(WORK)
    assert outbox.turn() == 1
    with outbox.store.write() as session:
        assert effects.redeliver(session, [identity], outbox.clock) == [(identity, "crm")]
    assert outbox.turn() == 1
    (_, first), (_, again) = receiver.got
    assert first == again


def test_target__added_later__gets_what_came_before_on_request_only(outbox, receiver):
    ids = outbox.add(WORK, CASH)
    with outbox.store.read() as session:
        assert effects.without_target(session) == (2, NOW)
    outbox.target("crm", receiver.url, "cash_order", new_secret())
    assert outbox.turn() == 0
    with outbox.store.write() as session:
        effects.redeliver(session, effects.all_ids(session), outbox.clock)
    assert outbox.turn() == 1 and receiver.ids() == ids[1:]
    with outbox.store.read() as session:
        assert effects.without_target(session)[0] == 1


def test_target__removed_while_effects_wait__gets_nothing_more(outbox, receiver):
    outbox.target("crm", receiver.url, "", new_secret())
    outbox.add(WORK)
    with outbox.store.write() as session:
        assert effects.remove_target(session, "crm")
    assert outbox.turn() == 0 and receiver.got == []


def test_effects__written_a_second_time__are_not_delivered_again(outbox, receiver):
    outbox.target("crm", receiver.url, "", new_secret())
    outbox.add(WORK)
    assert outbox.turn() == 1
    outbox.add(WORK)
    assert outbox.turn() == 0


def test_outbox__once_written__refuses_every_change(outbox):
    outbox.add(WORK)
    for change in ("UPDATE effect SET message = ''", "DELETE FROM effect"):
        with (
            pytest.raises(Exception, match="append-only"),
            outbox.store._engine.begin() as connection,
        ):
            connection.exec_driver_sql(change)


def test_deliver__killed_at_any_point__sends_each_at_least_once_and_repeats_by_id(outbox, receiver):
    """Real processes are killed before and after each commit, fsync, rename and answer."""
    folder = outbox.home / "orders"
    folder.mkdir()
    outbox.target("crm", receiver.url, "", new_secret())
    outbox.target("depot", str(folder))
    ids = outbox.add(WORK, CASH, HOOK)
    outbox.store.close()

    def work() -> None:
        own = Outbox(outbox.home)
        own.clock = outbox.clock
        deliver_effects(own.context)

    points = (Session, "commit"), (os, "fsync"), (os, "replace"), (HTTPConnection, "getresponse")
    killed = killed_at_each(work, points)
    assert killed > 10, f"only {killed} points were reached"
    assert len(list(folder.glob("*.json"))) == 3
    assert list(dict.fromkeys(receiver.ids())) == ids  # the first of each in order; repeats by id
    bodies = {headers["webhook-id"]: body for headers, body in receiver.got}
    assert all(bodies[headers["webhook-id"]] == body for headers, body in receiver.got)
    print(f"killed at {killed} points; the receiver got {len(receiver.got)} messages of 3 effects")
