"""Effects on a real chain: written when a block is final, never before, and the same ones again."""

from __future__ import annotations

import atexit
import json
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from device_adapters.types import device_id
from orchestrator.commands.trace import tree
from orchestrator.core.audit import AuditStage, verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.core.effect import EffectRecord
from orchestrator.core.effect_delivery import TargetKind
from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import Store, all_rows, blocks, effects
from orchestrator.products import products
from orchestrator.rebuild import rebuild
from orchestrator.rebuild.effects import derived_effects
from orchestrator.rebuild.findings import Differences
from orchestrator.rebuild.history import read_history
from orchestrator.steps.finalise import finalise
from orchestrator.views.audit_bundle import export
from orchestrator.views.partner_trace import partner_trace
from orchestrator.views.trace import trace
from tests.support.deep_rail import FINALITY, DeepRail
from tests.support.effect_double import give_effects
from tests.support.small_rail import has_anvil

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
REGISTRAR, PAYEE = 4, 11
TRACE = {"about": None, "kind": "payment", "totals": {"asset": "tEUR/6"}}


@cache
def _started() -> DeepRail:
    rail = DeepRail(Path(tempfile.mkdtemp(prefix="effect-rail-")) / "home").start()
    atexit.register(rail.stop)
    return rail


@pytest.fixture
def rail(monkeypatch: pytest.MonkeyPatch) -> DeepRail:
    started = _started()
    give_effects(monkeypatch)
    return started


def rows(rail: DeepRail, name: str) -> list[effects.EffectRow]:
    with rail.store.read() as session:
        stored = effects.newest(session, None, rail.payment(name).payment_id, 10)
    return stored[::-1]


def all_of(rail: DeepRail) -> list[tuple[str, str]]:
    with rail.store.read() as session:
        return [(row.effect_id, row.message) for row in all_rows(session, effects.EffectRow)]


def numbers(rail: DeepRail) -> dict[str, tuple[str, int]]:
    with rail.store.read() as session:
        stored = all_rows(session, effects.UnlockNumberRow)
        return {row.effect_id: (row.device, row.number) for row in stored}


def from_chain(rail: DeepRail) -> list[EffectRecord]:
    """The outbox as final blocks alone make it."""
    with rail.store.read() as session:
        final = blocks.newest_final(session)
        history = read_history(rail.chain, session, final, Differences())
        return derived_effects(session, rail.chain.deployment, history, rail.rail.rules)


@pytest.mark.parametrize("fate", ["dropped", "included again"])
def test_effects__of_a_block_that_vanishes_below_finality__are_those_of_the_next_one(rail, fate):
    name = f"effect-{fate.replace(' ', '-')}"
    rail.join(name, 5_000)
    tx_hash = rail.settle_now(name, 3)
    assert rows(rail, name) == []  # seen, and not final
    before = len(all_of(rail))
    rail.reorganise(3, *([rail.raw(tx_hash)] if fate == "included again" else []))
    assert rows(rail, name) == [] and len(all_of(rail)) == before
    rail.until(name, "posted", 40)
    assert [row.name for row in rows(rail, name)] == ["visit", "unlock"]
    message = json.loads(rows(rail, name)[1].message)
    assert message["data"]["transaction"] == rail.payment(name).settlement_tx
    assert [number for _, number in map(numbers(rail).get, ids(rail, name)[1:])] == [1]
    rail.work(FINALITY)
    assert len(rows(rail, name)) == 2


def ids(rail: DeepRail, name: str) -> list[str]:
    return [row.effect_id for row in rows(rail, name)]


def test_rebuild__from_the_chain_alone__writes_the_same_rows(rail):
    for name in ("effect-a", "effect-b"):
        rail.join(name, 5_000)
        for number in (1, 2):
            rail.charge(name, "2")
            while rail.payment(name).sequence != number:
                rail.work(1)
            rail.until(name, "posted", 40)
    stored = all_of(rail)
    assert [(record.effect_id, record.message) for record in from_chain(rail)] == stored
    rebuilt = rebuild(rail.store, rail.chain)
    assert rebuilt.differences == [] and rebuilt.read["effects"] == len(stored) >= 8
    assert [number for _, number in numbers(rail).values()].count(2) == 2  # one a device


def test_finalise__after_the_outbox_was_lost__writes_the_same_rows_and_numbers(rail, tmp_path):
    """A restored backup makes blocks final again: receivers know every id."""
    rail.join("effect-restored", 5_000)
    rail.charge("effect-restored", "2")
    rail.until("effect-restored", "posted", 40)
    stored, known = all_of(rail), numbers(rail)
    again = emptied(rail, tmp_path / "copy.sqlite3")
    with again.write() as session:
        effects.add(session, from_chain(rail), 1)
        effects.add(session, from_chain(rail), 2)  # a second time changes nothing
    with again.read() as session:
        written = all_rows(session, effects.EffectRow)
        assert [(row.effect_id, row.message) for row in written] == stored
        again_known = all_rows(session, effects.UnlockNumberRow)
        assert {row.effect_id: (row.device, row.number) for row in again_known} == known
    again.close()


