"""Service level: outages of the rail, planned maintenance, and the cash that a machine runs out of.

The intake is a real one on a real store; its chain is a stand-in. An outage of broker or rail is an
intake that gets nothing for two hours, and then everything, in the machine's order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from device_adapters.protocols.sealed import decode
from device_adapters.types import Message, Rejected, device_id
from oracles.attest import claim_hash
from oracles.rules import runs
from oracles.types import Agreement, Claim
from orchestrator.core.effect import EffectKind, EffectRecord
from orchestrator.core.identity import payment_id
from orchestrator.edges.store import payments
from orchestrator.products import products
from orchestrator.products.final_effects import final_effects
from orchestrator.products.index.tariff import IndexFacts
from orchestrator.settings import Settings
from orchestrator.steps.attest import claim_of_row
from orchestrator.steps.collect import collect, verify
from tests.support.effect_double import SCOPE, agreed_mandate
from tests.support.rail_builder import context_of_stand_ins, file_log
from tests.support.signing_gateway import SigningGateway
from tests.support.small_intake import SmallIntake

RULES = products()["service_level"]
ATM = SigningGateway("atm-7")
FIRST, HOUR, DAY, EACH = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()), 3_600, 86_400, 1_800
WORDS = {
    "about": "atm:7",
    "metrics": "uptime 0..10000; cashless 0..1440; shortages 0..100",
    "plus": "cashless falling: 60=0, 1440=-6.00",
    "times": "uptime rising: 9500=0%, 9900=90%, 9950=100%",
    "base": "6.00",
    "ceiling": "6.00",
    "coverage": "90%",
    "period": "1 day",
    "first": "2027-01-01T00:00Z",
    "heartbeat": "1800",
    "low": "100",
    "maintenance": "none",
    "replenish": "500",
}
State = tuple[int, str, int]  # seconds after FIRST, state of the device, banknotes


@cache
def _record(counter: int, state: State) -> bytes:
    after, device, cash = state
    fields = {"machine": "atm-7", "about": "atm:7", "at": (FIRST + after) * 1000}
    content = json.dumps(fields | {"device": device, "cash": cash}).encode()
    return ATM.seal("atm-7", counter, content, protocol="machine", at=FIRST + after)


class ServedMachine:
    """An ATM's agreement on a rail of its own, which takes records when it can."""

    def __init__(self, home: Path, words: dict[str, str]) -> None:
        self.terms = RULES.parse_terms(words)
        self.place, self.sent = SmallIntake(home), 0
        self.close = self.place.close
        self.place.chain.keys[device_id("atm-7")] = ATM.key
        agreement = self.place.agree(
            "atm-7",
            product="service_level",
            terms=self.terms,
            subject=RULES.subject(self.terms),
            expires_at=FIRST + 30 * DAY,
        )
        self.agreement = bytes.fromhex(agreement[2:])
        settings = Settings(home=home)
        self.rail = context_of_stand_ins(
            settings,
            self.place.store,
            lambda: self.place.clock,
            registry=self.place.chain,
            rules=self.place.chain.rules,
            log=file_log(settings),
        )

    def take(self, states: Iterable[State], now: int) -> None:
        """Let records arrive together at a time of the rail (seconds after FIRST)."""
        self.place.clock = FIRST + now
        for state in states:
            self.sent += 1
            [[outcome]] = self.place.take(Message("sealed", "", _record(self.sent, state)))
            assert outcome.outcome == "accepted", outcome
        collect(self.rail)
        verify(self.rail)

    def uptime(self) -> int:
        """Return what the first claim states, in basis points."""
        return RULES.decode_facts(self.rows()[0].facts).metrics[0]

    def rows(self):
        with self.place.store.read() as session:
            ids = ["0x" + payment_id(self.agreement, number).hex() for number in range(1, 9)]
            rows = payments.by_ids(session, ids)
        return [claim_of_row(row) for row in sorted(rows, key=lambda row: row.sequence)]


