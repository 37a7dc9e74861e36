"""Builds the JSON views of payouts and bank lines, and of amounts and parties in all views."""

from __future__ import annotations

from typing import Any

from orchestrator.core import ledger
from orchestrator.core.outcome import NOBODY
from orchestrator.edges.store import Session, agreements, bank_files, payments, payouts


def party_view(session: Session, address: str) -> dict[str, Any] | None:
    """Return the JSON view of a party, None where nobody is named."""
    if address in ("", NOBODY):
        return None
    party = agreements.party(session, address)
    return {"address": address, "name": party.name if party else None}


def payout_view(session: Session, row: payouts.PayoutRow | None) -> dict[str, Any] | None:
    """Return the JSON view of a payout, None without one."""
    if row is None:
        return None
    return {
        "payout_id": row.payout_id,
        "end_to_end_id": row.end_to_end_id,
        "stage": row.stage,
        "payee": party_view(session, row.payee),
        "transaction": row.tx_hash,
        "reason": row.reason,
        "ordered_at": row.ordered_at,
        **cents(row.cents),
        "payments": len(payments.of_payout(session, row.payout_id)),
    }


def bank_file_view(session: Session, row: payouts.PayoutRow | None) -> dict[str, Any] | None:
    """Return the JSON view of the file that ordered a payout, None without one."""
    file = bank_files.get(session, row.file_hash) if row and row.file_hash else None
    if file is None:
        return None
    return {"name": file.name, "sha256": file.file_hash, "kind": file.kind, "at": file.at}


def line_views(session: Session, row: payouts.PayoutRow | None) -> list[dict[str, Any]]:
    """Return the JSON views of the bank's lines about a payout, by time."""
    lines = []
    for line in bank_files.lines_of(session, row.end_to_end_id) if row else ():
        file = bank_files.get(session, line.source.hex())
        lines.append(
            {
                "kind": line.kind,
                "booked_on": line.booking_date.isoformat(),
                "path": line.path,
                "file": file.name,
                "sha256": file.file_hash,
                "at": file.at,
                "return": line.is_return,
                **cents(line.amount_minor),
            }
        )
    return sorted(lines, key=lambda line: (line["at"], line["kind"], line["path"]))


def micro(amount: int) -> dict[str, str]:
    """Return the JSON view of micro-euro tokens."""
    return {"amount": str(amount), "asset": ledger.TEUR}


def cents(amount: int) -> dict[str, str]:
    """Return the JSON view of cents."""
    return {"amount": str(amount), "asset": ledger.EUR}
