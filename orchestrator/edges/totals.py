"""Reads the totals of a rail straight from its SQLite file, for `proofrail status`.

Loading the object-relational mapper costs more than a second of a small machine's time; a command
that people run again and again, and that a health check runs, does without. A test compares each
value with what `edges/store` returns.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from orchestrator.core.payment import MOVED, STOPPING
from orchestrator.errors import Halt, Retry

_WAIT_S = 30
_EVENTS = """
    SELECT count(*) AS stored, count(payment_id) AS claimed, count(reason) AS dropped,
           count(*) FILTER (WHERE role = 'supporting' AND payment_id IS NULL AND reason IS NULL)
               AS supporting,
           count(*) FILTER (WHERE role = 'stream' AND payment_id IS NULL AND reason IS NULL)
               AS waiting
      FROM event"""
_REJECTED = """
    SELECT reason, sum(n) FROM (
        SELECT reason, count(*) AS n FROM rejection GROUP BY reason
        UNION ALL SELECT reason, count(*) FROM event WHERE reason IS NOT NULL GROUP BY reason
    ) GROUP BY reason ORDER BY sum(n) DESC, reason"""
_QUARANTINED = """
    SELECT coalesce(device.name, conflict.device_id) AS device, conflict.device_id,
           conflict.reason, count(*) AS conflicts, min(conflict.found_at) AS found_at
      FROM conflict LEFT JOIN device ON device.device_id = conflict.device_id
     GROUP BY conflict.device_id, conflict.reason ORDER BY conflict.device_id, conflict.reason"""
_STOPPED = f"""
    SELECT agreement.device, agreement.agreement_id, payment.payment_id, payment.stage,
           payment.reason, agreement.product
      FROM payment JOIN agreement ON agreement.agreement_id = payment.agreement_id
     WHERE payment.stage IN ({", ".join("?" * len(STOPPING))})
       AND coalesce(payment.reason, '') <> '{MOVED}' -- its records go on elsewhere
     ORDER BY agreement.device"""


def read_totals(path: Path) -> dict[str, Any]:
    """Return counts and sums of every kind, and what needs a person, in one snapshot.

    Args:
        path: The rail's database. Nothing is written to it.

    Returns:
        JSON of `proofrail status`: amounts are {"amount": minor units as text, "asset"}.

    Raises:
        Halt: The database has another schema than this version's.
        Retry: The database does not answer.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", _WAIT_S, uri=True)
        ) as c:
            c.row_factory = sqlite3.Row
            c.execute("BEGIN")
            return _totals(c)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR:  # no such table or column
            raise Halt(
                f"{path} has the schema of another version ({error}). Nothing was changed. Use the "
                "version that wrote it; `proofrail --version` shows yours."
            ) from error
        raise Retry(f"the database {path} does not answer: {error}") from error


def _totals(c: sqlite3.Connection) -> dict[str, Any]:
    return {
        "block": c.execute("SELECT max(number) FROM block").fetchone()[0],
        "final_block": c.execute("SELECT max(number) FROM block WHERE final").fetchone()[0] or 0,
        "events": dict(c.execute(_EVENTS).fetchone()),
        "rejected": dict(c.execute(_REJECTED).fetchall()),
        "payments": _stages(c, "payment", "amount_micro", "payments", "tEUR/6"),
        "payouts": _stages(c, "payout", "cents", "payouts", "EUR/2"),
        "holes": c.execute("SELECT count(*) FROM hole").fetchone()[0],
        "quarantined_devices": [dict(row) for row in c.execute(_QUARANTINED)],
        "equivocating_oracles": [
            dict(row) for row in c.execute("SELECT * FROM equivocation ORDER BY found_at, oracle")
        ],
        "stopped_agreements": [dict(row) for row in c.execute(_STOPPED, sorted(STOPPING))],
    }


def _stages(
    c: sqlite3.Connection, table: str, amount: str, counted: str, asset: str
) -> dict[str, dict[str, Any]]:
    rows = c.execute(
        f"SELECT stage, count(*), sum({amount}) FROM {table} GROUP BY stage ORDER BY stage"
    )
    return {
        stage: {counted: count, "amount": str(total or 0), "asset": asset}
        for stage, count, total in rows
    }
