"""The scenario of the demonstration: all products day by day, faults of a fleet, the bank."""

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
from scripts.demo.measured import Measured
from scripts.demo.tally import shared
from scripts.demo.wearables import DemoWearables
from scripts.own_releases import OwnReleases
from scripts.stack import Stack
from services.simulated_devices.faults import Fault, commit
from services.simulated_devices.fleet import Fleet

_ENDED = (
    Stage.BOOKED,
    Stage.RECONCILED,
    Stage.REJECTED,
    Stage.REFUSED,
    Stage.EXPIRED,
    Stage.REFUNDED,
    Stage.DISPUTED,
)
PATIENCE_S = 90

# fault -> (description, reason of the answer)
EXPECTED: dict[Fault, tuple[str, str]] = {
    Fault.DUPLICATE: ("the same record sent twice", "duplicate"),
    Fault.REPLAY: ("an old counter with other content", "counter_replayed"),
    Fault.FORGED_SIGNATURE: ("a record signed by another key", "signature_forged"),
    Fault.OTHER_DEVICE: ("another device's record on the sender's topic", "device_not_of_topic"),
    Fault.HIGH_S_TWIN: ("a record under its signature's twin", "duplicate"),
    Fault.TRUNCATED: ("half a record", "truncated"),
    Fault.IMPLAUSIBLE_READING: ("more energy than the fuse lets through", "implausible_reading"),
    Fault.REGISTER_BACKWARDS: ("a register that runs backwards", "register_backwards"),
}


@dataclass
class DemoRun:
    """A demonstration in progress.

    Attributes:
        enrolled: names of the metering devices that measure every day.
        faults: fault -> the records sent for it.
    """

    stack: Stack
    fleet: Fleet
    enrolled: list[str]
    deliveries: Deliveries
    wearables: DemoWearables
    incidents: Incidents
    measured: Measured
    faults: dict[Fault, list[bytes]] = field(default_factory=dict)
    _executor: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _background: list[Future[None]] = field(default_factory=list)

    def in_background(self, act: Callable[[], None]) -> None:
        """Run `act` in a background thread; the next wait also waits for its end.

        Waits are those for funding, settlements and payouts.
        """
        self._background.append(self._executor.submit(act))

    def day(self, number: int, records: int, title: str) -> None:
        """Let devices measure, docks scan and wearables pay until all have receipts."""
        names = [*self.enrolled, *(incidents.NAMES if number == 1 else ())]
        batches = [(self.fleet[name], self.fleet[name].make_records(records)) for name in names]
        for device, batch in batches:
            device.publish(batch)
        self.deliveries.morning(number)
        self.measured.morning(number)
        total = self._owed()
        with bar(title, total) as reached:
            tick = lambda: reached(total - self._owed())  # noqa: E731
            self.until(lambda: self._collect() == 0, "receipts", tick)
            self.deliveries.evening(number)  # it cites records accepted in the morning
            self.wearables.evening(number)
            self.measured.evening(number)
            self.until(lambda: self._collect() == 0, "receipts of the evening", tick)

    def misbehave(self) -> None:
        """Commit each fault once, spread over the charge points.

        The replay comes from the cloned charge point, which is suspended for it.
        """
        points = [name for name in self.enrolled if name.startswith("cp-")]
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

    def publish_refused(self, unknown: str, retired: str) -> None:
        """Let a device that is not enrolled and a retired one publish a record."""
        for name in (unknown, retired):
            self.fleet[name].publish(self.fleet[name].make_records(1))
        self.until(lambda: self._collect() == 0, "receipts of devices that are not enrolled")

    def settled(self, title: str) -> None:
        """Wait until every claimable record is in a payment that is at least posted."""
        with self.stack.store.read() as session:
            expected = sum(payments.open_counts(session).values()) or 1
        with bar(title, expected) as reached:

            def is_over() -> bool:
                with self.stack.store.read() as session:
                    counts = payments.open_counts(session)
                    waiting = evidence.agreements_with_unclaimed(session)
                early = sum(
                    counts.get(s, 0)
                    for s in (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)
                )
                reached(sum(counts.values()) - early)
                return early == 0 and not waiting

            self.until(is_over, title)
            self._await_background()

    def paid(self) -> None:
        """Wait until every payment is booked or frozen, then close the bank's day.

        Debts must be paid by then, and what was not earned refunded.
        """
        payees = OwnReleases(self.stack)
        with bar("paid out and booked by the bank", self._payments()) as reached:

            def is_over() -> bool:
                payees.tick()
                with self.stack.store.read() as session:
                    counts = payments.open_counts(session)
                    ended = sum(counts.get(stage, 0) for stage in _ENDED) + len(shared(session))
                reached(ended)
                return ended == sum(counts.values()) and self._products_are_over()

            self.until(is_over, "bank lines")
            self._await_background()
        self.stack.bank.close_day()
        self.until(self._statement_arrived, "the bank's statement of the day")

    def _products_are_over(self) -> bool:
        with self.stack.store.read() as session:
            parts = (self.deliveries, self.wearables, self.incidents, self.measured)
            return all(part.is_over(session) for part in parts)

    def _statement_arrived(self) -> bool:
        with self.stack.store.read() as session:
            has_statement = any(row.day is not None for row in bank_files.statements(session))
            return has_statement and not payments.open_counts(session).get(Stage.BOOKED)

    def funded(self, agreements: int) -> None:
        """Wait until the escrow of every agreement holds what its payer transferred."""
        with bar("escrow funded through the bank", agreements) as reached:

            def is_over() -> bool:
                with self.stack.store.read() as session:
                    minted = [
                        row
                        for row in fundings.all_fundings(session)
                        if row.stage == funding.Stage.MINTED
                    ]
                reached(len(minted))
                return len(minted) >= agreements

            self.until(is_over, "funding")
            self._await_background()

    def _await_background(self) -> None:
        """Wait for all background work, and raise its first error."""
        while self._background:
            self._background.pop(0).result(timeout=PATIENCE_S)

    def until(
        self, is_over: Callable[[], bool], what: str, tick: Callable[[], None] | None = None
    ) -> None:
        """Wait for a condition.

        Raises:
            RuntimeError: it does not hold after `PATIENCE_S` seconds.
        """
        deadline = time.monotonic() + PATIENCE_S
        while not is_over():
            if tick:
                tick()
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"waited {PATIENCE_S} s without success for: {what}. See the logs in "
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
        return sum(device.unreceipted_count() for device in self.fleet.devices.values())
