"""What a payment says of each meter, where its agreement charges many."""

from __future__ import annotations

from typing import Any

from orchestrator.edges.store import Session, agreements, payments
from orchestrator.products import product

COLUMNS = (
    "device",
    "counter_before",
    "counter",
    "register_before",
    "register",
    "energy",
    "read_at",
)


def meters_view(
    session: Session, row: payments.PaymentRow, agreement: agreements.AgreementRow
) -> dict[str, Any] | None:
    """Return the JSON view of a payment's meters; None if its product charges no fleet.

    Registers and energy are Wh, `read_at` Unix seconds, in whole minutes. A meter that was silent
    has the row of before.
    """
    rules = product(agreement.product)
    if not hasattr(rules, "meter_lines") or not row.facts:
        return None
    raw = bytes.fromhex(agreement.terms[2:]), bytes.fromhex(row.facts[2:])
    names = {device.device_id: device.name for device in agreements.devices(session)}
    meters = [
        {
            "device": names.get("0x" + line.device.hex(), "0x" + line.device.hex()),
            "counter_before": line.counter_before,
            "counter": line.counter,
            "register_before": line.register_before,
            "register": line.register,
            "energy": line.register - line.register_before,
            "read_at": line.read_at,
        }
        for line in rules.meter_lines(*raw)
    ]
    return {
        "payment_id": row.payment_id,
        "facts": rules.format_facts(raw[1]),
        "silent": sum(meter["counter"] == meter["counter_before"] for meter in meters),
        "energy": sum(meter["energy"] for meter in meters),
        "meters": meters,
    }
