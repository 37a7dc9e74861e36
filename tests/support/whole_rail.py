"""A whole rail for the flow tests: real processes on loopback, a small fleet, parties and money."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import requests

from orchestrator.assembly import oracle_endpoint
from orchestrator.core.payment import Stage
from orchestrator.edges.chain.totals import contract_totals
from orchestrator.edges.oracles import OracleClient
from orchestrator.edges.store import (
    access,
    agreements,
    evidence,
    fundings,
    payments,
)
from orchestrator.products import products
from orchestrator.products.metered_energy.product import EnergyTerms, encode_terms
from orchestrator.steps.reconcile import reconcile_store
from scripts.demo import parties
from scripts.own_releases import OwnReleases
from scripts.stack import Stack
from services.simulated_devices.fleet import Fleet
from tests.support.forked_command import run_commands

DAY_S = 86_400
PATIENCE_S = 240  # upper limit of every wait; no test depends on the speed
SEED = 11
SHORT = "cp-short"  # the device of an agreement without any funding
FUNDED_CENTS = 200_000
RETIRED, UNKNOWN = "cp-retired", "cp-unknown"
_FIRST_APART = 4  # parties after those of scripts/demo/parties.py
ENDED = (
    Stage.BOOKED,
    Stage.RECONCILED,
    Stage.REJECTED,
    Stage.REFUSED,
    Stage.EXPIRED,
    Stage.REFUNDED,
)
AT_BANK = {Stage.BOOKED, Stage.RECONCILED}  # the second once the day's statement has come
EARLY = (Stage.RECEIVED, Stage.VERIFIED, Stage.ATTESTED, Stage.SETTLED)


class WholeRail:
    """Two charge points and a meter with funded agreements, a retired and an unknown device.

    Attributes:
        sent: device -> every good record that it sent, in order.
        payees: They release by themselves what the rail may order only tomorrow.
    """

    def __init__(
        self,
        home: Path,
        *,
        unfunded: Sequence[str] = (),
        apart: int = 0,
        finality_blocks: int = 2,
        hole_patience_s: int = 2,
    ) -> None:
        """Choose ports and settings; nothing is started.

        Args:
            unfunded: names of further devices with an agreement but without escrow.
            apart: how many further charge points there are, each with a payee of its own. They
                are in `apart` alone, and no other test uses them up.
            finality_blocks: setting of the rail.
            hole_patience_s: setting of the rail.
        """
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.metrics_port = free.getsockname()[1]
        environment = {
            "PROOFRAIL_METRICS_PORT": str(self.metrics_port),
            "PROOFRAIL_HOLE_PATIENCE_S": str(hole_patience_s),
            "PROOFRAIL_FINALITY_BLOCKS": str(finality_blocks),
        }
        start_at = int(time.time()) - 60 * DAY_S
        self.stack = Stack(
            home,
            start_at,
            environment=environment,
            patience_s=PATIENCE_S,
        )
        self.payees = OwnReleases(self.stack)
        self._unfunded, self._keys = list(unfunded), {}
        self.apart = [f"cp-apart-{number}" for number in range(1, apart + 1)]
        self.fleet: Fleet | None = None
        self.sent: dict[str, list[bytes]] = defaultdict(list)

    def start(self) -> WholeRail:
        """Start everything and fund every agreement; after an error nothing is left running."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        stack = self.stack
        stack.prepare()
        stack.compile()
        stack.start_chain()
        stack.deploy()
        stack.start_broker()
        stack.start_bank()
        self.fleet = Fleet(
            stack.home,
            2,
            1,
            SEED,
            stack.start_at + DAY_S,
            (stack.settings.keys / "receipt.pub.pem").read_bytes(),
        )
        self.enrolled = [*self.fleet.devices, *self._unfunded]
        for name in (*self._unfunded, *self.apart, RETIRED, UNKNOWN):
            self.fleet.add(name)
        self._install()
        stack.start_oracles()
        stack.start_rail()
        credits = len(self.funded) + len(self.apart)
        self.until(lambda: self._minted() == credits, "funding")

    def _install(self) -> None:
        stack, fleet = self.stack, self.fleet
        passwords = stack.issue_devices(list(fleet.devices))
        parties.register_parties(stack)
        registered = [*self.enrolled, RETIRED]
        parties.enrol(stack, fleet, registered)
        references = parties.open_metering(stack, fleet, registered)
        self.references = dict(zip(registered, references, strict=True)) | self._open_apart()
        stack.agreement_ops.retire(RETIRED)
        stack.move_to_now()
        funded = [*self.funded, *self.apart]
        parties.fund(stack, fleet, funded, [self.references[name] for name in funded], FUNDED_CENTS)
        refused = fleet.connect(stack.broker["host"], stack.broker["port"], passwords, PATIENCE_S)
        assert not refused, f"the broker refused: {refused}"

    def _open_apart(self) -> dict[str, str]:
        """Open an agreement with a payee of its own for each charge point apart."""
        stack, names = self.stack, self.apart
        payees = [
            parties.DemoParty(_FIRST_APART + number, name, "Werftweg", "24103", "Kiel")
            for number, name in enumerate(names)
        ]
        if not payees:
            return {}
        parties.register_parties(stack, payees, payees)
        parties.enrol(stack, self.fleet, names)
        product, terms = products()["metered_energy"], encode_terms(EnergyTerms(489_900, 22_000))
        signed = [
            parties.sign_mandate(stack, name, product, parties.FLEET_OPERATOR, payee, terms=terms)
            for name, payee in zip(names, payees, strict=True)
        ]
        return dict(zip(names, parties.open_all(stack, signed), strict=True))

    def _minted(self) -> int:
        with self.store.read() as session:
            return sum(funding.stage == "minted" for funding in fundings.all_fundings(session))

    def stop(self) -> None:
        """End every process by its id; safe to call twice."""
        if self.fleet is not None:
            self.fleet.close()
            self.fleet = None
        self.stack.stop_all()

    # --- waiting

    def until(self, holds: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
        """Wait until `holds` returns a true value, and return that value.

        Raises:
            AssertionError: it never does; the text contains the state of the rail.
        """
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            self.payees.tick()
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {seconds} s without success: {what}; {self._state()}")
            time.sleep(0.02)
        return value

    def _state(self) -> str:
        with self.store.read() as session:
            stages = payments.open_counts(session)
        exit_codes = {name: process.exitcode for name, process in self.stack.processes.items()}
        log = self.stack.home / "logs" / "orchestrator.log"
        last = log.read_text(errors="replace").splitlines()[-4:] if log.exists() else []
        return f"stages {stages}, exit codes {exit_codes}, log ends: {' / '.join(last)[-1500:]}"

    def receipted(self) -> bool:
        """Collect receipts, resend what is unanswered for 2 s; return whether all is answered."""
        for device in self.fleet.devices.values():
            if device.link is not None:
                device.collect()
                device.resend(2)
        return not any(device.unreceipted_count() for device in self.fleet.devices.values())

    def until_receipted(self) -> None:
        """Wait until every record has its receipt."""
        self.until(self.receipted, "a receipt for every record")

    def until_claimed(self) -> None:
        """Wait until every genuine record is in a payment."""
        self.until(lambda: not self._waiting(), "every record in a payment")

    def until_settled(self) -> None:
        """Wait until every genuine record is in a payment and every payment is settled."""
        self.until(lambda: not self._waiting() and not self._count(EARLY), "settlement")

    def until_booked(self) -> None:
        """Wait until every genuine record is in a payment and every payment has ended."""
        self.until(
            lambda: not self._waiting() and self._count(ENDED) == self._count(tuple(Stage)),
            "every payment on a bank line",
        )

    def _waiting(self) -> bool:
        with self.store.read() as session:
            return bool(evidence.agreements_with_unclaimed(session))

    def _count(self, stages: Sequence[str]) -> int:
        with self.store.read() as session:
            counts = payments.open_counts(session)
        return sum(counts.get(stage, 0) for stage in stages)

    # --- acting

    def publish(self, records: int = 1, names: Sequence[str] = ()) -> dict[str, list[bytes]]:
        """Have devices measure and publish; return {name: records}. Default: all funded devices."""
        published = {}
        for name in names or self.funded:
            # counting begins at a meter's first reading: alone it is worth nothing
            first = name.startswith("meter") and not self.sent[name]
            published[name] = self.fleet[name].make_records(records + first)
        for name, batch in published.items():
            self.sent[name] += batch
            self.fleet[name].publish(batch)
        return published

    def measure(self, records: int = 1, names: Sequence[str] = ()) -> dict[str, list[bytes]]:
        """Publish, and wait until every record has its receipt."""
        published = self.publish(records, names)
        self.until_receipted()
        return published

    def kill(self, name: str) -> None:
        """Kill one process, as a power cut does."""
        self.stack.stop(name, signal.SIGKILL)

    def restart_bank(self) -> None:
        """Start the bank again on its own books."""
        self.stack.start_bank()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Stop automatic mining within the block."""
        self.stack.testnet.rpc("evm_setIntervalMining", 0)
        try:
            yield
        finally:
            self.stack.testnet.rpc("evm_setIntervalMining", self.stack.block_seconds)

    # --- reading

    @property
    def store(self) -> Any:
        return self.stack.store

    @property
    def funded(self) -> list[str]:
        return [name for name in self.enrolled if name not in self._unfunded]

    def stages(self) -> dict[str, int]:
        """Return {stage: number of payments}."""
        with self.store.read() as session:
            return payments.open_counts(session)

    def all_payments(self) -> list[payments.PaymentRow]:
        with self.store.read() as session:
            return list(payments.page(session, None, None, None, 10_000))

    def reconciliation(self) -> Any:
        with self.store.read() as session:
            return reconcile_store(
                session,
                self.stack.settings.safeguarding.iban,
                read_totals=partial(contract_totals, self.stack.chain),
            )

    def agreement(self, device: str) -> Any:
        """Return the store's row of a device's agreement."""
        with self.store.read() as session:
            return agreements.by_reference(session, self.references[device])

    def api(self, method: str, path: str, role: str = "operator", **options: Any) -> Any:
        """Send a request to the running rail's API with a key of that role."""
        if role not in self._keys:
            with self.store.write() as session:
                self._keys[role] = access.issue_key(session, role, role, "cp-")
        headers = {"Authorization": f"Bearer {self._keys[role]}"} | options.pop("headers", {})
        return requests.request(
            method, self.stack.api_url + path, headers=headers, timeout=PATIENCE_S, **options
        )

    def oracle(self, name: str) -> OracleClient:
        """The client of a running oracle, as the rail uses it."""
        rail_file = json.loads((self.stack.home / "rail.json").read_text())
        (at,) = [oracle for oracle in rail_file["oracles"] if oracle["name"] == name]
        return oracle_endpoint(self.stack.settings, at)

    def halted(self) -> dict[str, str]:
        """Return {step: reason} of the steps that the worker halted."""
        return self.api("GET", "/v1/status").json()["worker"]["halted"]

    def whole(self) -> bool:
        """Return whether every process runs and no step has halted."""
        running = all(process.exitcode is None for process in self.stack.processes.values())
        return running and len(self.stack.processes) == 7 and not self.halted()

    def commands(
        self, *arguments: Sequence[str], home: Path | None = None
    ) -> list[subprocess.CompletedProcess[str]]:
        """Run `proofrail` once per list of arguments, all at the same time."""
        environment = {**os.environ, "PROOFRAIL_HOME": str(home or self.stack.home)}
        return run_commands(arguments, environment, PATIENCE_S)