def _reports(until: int, cash: int = 4_200) -> list[State]:
    return [(at, "online", cash) for at in range(0, until + 1, EACH)]


def _machine(home: Path, **changes: str) -> closing[ServedMachine]:
    home.mkdir(exist_ok=True)
    return closing(ServedMachine(home, WORDS | changes))


def test_outage_of_broker_or_rail__for_two_hours__is_nobodys_downtime(tmp_path):
    """Also where the period ends within the outage, and where the machine failed in it."""
    states = [
        (at, "hardwareError" if at == 23 * HOUR else device, cash)
        for at, device, cash in _reports(DAY + HOUR)
    ]
    outage = range(22 * HOUR + HOUR // 2, DAY + HOUR // 2)
    claims = []
    for name, held in (("steady", range(0)), ("outage", outage)):
        with _machine(tmp_path / name) as machine:
            for state in states:
                if state[0] not in held:
                    waiting = [late for late in states if late[0] in held and late[0] < state[0]]
                    missed = waiting if state[0] == outage.stop else []
                    machine.take([*missed, state], state[0])
            claims.append(machine.rows())
            assert machine.sent == len(states)
    steady, late = claims
    assert [claim.facts for claim in steady] == [claim.facts for claim in late]
    assert [claim_hash(claim) for claim in steady] == [claim_hash(claim) for claim in late]
    (facts,) = (RULES.decode_facts(claim.facts) for claim in late)
    assert facts.metrics[0] == 10_000 * (DAY - EACH) // DAY  # half an hour, which it reported


def test_silence_of_the_machine__for_two_hours__is_downtime(tmp_path):
    silent = range(10 * HOUR + 1, 12 * HOUR)
    with _machine(tmp_path / "silent") as machine:
        machine.take([s for s in _reports(DAY) if s[0] not in silent], DAY)
        assert machine.uptime() == 10_000 * (DAY - 2 * HOUR + EACH) // DAY


@pytest.mark.parametrize(
    "window, uptime",
    [("Fri 10:00-12:00", 10_000), ("Fri 10:00-11:00", 10_000 * 22 // 23), ("none", 9_166)],
)
def test_maintenance__planned_for_the_time__is_left_out_of_the_period(tmp_path, window, uptime):
    """1 January 2027 is a Friday; the machine is off from 10 to 12."""
    states = [
        (at, "powerOff" if 10 * HOUR <= at < 12 * HOUR else device, cash)
        for at, device, cash in _reports(DAY)
    ]
    with _machine(tmp_path / "planned", maintenance=window) as machine:
        machine.take(states, DAY)
        assert machine.uptime() == uptime


def _cash(levels: Sequence[int], until: int) -> list[State]:
    """Return a report each half hour with these banknotes in turn; the last number stays."""
    reports = _reports(until)
    return [
        (at, device, levels[min(n, len(levels) - 1)]) for n, (at, device, _) in enumerate(reports)
    ]


def _claims(states: Sequence[State], lost: Sequence[int] = ()) -> list[tuple[bytes, int]]:
    """Return (facts, shortages) of the claims that follow from records, one after the other."""
    records = enumerate(states, 1)
    events = [decode(_record(counter, s)) for counter, s in records if s[0] not in lost]
    terms = RULES.parse_terms(WORDS)
    agreement, last, anchor, claims = _agreement("service_level", "atm-7", terms), 0, None, []
    while run := runs(agreement, RULES, last, anchor, events).run:
        facts = RULES.derive(terms, anchor, run, {})
        claims.append((facts, RULES.decode_facts(facts).metrics[2]))
        last, anchor = run[-1].counter, run[-1]
    return claims


@pytest.mark.parametrize(
    "levels, orders",
    [
        ([4_200], [0, 0, 0]),
        ([4_200, 499], [1, 0, 0]),  # low for three days: one order
        ([499], [1, 0, 0]),  # low from the beginning
        ([4_200, 500], [0, 0, 0]),
        ([4_200, 499, 4_200, 300], [2, 0, 0]),
        ([4_200] * 48 + [10], [1, 0, 0]),  # with the record that ends the first day
        ([4_200] * 49 + [10], [0, 1, 0]),
        ([4_200, 10] + [4_200] * 60 + [10], [1, 1, 0]),
    ],
)
def test_cash__below_the_threshold__is_ordered_once_for_each_shortage(levels, orders):
    claims = _claims(_cash(levels, 3 * DAY))
    assert [shortages for _, shortages in claims] == orders
    asked = [_effects(facts) for facts, _ in claims]
    assert [len(effects) for effects in asked] == [min(count, 1) for count in orders]
    again = [_effects(facts) for facts, _ in claims]
    assert asked == again  # a rebuild makes the same bytes, under the same ids


def test_shortage__in_a_period_that_is_not_priced__is_ordered_with_the_next_one():
    claims = _claims(_cash([4_200, 4_200, 10], 2 * DAY), lost=range(3 * HOUR, 12 * HOUR))
    assert [shortages for _, shortages in claims] == [1]


def _effects(facts: bytes) -> list[EffectRecord]:
    agreed = replace(agreed_mandate(), terms=RULES.parse_terms(WORDS))
    claim = Claim(b"\x0a" * 32, 3, 1, 2, bytes(32), facts)
    return final_effects(SCOPE, RULES, agreed, claim, 6_000_000, 100, "0xtx")


def test_cash_order__of_a_shortage__is_paid_as_a_delivery_of_cassettes():
    """The order is the consignment; the machine's dock signs how many cassettes came."""
    facts = RULES.encode_facts(IndexFacts(FIRST, FIRST + DAY, 10_000, 1, (10_000, 0, 1)))
    (order,) = _effects(facts)
    assert order.kind == EffectKind.CASH_ORDER and order.name == "replenish"
    content = json.loads(order.message)["data"]["content"]
    assert (content["about"], content["below_banknotes"]) == ("atm:7", 500)
    delivery = products()["proof_of_delivery"]
    agreed = delivery.parse_terms(
        {
            "consignment": content["order"],
            "carrier": "van-3",
            "price": "90.00",
            "quantity": "4",
            "shares": "0/80/20",
            "due": "2027-01-02T12:00Z",
            "deadline": "2027-01-05T12:00Z",
            "late": "1/20",
        }
    )
    steps = [("receiving", 4), ("accepting", 4)]
    records = [
        delivery.case_event(
            {
                "device": "dock-7",
                "counter": counter,
                "subject": content["order"],
                "events": [{"name": step, "step": step, "at": FIRST + DAY, "quantity": count}],
            }
        )
        for counter, (step, count) in enumerate(steps, 1)
    ]
    assert {record.subject_id for record in records} == {delivery.subject(agreed)}
    agreement, anchor, counted = _agreement("proof_of_delivery", "dock-7", agreed), None, []
    for record in records:
        last = anchor.counter if anchor else 0
        (run,) = runs(agreement, delivery, last, anchor, records).run
        counted.append(delivery.decode_facts(delivery.derive(agreed, anchor, [run], {})))
        anchor = record
    assert [(facts.received, facts.accepted) for facts in counted] == [(4, 0), (0, 4)]


def _agreement(product: str, device: str, terms: bytes) -> Agreement:
    return Agreement(
        agreement=b"\x0b" * 32,
        device=device,
        device_id=device_id(device),
        product=product,
        terms=terms,
        start=FIRST,
        expires_at=FIRST + 30 * DAY,
        first_counter=0,
        subject=products()[product].subject(terms),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"replenish": "-1"},
        {"replenish": "few"},
        {"replenish": "0"},  # shortages are priced, and none can be
        {"metrics": "uptime 0..10000; cashless 0..1440"},
    ],
)
def test_terms__whose_threshold_is_none__are_refused(changes):
    with pytest.raises(Rejected, match="replenish"):
        RULES.parse_terms(WORDS | changes)
