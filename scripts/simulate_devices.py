"""Simulate a fleet until SIGTERM: it publishes signed records by MQTT and takes receipts."""

from __future__ import annotations

import argparse
import json
import signal
import threading
from pathlib import Path

from orchestrator.edges.broker import credentials
from services.simulated_devices.faults import Fault, commit
from services.simulated_devices.fleet import Fleet


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m scripts.simulate_devices --home DIR --broker-port N --receipt-key PEM ...`.

    At its end it prints one JSON line with the totals.

    Returns:
        0 if every record was answered, else 1.
    """
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fleet = Fleet(
        options.home,
        options.charge_points,
        options.meters,
        options.seed,
        options.start_at,
        options.receipt_key.read_bytes(),
    )
    try:
        passwords = _issue(options.home, fleet) if options.issue_passwords else None
        away = fleet.connect("127.0.0.1", options.broker_port, passwords)
        if not away:
            _run(fleet, options, stop)
            fleet.until_receipted(options.patience)
        totals = fleet.totals()
        print(json.dumps({"away": away, **totals}), flush=True)
        return 1 if away or totals["unreceipted"] else 0
    finally:
        fleet.close()


def _run(fleet: Fleet, options: argparse.Namespace, stop: threading.Event) -> None:
    """Send what earlier runs left unanswered, then publish records round by round."""
    for device in fleet.devices.values():
        device.resend(0)
    for _ in range(options.rounds):
        for device in fleet.devices.values():
            device.publish(device.make_records(options.records))
            device.collect()
            device.resend(options.resend_after)
        if stop.wait(options.pause):
            return
    for fault in options.fault:
        names = list(fleet.devices)
        commit(Fault(fault), fleet[names[0]], other=names[-1])


def _issue(home: Path, fleet: Fleet) -> dict[str, str]:
    return credentials.issue_many(home, list(fleet.devices), credentials.CredentialRole.DEVICE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--broker-port", type=int, required=True)
    parser.add_argument(
        "--receipt-key", type=Path, required=True, help="the rail's public key, PEM"
    )
    parser.add_argument("--charge-points", type=int, default=3)
    parser.add_argument("--meters", type=int, default=1)
    parser.add_argument("--seed", type=int, help="keys and readings follow from it")
    parser.add_argument("--start-at", type=int, default=1_750_000_000, help="Unix seconds")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--records", type=int, default=1, help="per device and round")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between rounds")
    parser.add_argument("--resend-after", type=float, default=5.0, help="seconds")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds for last receipts")
    parser.add_argument(
        "--fault", action="append", default=[], choices=[fault.value for fault in Fault]
    )
    parser.add_argument("--issue-passwords", action="store_true", help="for a broker of this home")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
