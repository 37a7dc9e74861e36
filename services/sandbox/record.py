"""Sends one reading of the simulated meter and follows its payment: `proofrail sandbox record`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from device_adapters.types import Rejected
from orchestrator.addresses import read_addresses
from orchestrator.core import funding
from orchestrator.core.payment import Stage
from orchestrator.edges.store import Store, fundings
from orchestrator.errors import Halt, Retry
from orchestrator.settings import Settings
from orchestrator.views.trace import trace
from services.sandbox.journal import read_journal
from services.sandbox.meter import METER, SandboxMeter, open_meter
from services.simulated_devices.journal import evidence_of

PATIENCE_S = 120.0  # for each step; a rail that is well needs a second or two
_POLL_S = 0.1
_RESEND_S = 5.0
# the stages in order; a payment that stands elsewhere has ended without money, or waits for some
MAIN_LINE = (
    Stage.RECEIVED,
    Stage.VERIFIED,
    Stage.ATTESTED,
    Stage.SETTLED,
    Stage.POSTED,
    Stage.PAID_OUT,
    Stage.RECONCILED,
)
_ENDED = (Stage.REJECTED, Stage.REFUSED, Stage.EXPIRED, Stage.REFUNDED, Stage.SKIPPED)
_FACT_NAMES = {"derived": "verified", "final": "final", "redeemed": "paid out"}


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of what happens to a reading. at: Unix seconds."""

    at: int
    what: str
    detail: str


class Recording:
    """One reading on its way; `lines` yields what happens to it, as it happens.

    Attributes:
        evidence: SHA-256 of the record (hex), once it is signed.
        life: the newest JSON view of its payment.

    Args:
        until: the stage at which `lines` ends.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        settings: Settings,
        kwh: Decimal,
        until: Stage = Stage.SETTLED,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._kwh, self._until = settings, kwh, until
        self._clock, self._rest = clock, rest
        self.evidence = ""
        self.life: dict[str, Any] | None = None

    @property
    def arrived(self) -> bool:
        """Return whether the payment has reached the wanted stage."""
        stage = self.life["stage"] if self.life else ""
        line = MAIN_LINE
        return stage in line and line.index(Stage(stage)) >= line.index(self._until)

    def lines(self) -> Iterator[TraceLine]:
        """Sign, send and follow; end at the wanted stage, or where the payment ends without it.

        Raises:
            Halt: the rail has no sandbox, or the meter cannot measure so much yet.
            Retry: a step does not happen.
        """
        store = Store(self._settings.database)
        try:
            yield from self._funded(store)
            meter = open_meter(self._settings)
            try:
                yield from self._sent(meter)
            finally:
                meter.close()
            yield from self._followed(store)
        finally:
            store.close()

    def _funded(self, store: Store) -> Iterator[TraceLine]:
        journal = read_journal(self._settings)
        if journal is None or not journal.done:
            raise Halt(
                f"The rail at {self._settings.home} has no sandbox yet. Nothing was signed. Start "
                "it with `proofrail up`."
            )

        def funded() -> fundings.FundingRow | None:
            with store.read() as session:
                return next(
                    (
                        row
                        for row in fundings.at_stage(session, funding.Stage.MINTED, 1_000)
                        if row.agreement_id == journal.agreement
                    ),
                    None,
                )

        row = self._until_true(funded, "the agreement's funding is not in its escrow")
        yield self._line("funded", f"{row.cents // 100:,}.{row.cents % 100:02} EUR in escrow")

    def _sent(self, meter: SandboxMeter) -> Iterator[TraceLine]:
        before = meter.register
        record = meter.measure(self._kwh, int(time.time()))
        self.evidence = evidence_of(record).hex()
        rise = f"register {before / 10_000:.4f} to {meter.register / 10_000:.4f} kWh"
        yield self._line("signed", f"{METER} T{meter.counter}: {rise}; evidence {self.evidence}")
        broker = read_addresses(self._settings.home)["broker"]
        link = meter.connect(broker["host"], broker["port"])
        if not link.wait_ready(PATIENCE_S):
            raise Retry(f"the broker does not let {METER} in ({link.refusal or 'no answer'})")
        meter.publish([record])
        yield self._line("sent", f"by MQTT to {broker['host']}:{broker['port']}")

        def receipted() -> str | None:
            meter.collect(_POLL_S)
            meter.resend(_RESEND_S)
            return meter.outcomes.get(self.evidence)

        outcome = self._until_true(receipted, "no receipt for the record arrives")
        yield self._line("received", f"signed receipt of the rail: {outcome}")

    def _followed(self, store: Store) -> Iterator[TraceLine]:
        shown = 0
        while True:
            life = self._until_true(
                lambda count=shown: self._changed(store, count), "the payment does not go on"
            )
            self.life = life
            for fact in life["facts"][shown:]:
                yield from _fact_lines(fact, life)
            shown = len(life["facts"])
            if self.arrived or life["stage"] in _ENDED:
                return

    def _changed(self, store: Store, facts: int) -> dict[str, Any] | None:
        try:
            with store.read() as session:
                life = trace(session, self.evidence, 1)["life"]
        except Rejected:  # not stored yet
            return None
        return life if life and len(life["facts"]) > facts else None

    def _until_true(self, holds: Callable[[], Any], otherwise: str) -> Any:
        deadline = self._clock() + PATIENCE_S
        while not (value := holds()):
            if self._clock() > deadline:
                raise Retry(
                    f"{otherwise} after {PATIENCE_S:.0f} s. See `proofrail ps` and `proofrail "
                    "status`, which name what is wrong"
                )
            self._rest(_POLL_S)
        return value

    @staticmethod
    def _line(what: str, detail: str) -> TraceLine:
        return TraceLine(int(time.time()), what, detail)


def _fact_lines(fact: dict[str, Any], life: dict[str, Any]) -> Iterator[TraceLine]:
    name = _FACT_NAMES.get(fact["fact"], fact["fact"])
    detail = fact["detail"]
    if fact["fact"] == "attested" and life["attestation"]:
        for signature in life["attestation"]["signatures"]:
            signer = f"{signature['name']} of trust domain {signature['domain']} signed"
            yield TraceLine(fact["at"], "attested", signer)
        return
    if fact["fact"] == "settled" and life["settlement"]:
        settlement = life["settlement"]
        detail = f"block {settlement['block']}, transaction {settlement['transaction']}"
    yield TraceLine(fact["at"], name, detail)


def parse_stage(text: str) -> Stage:
    """Return a stage of the main line; raises Halt for another word."""
    if text not in MAIN_LINE:
        raise Halt(
            f"{text!r} is no stage to wait for. Nothing was signed. Choose one of "
            f"{', '.join(MAIN_LINE[3:])}."
        )
    return Stage(text)
