"""A second process on one store: it writes, waits inside a transaction, or makes the store.

store_process.py DATABASE write COUNT | hold | make
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from orchestrator.core import ledger
from orchestrator.edges.store import Store, add_all, evidence
from orchestrator.edges.store import ledger as store_ledger


def main() -> None:
    path, action, *options = sys.argv[1:]
    store = Store(Path(path))
    if action == "write":
        for number in range(int(options[0])):
            with store.write() as session:
                store_ledger.post(session, [ledger.funding_booked(f"{options[1]}-{number}", 1)], 1)
    if action == "hold":
        with store.write() as session:
            add_all(
                session,
                [
                    evidence.EvidenceRow(
                        evidence_hash=f"{n:064x}",
                        body=b"half",
                        protocol="ocmf",
                        source="mqtt",
                        received_at=0,
                    )
                    for n in range(500)
                ],
            )
            store_ledger.post(session, [ledger.funding_booked("half", 1)], 1)
            print("inside", flush=True)
            time.sleep(60)  # until it is killed


if __name__ == "__main__":
    main()