def test_effects__of_a_refunded_payment__are_followed_by_one_that_says_so(rail):
    rail.join("effect-refunded", 5_000, window_s=100_000)
    rail.mine(60_000)
    rail.charge("effect-refunded", "2")
    rail.until("effect-refunded", "settled", 40)
    rail.work(FINALITY + 2, 1)
    payment = rail.payment("effect-refunded")
    with rail.store.write() as session:
        effects.add_target(session, target("crm", "work_order"))
    refund(rail, "effect-refunded")
    stored = rows(rail, "effect-refunded")
    assert [row.name for row in stored] == ["visit", "unlock", "visit.refunded", "unlock.refunded"]
    data = json.loads(stored[2].message)["data"]
    assert data["refunds"] == stored[0].effect_id
    assert data["refunded_micro"] == payment.amount_micro
    assert stored[3].effect_id not in numbers(rail)  # no token for giving money back
    with rail.store.read() as session:
        queued = effects.deliveries_of(session, [row.effect_id for row in stored])
    assert list(queued) == [stored[2].effect_id]  # final after the target was added, of its kind
    assert rebuild(rail.store, rail.chain).differences == []


def test_rebuild__changed_outbox__is_named(rail, monkeypatch):
    rail.join("effect-changed", 5_000)
    rail.charge("effect-changed", "2")
    rail.until("effect-changed", "posted", 40)
    give_effects(monkeypatch, lambda terms, facts, payment: ())  # the chain would make none
    places = {difference.place for difference in rebuild(rail.store, rail.chain).differences}
    assert places == {"effect", "unlock number"}


def test_finalise__cut_off_before_its_commit__leaves_no_effect_and_makes_them_next_time(
    rail, monkeypatch
):
    rail.join("effect-cut", 5_000)
    rail.settle_now("effect-cut", 2)
    rail.mine()
    before = len(all_of(rail))
    with monkeypatch.context() as cut:
        cut.setattr("orchestrator.steps.finalise.blocks.mark_final", power_cut)
        for _ in range(FINALITY + 2):
            rail.mine()
            rail.see()
        with pytest.raises(KeyboardInterrupt):
            finalise(rail.rail)
    assert len(all_of(rail)) == before
    finalise(rail.rail)
    assert [row.name for row in rows(rail, "effect-cut")] == ["visit", "unlock"]


def power_cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_trace_and_bundle__of_a_final_payment__have_its_effects_and_no_digits(rail):
    name = "effect-shown"
    rail.join(name, 5_000)
    rail.charge(name, "2")
    rail.until(name, "posted", 40)
    payment = rail.payment(name).payment_id
    with rail.store.write() as session:
        effects.add_target(session, target("depot", "work_order"))
        effects.redeliver(session, ids(rail, name), 7)
    with rail.store.read() as session:
        life = trace(session, payment)["life"]
        bundle = export(session, payment, rail.chain.deployment).bundle
    with rail.store.write() as session:
        effects.remove_target(session, "depot")
    visit, unlock = life["effects"]
    assert [effect["effect_id"] for effect in life["effects"]] == ids(rail, name)
    assert (visit["token"], unlock["content"]["days"]) == (None, 1)
    assert unlock["token"] == {"device": name, "number": 1}
    assert "depot" in [delivery["target"] for delivery in visit["deliveries"]]
    text = printed(life)
    for part in ("effect visit: work_order", "depot: waits", f"token 1 of {name}", "unlock show"):
        assert part in text
    own = partner_trace({**TRACE, "life": life, "payments": [life]}, lambda device: True)["life"]
    assert [effect["deliveries"] for effect in own["effects"]] == [[], []]
    assert verify(bundle, products()).ok
    assert [effect["message"] for effect in bundle["effects"]] == [
        row.message for row in rows(rail, name)
    ]
    wrong = sealed({**bundle, "effects": bundle["effects"][:1]})
    assert verify(wrong, products()).failed.stage is AuditStage.EFFECTS


def printed(life: dict) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(tree(life))
    return console.export_text()


def target(name: str, kinds: str) -> effects.EffectTargetRow:
    way = TargetKind.FOLDER
    return effects.EffectTargetRow(name=name, way=way, place="/", kinds=kinds, added_at=0)


def refund(rail: DeepRail, name: str) -> None:
    """Its device's key was stolen: the warden disputes, and the payee gives in."""
    payment = rail.payment(name).payment_id
    since = rail.clock - 50_000
    rail.send(REGISTRAR, Call("DeviceRegistry", "declareCompromised", (device_id(name), since)))
    rail.work(2 * FINALITY + 6, 1)  # not `until`: it lets the dispute window pass
    assert rail.payment(name).stage == "disputed"
    rail.send(PAYEE, Call("Disputes", "concede", (payment,)))
    rail.work(FINALITY + 4, 1)
    assert rail.payment(name).stage == "refunded"


def emptied(rail: DeepRail, copy: Path) -> Store:
    """A copy of the store whose outbox was lost."""
    with closing(sqlite3.connect(rail.store.path)) as base, closing(sqlite3.connect(copy)) as new:
        base.backup(new)
        for table in ("effect", "unlocknumber"):
            new.execute(f"DROP TRIGGER {table}_no_delete")
            new.execute(f"DELETE FROM {table}")
        new.commit()
    return Store(copy)
