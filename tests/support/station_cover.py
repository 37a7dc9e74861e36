"""Cover that rests on weather stations, as small as a product can be, in front of a real intake.

The terms name the stations and the period. The farm's own record ends the period; what it is paid
follows from all records that the stations made in it. Records are OCMF: their content is no matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from device_adapters.types import Curve, DeviceKey, Event, Message, device_id
from oracles.attest import address_of
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.types import Claim
from oracles.wire import OracleAnswer, Request
from orchestrator.core.identity import payment_id
from orchestrator.core.payment import Stage
from orchestrator.edges.store import citations, payments
from orchestrator.edges.store.evidence import records_of
from orchestrator.ingest.intake import Intake
from orchestrator.products import products
from orchestrator.settings import Settings
from orchestrator.steps.attest import claim_of_row
from orchestrator.steps.collect import collect, verify
from tests.support.meter_streams import key_of, record
from tests.support.oracle_at import Opened
from tests.support.rail_builder import context_of_stand_ins, file_log
from tests.support.small_intake import START, SmallIntake

NAME = "station_cover"
FARM, STATIONS, STRANGER = "farm-1", ("st-1", "st-2", "st-3"), "st-9"
DAY = START + 1_000, START + 2_000  # the period of all covers here, Unix seconds
AFTER = DAY[1] + 500  # the farm's record


def terms_of(*stations: str) -> bytes:
    return b"".join(map(device_id, stations))


def _derive(
    terms: bytes,
    anchor: Event | None,
    events: Sequence[Event],
    cited: Mapping[str, Event],
    late: bool = False,
) -> bytes:
    sources = {event.device for event in cited.values()}
    return f"{len(cited)} records of {' '.join(sorted(sources))}".encode()


RULES = SimpleNamespace(
    NAME=NAME,
    GAPLESS=False,
    LATE=False,
    subject=lambda terms: b"",
    payee=lambda facts: None,
    hears=lambda terms: frozenset(terms[i : i + 32] for i in range(0, len(terms), 32)),
    heard_period=lambda terms, anchor, events: (DAY[0] * 1000, DAY[1] * 1000),
    admit=lambda terms, previous, event, earlier=(): None,
    complete=lambda terms, anchor, events: len(events),
    derive=_derive,
)


def weather(station: str, counter: int, at: int = DAY[0]) -> bytes:
    """Return a signed record of a station, or of any other device."""
    return record(station, counter, ("", counter * 1_000, at))


def closing(counter: int = 1, at: int = AFTER) -> bytes:
    """Return the record of the farm that ends the period."""
    return record(FARM, counter, ("", counter * 1_000, at))


class SmallCover:
    """`place` is the intake with its store; `rail` collects and verifies on it."""

    def __init__(self, home: Path, *stations: str, product: SimpleNamespace = RULES) -> None:
        self.product = product
        self.place, rules = SmallIntake(home), {**products(), NAME: product}
        self.place.clock = AFTER + 1_000
        self.place.chain.rules = rules
        self.place.intake = Intake(
            self.place.store, self.place.chain, rules, lambda: self.place.clock
        )
        for name in (FARM, *STATIONS, STRANGER):
            numbers = key_of(name).public_key().public_numbers()
            key = DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)
            self.place.chain.keys[device_id(name)] = key
        settings = Settings(home=home)
        self.rail = context_of_stand_ins(
            settings,
            self.place.store,
            lambda: self.place.clock,
            registry=self.place.chain,
            rules=rules,
            log=file_log(settings),
        )
        self.agreement = self.agree(*(stations or STATIONS))

    def close(self) -> None:
        self.place.close()

    def agree(self, *stations: str, device: str = FARM, **fields: object) -> str:
        return self.place.agree(device, product=NAME, terms=terms_of(*stations), **fields)

    def take(self, *records: bytes) -> list[str]:
        return self.place.answers(*records)

    def claimed(self, sequence: int = 1) -> payments.PaymentRow:
        """Collect and verify; return the payment of that sequence."""
        collect(self.rail)
        verify(self.rail)
        return self.payment(sequence)

    def payment(self, sequence: int = 1) -> payments.PaymentRow:
        identity = payment_id(bytes.fromhex(self.agreement[2:]), sequence)
        with self.place.store.read() as session:
            [row] = payments.by_ids(session, ["0x" + identity.hex()])
            return row

    def move_to(self, stage: Stage) -> None:
        """Write where the first payment stands, as the chain's answer would."""
        with self.place.store.write() as session:
            row = session.get(payments.PaymentRow, self.payment().payment_id)
            row.stage, row.next_step = stage, None
            session.add(row)

    def claim(self) -> Claim:
        return claim_of_row(self.payment())

    def evidence(self) -> tuple[Message, ...]:
        """Return what the rail sends to an oracle that lacks some of it."""
        with self.place.store.read() as session:
            payment = self.payment().payment_id
            used = [*records_of(session, payment), *citations.cited_by(session, [payment])[payment]]
        return messages(item.body for item in used)

    def oracle(self, folder: Path, *records: bytes) -> OracleNode:
        """Return an oracle that has taken these records, one after the other."""
        identity = Identity(
            "north",
            1,
            address_of(b"\x11" * 32),
            lambda digest: b"\x01" * 65,
            31337,
            "0x" + "33" * 20,
            "0x" + "11" * 20,
        )
        view = OracleView(
            keys=self.place.chain,
            agreements=Opened(self.place.chain.opened),
            progress=lambda _: None,
            products={NAME: ("0x" + "22" * 20, self.product)},
            now=lambda: self.place.clock,
        )
        node = OracleNode(identity, view, Memory(folder / "oracle.sqlite3"))
        for item in records:
            node.take(messages([item]))
        return node


def messages(records: Iterable[bytes]) -> tuple[Message, ...]:
    return tuple(Message("ocmf", "", item, source="http") for item in records)


def ask(node: OracleNode, claim: Claim, *evidence: Message) -> OracleAnswer:
    return node.attest(Request(NAME, (claim,), {}, evidence))
