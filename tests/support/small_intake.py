"""An intake on a real store with real devices and a stand-in for the chain.

Here a test sets what the chain returns, or that it does not answer; the flow tests use a real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from device_adapters.types import STREAM_BIT, DeviceKey, Message, device_id
from oracles.hearing import heard_devices
from oracles.types import Agreement, ClaimReason
from orchestrator.edges.store import Store, agreements, rejections
from orchestrator.errors import Retry
from orchestrator.ingest.intake import Intake, RecordOutcome
from orchestrator.products import Product, products
from orchestrator.products.metered_energy import product
from services.simulated_devices.fleet import Fleet

START = 1_760_000_000
TERMS = product.encode_terms(product.EnergyTerms(300_000, 22_000))


class IntakeChain:
    """Stands for the registry: keys (or reasons) by device, compromises, opened agreements."""

    def __init__(self) -> None:
        self.keys: dict[bytes, DeviceKey | ClaimReason] = {}
        self.compromised: dict[bytes, int] = {}
        self.gateways: dict[bytes, bytes] = {}  # device -> its gateway, at any time
        self.opened: dict[bytes, Agreement] = {}  # by id, oldest first
        self.silent: set[str] = set()  # of "keys", "agreements": what does not answer
        self.rules: dict[str, Product] = products()

    def key_at(self, device: bytes, at_seconds: int) -> DeviceKey | ClaimReason:
        if "keys" in self.silent:
            raise Retry("the node is silent")
        return self.keys.get(device, ClaimReason.DEVICE_UNKNOWN)

    def compromised_since(self, device: bytes) -> int | None:
        return self.compromised.get(device)

    def gateway_at(self, device: bytes, at_seconds: int) -> bytes | None:
        return self.gateways.get(device)

    def agreements_of(self, device: bytes) -> list[Agreement]:
        if "agreements" in self.silent:
            raise Retry("the node is silent")
        return [item for item in reversed(self.opened.values()) if item.device_id == device]

    def agreements_about(self, subject: bytes) -> list[Agreement]:
        return [item for item in reversed(self.opened.values()) if item.subject == subject]

    def agreements_hearing(self, device: bytes) -> list[Agreement]:
        return [
            item
            for item in reversed(self.opened.values())
            if device in heard_devices(self.rules[item.product], item.terms, item.device_id)
        ]

    def agreement(self, identity: bytes) -> Agreement | None:
        return self.opened.get(identity)


class SmallIntake:
    """Enrolled devices cp-0001, cp-0002 and meter-0001; the first and the last have agreements."""

    def __init__(self, home: Path) -> None:
        self.clock = START + 100_000
        self.fleet = Fleet(home, 2, 1, seed=11, start_at=START)
        self.store, self.chain = Store(home / "rail.sqlite3"), IntakeChain()
        self.intake = Intake(self.store, self.chain, products(), lambda: self.clock)
        for name, device in self.fleet.devices.items():
            self.chain.keys[device_id(name)] = device.public
        self.agree("cp-0001")
        self.agree("meter-0001", first_counter=1 << STREAM_BIT)

    def close(self) -> None:
        self.fleet.close()
        self.store.close()

    def agree(self, name: str, first_counter: int = 0, **fields: object) -> str:
        """Open an agreement on the stand-in chain and store it; return its id."""
        defaults = {
            "agreement": device_id("agreement of " + name),
            "device": name,
            "device_id": device_id(name),
            "product": "metered_energy",
            "terms": TERMS,
            "start": 0,
            "expires_at": START + 10**7,
            "first_counter": first_counter,
        }
        opened = Agreement(**defaults | fields)
        self.chain.opened[opened.agreement] = opened
        identity = "0x" + opened.agreement.hex()
        with self.store.write() as session:
            session.merge(
                agreements.AgreementRow(
                    agreement_id=identity,
                    device_id="0x" + opened.device_id.hex(),
                    device=name,
                    product=opened.product,
                    product_address="0x" + "22" * 20,
                    payer="0x" + "33" * 20,
                    payee="0x" + "44" * 20,
                    cap_micro=10**9,
                    period_days=30,
                    window_s=60,
                    expiry=opened.expires_at,
                    first_counter=first_counter,
                    required_domain=0,
                    salt="0x",
                    terms="0x" + opened.terms.hex(),
                    signature="0x",
                    reference=identity,
                    stage="live",
                    last_counter=first_counter,
                )
            )
        return identity

    def take(self, *messages: Message | bytes) -> list[list[RecordOutcome]]:
        return self.intake.take(
            [m if isinstance(m, Message) else Message("ocmf", "", m) for m in messages]
        )

    def answers(self, *messages: Message | bytes) -> list[str]:
        return [record.outcome for records in self.take(*messages) for record in records]

    def stored(self) -> tuple[int, int, list[str]]:
        """Return (evidence rows, events, reasons of rejections in order of arrival)."""
        with self.store.read() as session:
            count = [
                session.connection().exec_driver_sql(f"SELECT count(*) FROM {t}").scalar()
                for t in ("evidence", "event")
            ]
            kept = rejections.newest(session, None, None, 10_000)
            return count[0], count[1], [row.reason for row in reversed(kept)]

    def events(self, name: str) -> dict[int, tuple[str | None, str | None]]:
        """Return counter -> (payment id, reason) of a device's events."""
        with self.store.read() as session:
            rows = (
                session.connection()
                .exec_driver_sql(
                    "SELECT counter, payment_id, reason FROM event WHERE device_id = ?",
                    ("0x" + device_id(name).hex(),),
                )
                .fetchall()
            )
        return {counter: (payment, reason) for counter, payment, reason in rows}


def joined(records: Iterable[bytes], device: str = "") -> Message:
    return Message("ocmf", device, b"\n".join(records))
