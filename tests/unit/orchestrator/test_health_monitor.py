"""The monitor asks everything at once with a limit, and its result is never older than it says."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import structlog

from orchestrator.core.committee import Committee
from orchestrator.core.effect import Effect, EffectKind, records_of
from orchestrator.core.effect_delivery import DELIVERED
from orchestrator.core.health import STALE_S, ChainState, OracleState
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.store import Store, add_all, effects, tables
from orchestrator.errors import Retry
from orchestrator.halts import StandingHalt
from orchestrator.health_monitor import HealthMonitor, WatchedParts
from orchestrator.home_lock import hold
from orchestrator.settings import Settings
from orchestrator.status_file import LOCK_FILE, STATUS_FILE, read_nodes, read_status
from orchestrator.worker import StepWait
from tests.support.effect_double import PAYMENT, SCOPE
from tests.support.rail_builder import context_of_stand_ins

NOW = 1_790_000_000  # a Monday, 14:13 UTC
IBAN = "DE89370400440532013000"


@dataclass
class WatchedOracleStandIn:
    """An oracle that answers its probe as the test wants."""

    name: str
    domain: int
    error: str = ""

    @property
    def address(self) -> str:
        return f"0x{self.domain:040x}"

    def probe(self) -> OracleState:
        return OracleState(self.name, self.domain, self.error)


@dataclass
class WatchedRail:
    """A monitor over stand-ins: node, oracles, broker, worker and clocks are set by the test."""

    home: object
    node: ChainState = field(default_factory=lambda: ChainState(number=5, block_time=NOW))
    now: float = NOW
    monotonic: float = 1_000
    paused_until: int = 0
    broker: str = ""
    halts: list = field(default_factory=list)
    waits: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)

    def start(self, monkeypatch) -> WatchedRail:
        monkeypatch.setattr("orchestrator.health_monitor.probe_node", lambda *_: self.node)
        usage = SimpleNamespace(free=50 << 30, total=100 << 30)
        monkeypatch.setattr("orchestrator.health_monitor.shutil.disk_usage", lambda _: usage)
        settings = Settings(home=self.home, **self.settings)
        for folder in (settings.to_bank, settings.from_bank):
            folder.mkdir(parents=True)
        self.store = Store(settings.database)
        self.oracles = [WatchedOracleStandIn(f"o{n}", n) for n in range(1, 5)]
        members = {oracle.address: oracle.domain for oracle in self.oracles}
        self.committee = Committee(members, 4, 2)
        self.context = context_of_stand_ins(
            settings,
            self.store,
            lambda: int(self.now),
            chain=SimpleNamespace(
                urls=("http://node",),
                deployment=None,
                view=lambda *_: (self.paused_until, 0),
                knows=lambda *asked: asked == ("PaymentRail", "pauses"),
            ),
            oracles=self.oracles,
            committee=lambda: self.committee,
            bank=Folder(settings.to_bank, settings.from_bank),
            safeguarding={"iban": IBAN},
            log=structlog.wrap_logger(structlog.ReturnLogger()),
        )
        self.monitor = HealthMonitor(
            self.context,
            SimpleNamespace(
                standing_halts=self.halts, waits=self.waits, busy=lambda: ("settle", 1.5)
            ),
            WatchedParts(
                lambda: self.broker, clock=lambda: self.now, monotonic=lambda: self.monotonic
            ),
        )
        return self

    def names(self) -> list[str]:
        return [problem.name for problem in self.monitor.problems()]

    def look(self) -> list[str]:
        return [problem.name for problem in self.monitor.look()]

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.monotonic += seconds
        self.node = ChainState(number=5, block_time=int(self.now))


@pytest.fixture
def rail(tmp_path, monkeypatch):
    rail = WatchedRail(tmp_path).start(monkeypatch)
    yield rail
    rail.monitor.stop()
    rail.store.close()


def test_problems__before_the_first_look__say_that_nothing_is_known(rail):
    assert rail.names() == ["status_stale"]


def test_look__at_a_well_rail__writes_a_status_without_problems(rail):
    assert rail.look() == [] == rail.names()
    body = json.loads((rail.home / STATUS_FILE).read_bytes())
    assert (body["version"], body["at"], body["pid"]) == (1, NOW, os.getpid())
    with hold(rail.home / LOCK_FILE):
        assert read_status(rail.home, NOW + STALE_S) == []
        assert [p.name for p in read_status(rail.home, NOW + STALE_S + 1)] == ["status_stale"]


def test_look__at_a_paused_rail__says_until_when_and_forgets_it_then(rail):
    rail.paused_until = NOW + 60
    assert rail.look() == ["rail_paused"]
    rail.pass_time(60)
    assert rail.look() == []


def test_look__at_effects_that_nobody_takes__names_the_target_or_that_there_is_none(rail):
    [order, token] = records_of(
        SCOPE,
        PAYMENT,
        [
            Effect("visit", EffectKind.WORK_ORDER),
            Effect(
                "unlock",
                EffectKind.UNLOCK_TOKEN,
                {"device": PAYMENT.device, "mode": "add_time", "days": 1},
            ),
        ],
    )
    with rail.store.write() as session:
        effects.add(session, [token], NOW)
    assert rail.look() == []  # `proofrail unlock show` gives it
    with rail.store.write() as session:
        effects.add(session, [order], NOW)
    assert rail.look() == ["effects_without_target"]
    row = effects.EffectTargetRow(name="crm", way="folder", place="/no", kinds="", added_at=NOW)
    with rail.store.write() as session:
        effects.add_target(session, row)
        effects.redeliver(session, [order.effect_id], NOW)
    rail.pass_time(900)
    assert rail.look() == []
    rail.pass_time(1)
    assert rail.look() == ["effects_undelivered"]
    with rail.store.write() as session:
        effects.record_answers(session, "crm", [(order.effect_id, DELIVERED)], NOW)
    assert rail.look() == []


def test_look__at_two_nodes__shows_each_and_works_with_the_one_that_answers(rail, monkeypatch):
    rail.context.chain.urls = ("https://a.example/KEY", "https://b.example")
    states = {
        "https://a.example/KEY": ChainState(error="Timeout"),
        "https://b.example": ChainState("x", number=5, block_time=NOW, answered_at=NOW),
    }
    monkeypatch.setattr(
        "orchestrator.health_monitor.probe_node", lambda url, _deployment: states[url]
    )
    rail.look()
    assert rail.names() == ["node_silent"] and rail.monitor.head() == 5
    assert read_nodes(rail.home) == []  # no process works on this home
    with hold(rail.home / LOCK_FILE):
        shown = read_nodes(rail.home)
    assert [(n["name"], n["number"], n["answered_at"], n["error"]) for n in shown] == [
        ("https://a.example", 0, 0, "Timeout"),
        ("https://b.example", 5, NOW, ""),
    ]
    states["https://b.example"] = ChainState(error="refused")
    rail.look()
    assert rail.names() == ["node_down"]
    assert rail.monitor.nodes()[1].answered_at == NOW  # when it answered last


def test_problems__between_two_looks__know_the_worker_as_it_is_now(rail):
    rail.look()
    rail.halts.append(StandingHalt("settle", "our own rule is broken", NOW))
    assert rail.names() == ["step_halted"]
    rail.waits["mint"] = StepWait(NOW - 500, "the node is silent")
    assert rail.names() == ["step_halted", "step_waits"]


def test_problems__when_the_monitor_stopped__are_stale_however_the_clock_moves(rail):
    rail.look()
    rail.monotonic += STALE_S + 1  # the clock stands still, and time passes
    assert "status_stale" in rail.names()


@pytest.mark.parametrize("jump", [-7_200, 7_200])
def test_clock__that_jumped__is_named_and_forgotten_after_a_while(rail, jump):
    rail.look()
    rail.now += jump
    rail.node = ChainState(number=5, block_time=int(rail.now))
    assert rail.look() == ["clock_jumped"]
    rail.pass_time(900)
    assert rail.look() == ["clock_jumped"]
    rail.pass_time(1)
    assert rail.look() == []


def test_clock__that_went_back_to_the_right_time__is_well_at_once(rail):
    rail.look()
    rail.now += 7_200
    assert "clock_jumped" in rail.look()
    rail.now -= 7_200
    assert rail.look() == []


def test_oracle__that_does_not_answer__delays_no_look(rail, monkeypatch):
    monkeypatch.setattr("orchestrator.health_monitor._PATIENCE_S", 0.1)
    go_on = threading.Event()
    rail.oracles[0].probe = go_on.wait
    assert rail.look() == ["oracle_down"]
    go_on.set()


def test_oracle__without_a_seat__is_named_with_what_gives_it_one(rail):
    """Somebody ordered its start, and it ran."""
    assert rail.look() == []
    gone = rail.oracles[0]
    members = {o.address: o.domain for o in rail.oracles if o is not gone}
    rail.committee = Committee(members, 3, 2)
    assert rail.look() == ["oracle_down"]
    [problem] = rail.monitor.problems()
    assert "whose signature counts" in problem.what
    assert f"proofrail committee seat {gone.name}" in problem.next_step


def test_each_part__that_fails__is_named(rail):
    rail.broker, rail.node = "not connected", ChainState(error="refused")
    rail.oracles[0].error = rail.oracles[1].error = "Timeout"
    rail.context.bank.inbox.rmdir()
    assert rail.look() == [
        "bank_unreachable",
        "broker_down",
        "node_down",
        "quorum_out_of_reach",
        "oracle_down",
        "oracle_down",
    ]


def test_send__that_waits_for_long__is_named_with_its_reason(rail):
    with rail.store.write() as session:
        row = tables.ChainSendRow(
            tx_hash="0xab",
            chain_id=1,
            sender="0x1",
            nonce=1,
            purpose="settle",
            ref="0xcd",
            raw="0x",
            stage="sent",
            verdict="insufficient funds",
            created_at=NOW - 400,
        )
        add_all(session, [row])
    (problem,) = rail.monitor.look()
    assert problem.name == "send_stuck" and "insufficient funds" in problem.what


def test_held_payments__are_named_until_somebody_decides(rail):
    row = {"sequence": 1, "first_counter": 0, "last_counter": 0, "created_at": NOW - 900}
    hold = {"held_by": "0x1", "reason": "why", "stage": "verified"}
    with rail.store.write() as session:
        held = tables.PaymentRow(payment_id="0x4", agreement_id="a", stage="held", **row)
        session.add(held)
        session.add(tables.HoldRow(payment_id="0x4", held_at=NOW - 90, **hold))
    (problem,) = rail.monitor.look()
    assert (problem.name, problem.since) == ("payments_held", NOW - 90)
    with rail.store.write() as session:
        session.get(tables.PaymentRow, "0x4").stage = "verified"
    assert rail.look() == []


def bank_file(at: int) -> tables.BankFileRow:
    return tables.BankFileRow(
        file_hash=str(at), direction="in", name="a", kind="camt", body=b"", at=at
    )


def test_statement__that_is_due__is_missed_from_the_first_bank_file_on(rail):
    assert rail.look() == []  # no file of a bank yet
    with rail.store.write() as session:
        add_all(session, [bank_file(NOW)])
    assert rail.look() == []  # today's statement is due tomorrow
    rail.pass_time(86_400)
    assert rail.look() == ["statement_missing"]
    with rail.store.write() as session:
        row = tables.BankStatementRow(account=IBAN, statement="1", file_hash="1", day="2026-09-21")
        add_all(session, [row])
    assert rail.look() == []


def test_statement__of_a_simulated_bank__is_not_due_by_the_calendar(rail):
    with rail.store.write() as session:
        add_all(session, [bank_file(NOW)])
    rail.pass_time(86_400)
    alive = rail.context.bank.inbox.parent / "alive"
    alive.touch()
    os.utime(alive, (rail.now, rail.now))
    assert rail.look() == []


def test_run__while_the_database_does_not_answer__goes_on(rail, monkeypatch):
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 3:
            rail.monitor.stop()
        raise Retry("locked") if len(looks) == 1 else OSError(28, "No space left on device")

    monkeypatch.setattr("orchestrator.health_monitor._EVERY_S", 0)
    rail.monitor.look = look
    rail.monitor.run()
    assert len(looks) == 3


@pytest.mark.parametrize("state", ["resting", "starting"])
def test_supervisor__that_shows_a_dead_process__is_believed(rail, state):
    processes = {"version": 1, "processes": [{"name": "bank", "state": state, "restarts": 2}]}
    with hold(rail.home / LOCK_FILE):
        (rail.home / "run").mkdir(exist_ok=True)
        (rail.home / "run" / "processes.json").write_text(json.dumps(processes))
        (problem,) = rail.monitor.look()
    assert (problem.name, problem.subject) == ("process_down", "bank")


def test_run__stopped_within_a_look__ends_without_an_error(rail, monkeypatch):
    """It ended with a traceback in the log of a process that could not listen on its port."""
    observe = rail.monitor._observe

    def stopped() -> object:
        rail.monitor.stop()
        return observe()

    monkeypatch.setattr(rail.monitor, "_observe", stopped)
    rail.monitor.run()
