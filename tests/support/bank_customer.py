"""A simulated bank in this process, with the customer at the other end of its channel."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from lxml import etree

from orchestrator.core.references import end_to_end_id, funding_reference, uetr
from orchestrator.edges.bank import camt, pain
from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.bank.types import Address, Debtor, PaymentOrder, StatusReport
from services.bank import new_iban
from services.simulated_bank.bank import SimulatedBank

SCHEMAS = Path(__file__).resolve().parents[3] / "shared" / "data" / "iso20022"


SAFE, PAYER, PAYEE, CLOSED = (new_iban(number) for number in (1, 2, 3, 4))


CONFIG = {
    "business_date": "2026-11-20",
    "accounts": [
        {"iban": SAFE, "name": "Proofrail Safeguarding", "kind": "safeguarding"},
        {"iban": PAYER, "name": "Payer", "kind": "customer", "balance_cents": 100_000},
        {"iban": PAYEE, "name": "Payee", "kind": "customer"},
        {"iban": CLOSED, "name": "Gone", "kind": "customer", "closed": True},
    ],
}


HOME = Address("Weg", "1", "10115", "Berlin", "DE")


REFERENCE = funding_reference(b"\5" * 32)


DAY = date(2026, 11, 20)  # a Friday


def payout(number: int, **facts) -> PaymentOrder:
    payout_id = bytes([number]) * 32
    return replace(
        PaymentOrder(
            payout_id, end_to_end_id(payout_id), uetr(payout_id), "Payee", PAYEE, HOME, 1_000
        ),
        **facts,
    )


def order(*payouts: PaymentOrder, day: date = DAY, batch_booking: bool = True) -> bytes:
    return pain.write(
        payouts,
        Debtor("Proofrail", SAFE, HOME),
        pain.message_id(payouts),
        datetime(2026, 11, 20, tzinfo=UTC),
        day,
        batch_booking=batch_booking,
    )


class BankCustomer:
    """A bank in this process, with the customer's side of the channel."""

    def __init__(self, home: Path) -> None:
        self.home, self.bank = home, SimulatedBank(home, CONFIG)
        self.channel = Folder(home / "to_bank", home / "from_bank")
        self.files: list[bytes] = []

    def instruct(self, **instruction) -> dict:
        name = f"{len(list((self.home / 'instructions').rglob('*.json'))):06d}"
        (self.home / "instructions" / f"{name}.json").write_text(json.dumps(instruction))
        self.bank.step()
        return json.loads((self.home / "instructions" / "done" / f"{name}.result").read_text())

    def send(self, name: str, data: bytes) -> None:
        self.channel.send(name, data)
        self.bank.step()

    def fetch(self) -> list:
        """Return the parsed new files; they are validated if the schemas are available."""
        reports = []
        for name, data in self.channel.receive():
            validate(data)
            answer = camt.parse(data, accounts=[SAFE])
            reports += [answer] if isinstance(answer, StatusReport) else answer
            self.channel.done(name)
            self.files.append(data)
        return reports


@cache
def schema(version: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(SCHEMAS / f"{version}.xsd")))


def validate(data: bytes) -> None:
    if data.startswith(b":20:"):  # MT940 has no schema
        return
    root = etree.fromstring(data)
    version = etree.QName(root).namespace.rpartition(":")[2]
    if (SCHEMAS / f"{version}.xsd").exists():
        schema(version).assertValid(root)
