"""A small rail with a fleet: a head and its meters, one agreement, and oracles that think."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from device_adapters.types import Curve, DeviceKey, Message
from oracles.attest import sign
from oracles.memory import Memory
from oracles.node import Identity, OracleNode, OracleView
from oracles.readers import READERS
from oracles.types import Progress
from orchestrator.core.payment import Stage
from orchestrator.core.release import next_day
from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import sign_document
from orchestrator.edges.chain.reader import Registry
from orchestrator.edges.chain.sender import ChainCall, Sender, send_and_wait
from orchestrator.edges.store import Session, agreements, lookup, payments
from orchestrator.operations import agreement_calls
from orchestrator.operations.agreements import Enrolment, enrolment_digest
from orchestrator.products import deployed, products
from scripts.month.rail import InProcessOracle
from scripts.stack import ORACLES
from services.development import reader_of
from services.simulated_devices.station import ORDER
from tests.support.meter_streams import key_of, record
from tests.support.small_rail import START, WINDOW, SmallRail

HEAD, FLEET = "head-1", "metered_fleet"
PERIOD_S = 900
STARTED = START - 600  # when the start registers were read
FIRST_REGISTER = 50_000  # of each meter, in 0.1 Wh
_FIRST_ORACLE = 5


class FleetRail(SmallRail):
    """`meters` are the members; the head's own register is charged to nobody.

    Attributes:
        sent: every record that was given to the rail and its oracles.
    """

    def __init__(self, home: Path, meters: int = 5) -> None:
        super().__init__(home)
        self.meters = [f"m-{number:04}" for number in range(1, meters + 1)]
        self.sent: list[bytes] = []
        self._counters: Counter[str] = Counter()
        self._end = 0
        self._registers = dict.fromkeys([HEAD, *self.meters], FIRST_REGISTER)

    def _town(self) -> None:
        self.enrol([HEAD, *self.meters])
        self.open_fleet()

    def enrol(self, names: Sequence[str], owner: str = "") -> None:
        at, owner = self.chain.deployment, owner or self.payee.address
        enrolments = []
        for name in names:
            digest = enrolment_digest(at.chain_id, at.addresses["DeviceRegistry"], name, owner)
            numbers = key_of(name).public_key().public_numbers()
            key = DeviceKey(Curve.SECP256R1, numbers.x, numbers.y)
            enrolments.append(Enrolment(name, key, owner, *_proof(name, digest)))
        self.agreement_ops.enrol(enrolments)

    def words(self, names: Sequence[str] = ()) -> dict[str, str]:
        """Return the terms as a person types them."""
        rows = [f"{name},0,{FIRST_REGISTER / 10_000:.4f}" for name in names or self.meters]
        return {
            "price": "0.30",
            "fuse": "22000",
            "register": "01-00:B0.08.00*FF",  # as the simulated meters name it
            "period": "15 minutes",
            "started": datetime.fromtimestamp(STARTED, UTC).isoformat(),
            "members": "\n".join(["device,counter,register", *rows]),
        }

    def open_fleet(self, names: Sequence[str] = (), head: str = HEAD, **agreed: Any) -> str:
        """Open an agreement of a fleet; agreed: fields of its mandate that differ."""
        product = products()[FLEET]
        fields = {
            "cap_micro": 8_000_000_000,
            "window_s": WINDOW,
            "expiry": START + 10**7,
            "terms": product.parse_terms(self.words(names)),
        }
        mandate = self.agreement_ops.mandate(
            head, self.payer.address, self.payee.address, product, **fields | agreed
        )
        signed = head, FLEET, mandate, self.agreement_ops.sign(mandate, self.payer)
        [self.agreements[head]] = self.agreement_ops.open([signed])
        return self.agreements[head]

    def _oracles(self) -> list[InProcessOracle]:
        return [self._oracle(n, name, domain) for n, (name, domain) in enumerate(ORACLES)]

    def _oracle(self, number: int, name: str, domain: int) -> InProcessOracle:
        key = bytes(keystore.development_account(_FIRST_ORACLE + number).key)
        at, address = self.chain.deployment, keystore.Account.from_key(key).address
        known = deployed(at.addresses)
        registry = Registry(self.chain, known, depth=2)
        identity = Identity(
            *(name, domain, address, partial(sign, private_key=key), at.chain_id),
            *(at.addresses["OracleCommittee"], at.addresses["PaymentRail"]),
        )
        view = OracleView(registry, registry, self._progress, known, lambda: self.clock)
        memory = Memory(self.home / f"{name}.sqlite3")
        node = OracleNode(identity, view, memory, READERS[reader_of(domain)])
        return InProcessOracle(
            name, address, domain, "", "", node=node, registry=registry, chain=self.chain
        )

    def _progress(self, agreement: bytes) -> Progress | None:
        sequence, last, *_, status = self.chain.view("PaymentRail", "agreementState", agreement)
        return Progress(sequence, last) if status else None

    # --- what the tests do with it

    def read(self, name: str, kwh: str | float, at: int) -> bytes:
        """Return the next record of a meter: `kwh` after the one before it."""
        self._counters[name] += 1
        self._registers[name] += round(float(kwh) * 10_000)
        return record(name, self._counters[name], ("", self._registers[name], at))

    def next_period(self) -> int:
        """Go to the end of the next period, a whole minute, and return it."""
        since = max(self._end, self.clock)
        self._end = (since + PERIOD_S + 59) // 60 * 60
        self.clock = self._end
        self.mine()
        return self._end

    def close(self, at: int) -> bytes:
        """Return the record of the head that ends a claim at a time."""
        return self.read(HEAD, 0, at)

    def deliver(self, *records: bytes, oracles: bool = True) -> list[str]:
        """Give records to the rail, and to its oracles as the broker would."""
        if oracles:
            messages = [Message("ocmf", "", record_, source="mqtt") for record_ in records]
            for oracle in self.rail.oracles:
                oracle.read_chain()
                oracle.node.take(messages)
        self.sent += records
        return self.take(*records)

    def until(self, sequence: int, stage: str, turns: int = 20) -> payments.PaymentRow:
        """Work until the payment of a sequence is at a stage, and return it."""
        for _ in range(turns):
            with self.store.read() as session:
                row = self._payment(session, sequence)
            if row is not None and row.stage == stage:
                return row
            self.work(1)
        raise AssertionError(f"payment {sequence}: {row and (row.stage, row.reason)}, not {stage}")

    def escrow(self) -> int:
        """Return the micro-euro in the fleet's escrow on chain."""
        identity = bytes.fromhex(self.agreements[HEAD][2:])
        return self.chain.view("PaymentRail", "agreementState", identity)[2]

    def skip(self) -> None:
        """Payer and payee pass over the claim that the chain expects next."""
        with self.store.read() as session:
            row = agreements.get(session, self.agreements[HEAD])
        skipped = agreement_calls.claim_to_skip(self.store, self.chain, row, None)
        document = agreement_calls.document(self.chain, skipped)
        signers = {"payer": self.payer, "payee": self.payee}
        signatures = {name: sign_document(document, key) for name, key in signers.items()}
        call = ChainCall("skip", row.agreement_id, agreement_calls.skip_call(skipped, signatures))
        sender = Sender(self.store, self.chain, self.payer)
        send_and_wait(sender, [call], self.clock, self.mine)
        self.work(3)

    def until_reconciled(self, sequence: int) -> None:
        """Work until a payment is on the bank's statement; the rail orders one payout a day."""
        for _ in range(4):
            self.clock = next_day(self.clock)
            self.work(6, 20)
            self.close_day()
            self.work(2)
            with self.store.read() as session:
                if self._payment(session, sequence).stage == Stage.RECONCILED:
                    return
        raise AssertionError(f"payment {sequence} is on no statement")

    def _payment(self, session: Session, sequence: int) -> payments.PaymentRow | None:
        rows = lookup.payments_of(session, lookup.FoundId("agreement", self.agreements[HEAD]), 50)
        return next((row for row, _ in rows if row.sequence == sequence), None)


def _proof(name: str, digest: bytes) -> tuple[int, int]:
    r, s = decode_dss_signature(key_of(name).sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    return r, min(s, ORDER - s)
