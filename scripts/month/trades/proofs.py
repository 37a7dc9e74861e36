"""Traces one payment of each trade to the bank's statement, and audits it offline."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.core.audit import verify
from orchestrator.edges.store import Session
from orchestrator.products import products
from orchestrator.views.audit_bundle import export
from orchestrator.views.trace import trace
from scripts.month.rail import MonthRail
from scripts.month.trades.trade import MonthTrade


def missing_steps(rail: MonthRail, session: Session, trade: MonthTrade) -> list[str]:
    """Return which steps of the life of a trade's first payment are not shown; none if all are.

    The audit gets the bundle as text, and nothing of the rail.
    """
    payments = trace(session, trade.agreement.identity)["payments"]
    [payment] = [row["payment_id"] for row in payments if row["sequence"] == 1]
    life = trace(session, payment)["life"]
    steps = {
        "record": any(event["device"] == trade.device.name for event in life["events"]),
        "heard": {event["device"] for event in life["supporting"]}
        == {device.name for device in trade.devices[1:]},
        "signatures": len(life["attestation"]["signatures"]) >= 3,
        "settlement": life["settlement"]["final"],
        "ledger": [entry["kind"] for entry in life["ledger"]][:1] == ["settled"],
        "statement line": any(line["kind"] == "camt.053" for line in _lines(life)),
    }
    bundle = export(session, payment, rail.chain.deployment).bundle
    report = verify(json.loads(json.dumps(bundle)), products())
    steps["audit"] = report.ok and report.complete is not bool(life["share"])
    steps["effects"] = [item["id"] for item in bundle["effects"]] == [
        item["effect_id"] for item in life["effects"]
    ]
    if trade.PRODUCT == "payg_unlock":
        [effect] = life["effects"]
        steps["token"] = effect["token"] == {"device": trade.device.name, "number": 1}
    return [step for step, holds in steps.items() if not holds]


def _lines(life: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the bank's lines: of the payee, or of the holders that share its income."""
    if life["share"] is None:
        return life["statement_lines"]
    return [
        line
        for part in life["share"]["holders"]
        for payout in part["payouts"]
        for line in payout["statement_lines"]
    ]
