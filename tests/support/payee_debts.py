"""Estimates, the credits that correct them, and repayments by the payee."""

from __future__ import annotations

import secrets

from orchestrator.edges.chain.client import Call
from orchestrator.edges.store import payments
from services.simulated_devices.device import DeviceKind
from services.simulated_devices.record import Point, payload_of, sign
from tests.support.open_rail import OpenRail

PAYEE, MINTER = 11, 3  # development accounts


KWH = 10_000  # units of a simulated register


MICRO_PER_KWH = 300_000


def meter(rail: OpenRail, name: str, cents: int = 5_000) -> None:
    """A household meter whose every step is charged, with its first reading settled."""
    rail.join(name, cents, DeviceKind.HOUSEHOLD)
    read(rail, name, "0.1", "posted")


def read(rail: OpenRail, name: str, kwh: str, stage: str) -> payments.PaymentRow:
    """A reading's payment, once it is at that stage."""
    device = rail.fleet[name]
    device.now = max(device.now, rail.clock) + 3_600
    return settled(rail, name, device.reading(kwh), stage)


def settled(rail: OpenRail, name: str, records: list[bytes], stage: str) -> payments.PaymentRow:
    before = rail.payment(name).payment_id
    assert rail.take(*records) == ["accepted"]
    rail.work(1)
    assert rail.payment(name).payment_id != before
    rail.until(name, stage)
    return rail.payment(name)


def guess(rail: OpenRail, name: str, kwh: int, stage: str = "paid_out") -> None:
    """A substitute value, so many kWh beyond the last reading, and its payment at a stage."""
    device = rail.fleet[name]
    base = Point("", device.now, device.register)
    device.now = max(device.now, rail.clock) + 7_200
    device.counter += 1
    points = [base, Point("", device.now, device.register + kwh * KWH)]
    payload = payload_of(name, f"F{device.counter}", points)
    estimated = '"ST":"S"}]'.join(payload.rsplit('"ST":"G"}]', 1))
    settled(rail, name, [sign(estimated, device.key)], stage)


def corrected(rail: OpenRail, name: str, guessed: int, read_kwh: int) -> payments.PaymentRow:
    """An estimate that was paid out, and the credit that the next actual reading makes of it."""
    guess(rail, name, guessed)
    row = read(rail, name, str(read_kwh), "posted")
    assert (row.amount_micro, row.release_at) == ((read_kwh - guessed) * MICRO_PER_KWH, 0)
    return row


def repay(rail: OpenRail, micro: int, minted: int) -> None:
    """The payee pays its debts out of tokens that it holds."""
    minted += -minted % 10_000  # the minter mints whole cents
    mint = (secrets.token_bytes(32), rail.payee.address, minted)
    rail.send(MINTER, Call("EuroToken", "mint", mint))
    at = rail.chain.deployment.addresses
    rail.send(PAYEE, Call("EuroToken", "approve", (at["PaymentRail"], micro)))
    rail.send(PAYEE, Call("PaymentRail", "repay", (micro,)))
