"""What happens in the demonstration: three products day by day, a real fleet's faults, the bank."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from orchestrator.core import funding
from orchestrator.core.payment import Stage
from orchestrator.edges.store import bank_files, evidence, fundings, payments
from scripts.demo import incidents
from scripts.demo.checklist import bar
from scripts.demo.deliveries import Deliveries
from scripts.demo.incidents import Incidents
from scripts.demo.wearables import DemoWearables
from scripts.devices.faults import Fault, commit
from scripts.devices.fleet import Fleet
from scripts.stack import Stack

_ENDED = (
    Stage.RECONCILED,
    Stage.REJECTED,
    Stage.REFUSED,
    Stage.EXPIRED,
    Stage.REFUNDED,
    Stage.DISPUTED,
)
PATIENCE_S = 90

# fault -> (what it is in words, the reason it must be answered with)
EXPECTED: dict[Fault, tuple[str, str]] = {
    Fault.DUPLICATE: ("the same record sent twice", "duplicate"),
    Fault.REPLAY: ("an old counter with other content", "counter_replayed"),
    Fault.FORGED_SIGNATURE: ("a record signed by another key", "signature_forged"),
    Fault.OTHER_DEVICE: ("another device's record on the own topic", "device_not_of_topic"),
    Fault.HIGH_S_TWIN: ("a record under its signature's twin", "duplicate"),
    Fault.TRUNCATED: ("half a record", "truncated"),
    Fault.IMPLAUSIBLE_READING: ("more energy than the fuse lets through", "implausible_reading"),
    Fault.REGISTER_BACKWARDS: ("a register that runs backwards", "register_backwards"),
}


@dataclass
class DemoRun:
    """One demonstration under way.

    enrolled: the metering devices that measure every day. faults: fault -> the records sent for it.
    """

    stack: Stack
    fleet: Fleet
    enrolled: list[str]
    deliveries: Deliveries
    wearables: DemoWearables
    incidents: Incidents
    faults: dict[Fault, list[bytes]] = field(default_factory=dict)
    _clerk: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _errands: list[Future[None]] = field(default_factory=list)

    def beside(self, act: Callable[[], None]) -> None:
        """Starts what an office does on chain, or a process, while everything else goes on; the
        next wait for funding, settlements or payouts waits for it too."""
        self._errands.append(self._clerk.submit(act))

    def day(self, number: int, records: int, title: str) -> None:
        """Every device measures and publishes, carriers and docks scan, wearables pay; the day
        ends when all have receipts."""
        names = [*self.enrolled, *(incidents.NAMES if number == 1 else ())]
        made = [(self.fleet[name], self.fleet[name].make_records(records)) for name in names]
        for device, batch in made:
            device.publish(batch)
        self.deliveries.morning(number)
        total = self._owed()
        with bar(title, total) as reached:
            tick = lambda: reached(total - self._owed())  # noqa: E731
            self.until(lambda: self._collect() == 0, "receipts", tick)
            self.deliveries.evening(number)  # cites what was taken in the morning
            self.wearables.evening(number)
            self.until(lambda: self._collect() == 0, "receipts of the evening", tick)

    def misbehave(self) -> None:
        """Each fault once, by a charge point of its own where there are enough; the clone's by one
        that is silenced for it."""
        points = [n for n in self.enrolled if n.startswith("cp-")]
        order = [
            *EXPECTED,
            Fault.OUT_OF_ORDER,
            Fault.MISSING_COUNTER,
            Fault.FOREIGN_TOPIC,
            Fault.RETAINED,
        ]
        with bar("faults of a real fleet", len(order)) as reached:
            for number, fault in enumerate(order, start=1):
                name = incidents.CLONED if fault is Fault.REPLAY else points[number % len(points)]
                other = points[(number + 1) % len(points)]
                self.faults[fault] = commit(fault, self.fleet[name], other)
                self.until(lambda: self._collect() == 0, f"receipts after {fault}")
                reached(number)

    def strangers(self, unknown: str, retired: str) -> None:
        """A device nobody enrolled and one that was retired publish what they measured."""
        for name in (unknown, retired):
            self.fleet[name].publish(self.fleet[name].make_records(1))
        self.until(lambda: self._collect() == 0, "receipts of strangers")

    def settled(self, title: str) -> None:
        """Until every claimable record is in a payment that is at least posted."""
        with self.stack.store.read() as session:
            wanted = sum(payments.open_counts(session).values()) or 1
        with bar(title, wanted) as reached:

            def over() -> bool:
                with self.stack.store.read() as session:
                    counts = payments.open_counts(session)
                    waiting = evidence.agreements_with_unclaimed(session)
                early = sum(
                    counts.get(s, 0)
                    for s in (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)
                )
                reached(sum(counts.values()) - early)
                return early == 0 and not waiting

            self.until(over, title)
            self._await_errands()

    def paid(self) -> None:
        """Until every payment is on the bank's statement or frozen, debts are paid, what was not
        earned is refunded; and the bank closed its day."""
        with bar("paid out and booked by the bank", self._payments()) as reached:

            def over() -> bool:
                with self.stack.store.read() as session:
                    counts = payments.open_counts(session)
                ended = sum(counts.get(stage, 0) for stage in _ENDED)
                reached(ended)
                return ended == sum(counts.values()) and self._stories_over()

            self.until(over, "bank lines")
            self._await_errands()
        self.stack.bank.close_day()
        self.until(self._day_taken, "the bank's statement of the day")

    def _stories_over(self) -> bool:
        with self.stack.store.read() as session:
            stories = (self.deliveries, self.wearables, self.incidents)
            return all(story.over(session) for story in stories)

    def _day_taken(self) -> bool:
        with self.stack.store.read() as session:
            return any(row.day is not None for row in bank_files.statements(session))

    def funded(self, agreements: int) -> None:
        """Until the escrow of every agreement holds what its payer transferred."""
        with bar("escrow funded through the bank", agreements) as reached:

            def over() -> bool:
                with self.stack.store.read() as session:
                    minted = [
                        f for f in fundings.all_fundings(session) if f.stage == funding.Stage.MINTED
                    ]
                reached(len(minted))
                return len(minted) >= agreements

            self.until(over, "funding")
            self._await_errands()

    def _await_errands(self) -> None:
        """Raises what went wrong with one of them."""
        while self._errands:
            self._errands.pop(0).result(timeout=PATIENCE_S)

    def until(
        self, over: Callable[[], bool], what: str, tick: Callable[[], None] | None = None
    ) -> None:
        """Waits for a condition; raises RuntimeError with what was awaited if it never comes."""
        deadline = time.monotonic() + PATIENCE_S
        while not over():
            if tick:
                tick()
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"waited {PATIENCE_S} s in vain for: {what}. See the logs in "
                    f"{self.stack.home / 'logs'}"
                )
            time.sleep(0.05)
        if tick:
            tick()

    def _payments(self) -> int:
        with self.stack.store.read() as session:
            return sum(payments.open_counts(session).values())

    def _collect(self) -> int:
        for device in self.fleet.devices.values():
            device.collect()
            device.resend(10)
        return self._owed()

    def _owed(self) -> int:
        return sum(device.owed() for device in self.fleet.devices.values())
