"""A partner's view of a trace: what belongs to its own devices, and nothing of others'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

# a settlement, a batch or a payout holds the payments of several partners
_OF_ONE_DEVICE = ("event", "evidence", "payment", "agreement", "device")
# entries that are about one payment alone; releases and payouts are about all of its payee
_OF_ONE_PAYMENT = ("settled", "debt_recorded", "disputed", "dispute_ended")


def partner_trace(view: Mapping[str, Any], sees: Callable[[str], bool]) -> dict[str, Any] | None:
    """Return the part of a trace that a partner may see, or None.

    Args:
        view: The result of `orchestrator.views.trace.trace`.
        sees: Whether the partner may see a device, by its name.
    """
    about = view["about"] or {}
    payments = [payment for payment in view["payments"] if sees(payment["device"])]
    device = about.get("device") or about.get("name")
    is_own = sees(device) if device else bool(payments)
    if view["kind"] not in _OF_ONE_DEVICE or not is_own:
        return None
    life = view["life"]
    return {
        **view,
        "payments": payments,
        "totals": {
            "payments": len(payments),
            "amount": str(sum(int(payment["amount"]) for payment in payments)),
            "asset": view["totals"]["asset"],
            "by_stage": dict(Counter(payment["stage"] for payment in payments)),
        },
        "life": _own_life(life, sees) if life and sees(life["device"]) else None,
    }


def _own_life(life: Mapping[str, Any], sees: Callable[[str], bool]) -> dict[str, Any]:
    payout = life["payout"]
    supporting = [event for event in life["supporting"] if sees(event["device"])]
    return {
        **life,
        "supporting": supporting,
        "supporting_total": {
            "records": len(supporting),
            "devices": len({event["device"] for event in supporting}),
        },
        # where it went, and who shares a payee's income, is the operator's and the payee's
        "effects": [{**effect, "deliveries": []} for effect in life["effects"]],
        "share": None,
        "ledger": [entry for entry in life["ledger"] if entry["kind"] in _OF_ONE_PAYMENT],
        # its amount adds up the payments of all devices that pay this payee
        "payout": payout and {name: payout[name] for name in ("payout_id", "stage", "ordered_at")},
        "bank_file": None,
        "statement_lines": [],
    }
