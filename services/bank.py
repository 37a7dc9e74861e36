"""Run the simulated bank as its own process, or send an instruction to a running one.

python -m services.bank serve --home .proofrail/bank --config bank.json
python -m services.bank pay --from IBAN --to IBAN --amount 500.00 --reference RF...
python -m services.bank misbehave duplicate --times 2
python -m services.bank close-day
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from prometheus_client import Counter

from orchestrator.edges.bank.reachable import ALIVE
from orchestrator.errors import passing_trouble
from orchestrator.home_lock import HomeInUse, hold
from services import logs
from services.metrics import process_registry
from services.metrics import serve as serve_metrics
from services.simulated_bank.bank import SimulatedBank, write_file
from services.simulated_bank.misbehaviour import MISBEHAVIOURS
from services.simulated_bank.orders import new_iban

__all__ = ["BankClient", "main", "new_iban"]

_HOME = Path(".proofrail/bank")
_POLL_SECONDS = 0.05
_RETRY_SECONDS = 1.0
_ALIVE_SECONDS = 5.0


class BankClient:
    """Send instructions of customers to the bank that serves a folder.

    Instructions are files, so they also reach a bank that starts later.
    """

    def __init__(self, home: Path) -> None:
        self.home = Path(home)

    def pay(
        self,
        debtor: str,
        creditor: str,
        amount_cents: int,
        reference: str = "",
        text: str = "",
        currency: str = "EUR",
    ) -> dict[str, Any]:
        """Make a customer's credit transfer.

        Args:
            creditor: IBAN at this bank; "" for the safeguarding account.

        Returns:
            {"ok": True}, or {"ok": False, "reason": the bank's reason}.
        """
        return self.instruct(
            {
                "kind": "pay",
                "from": debtor,
                "to": creditor,
                "text": text,
                "amount_cents": amount_cents,
                "reference": reference,
                "currency": currency,
            }
        )

    def misbehave(
        self, what: str, times: int = 1, target: str = "", **options: Any
    ) -> dict[str, Any]:
        """Have the bank misbehave.

        Args:
            what: a key of `simulated_bank.misbehaviour.MISBEHAVIOURS`.
            target: the EndToEndId or batch that it concerns; "" for the next one.
            options: of that misbehaviour.
        """
        return self.instruct(
            {"kind": "misbehave", "what": what, "times": times, "for": target, **options}
        )

    def reverse(self, end_to_end_id: str) -> dict[str, Any]:
        """Reverse the last booking of an order."""
        return self.instruct({"kind": "reverse", "end_to_end_id": end_to_end_id})

    def send_back(self, end_to_end_id: str, reason: str = "AC04") -> dict[str, Any]:
        """Return a booked payout, as the payee's bank would."""
        return self.instruct({"kind": "return", "end_to_end_id": end_to_end_id, "reason": reason})

    def open_account(
        self,
        iban: str,
        name: str,
        balance_cents: int = 0,
        *,
        closed: bool = False,
        kind: str = "customer",
    ) -> dict[str, Any]:
        """Open an account; for one that exists, only set its closed mark."""
        return self.instruct(
            {
                "kind": "open",
                "iban": iban,
                "name": name,
                "closed": closed,
                "balance_cents": balance_cents,
                "kind_of_account": kind,
            }
        )

    def close_day(self) -> dict[str, Any]:
        """End the bank's day: it writes the camt.053 and begins the next day."""
        return self.instruct({"kind": "close_day"})

    def instruct(self, instruction: dict[str, Any], timeout_s: int = 60) -> dict[str, Any]:
        """Send one instruction and return its result.

        Raises:
            TimeoutError: no bank answers.
        """
        name = f"{time.time_ns():020d}-{uuid4().hex[:8]}"
        folder = self.home / "instructions"
        write_file(folder / f"{name}.json", json.dumps(instruction).encode())
        result = folder / "done" / f"{name}.result"
        if not _until(result.exists, timeout_s):
            raise TimeoutError(
                f"no bank serves {self.home}; the instruction {name} waits there until one starts"
            )
        return json.loads(result.read_bytes())


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 if the bank refuses, 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        try:
            with hold(options.home / "lock"):
                return serve(
                    options.home, json.loads(options.config.read_bytes()), options.metrics_port
                )
        except HomeInUse as error:
            print(error, file=sys.stderr)
            return 2
    if options.command == "new-iban":
        print(new_iban(options.number))
        return 0
    bank = BankClient(options.home)
    try:
        if options.command == "pay":
            answer = bank.pay(
                options.debtor,
                options.creditor,
                options.amount,
                options.reference,
                options.text,
                options.currency,
            )
        elif options.command == "return":
            answer = bank.send_back(options.end_to_end_id, options.reason)
        elif options.command == "reverse":
            answer = bank.reverse(options.end_to_end_id)
        elif options.command == "misbehave":
            answer = bank.misbehave(
                options.what, options.times, options.target, **dict(options.details)
            )
        else:
            answer = bank.close_day()
    except (TimeoutError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


def serve(home: Path, config: dict[str, Any], metrics_port: int = 0) -> int:
    """Poll the folders until SIGTERM or SIGINT; every input is processed completely.

    The file `alive` is touched every few seconds, so that others see when the bank has died.
    """
    log, sink = logs.set_up("bank")
    registry = process_registry("bank", sink)
    inputs = Counter("proofrail_bank_inputs", "Orders and instructions taken.", registry=registry)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    home.mkdir(parents=True, exist_ok=True)
    bank = SimulatedBank(home, config)
    write_file(home / "ready", b"")
    print(f"the bank serves {home}, its day is {bank.books.today}", flush=True)
    if metrics_port:
        serve_metrics(registry, metrics_port, log)
    touched_at = float("-inf")
    while not stop.is_set():
        try:
            if time.monotonic() - touched_at > _ALIVE_SECONDS:
                (home / ALIVE).touch()
                touched_at = time.monotonic()
            done = bank.step()
        except (OSError, sqlite3.Error) as error:
            if (trouble := passing_trouble(error)) is None:
                raise
            log.warning("the bank waits", reason=trouble)
            stop.wait(_RETRY_SECONDS)
            continue
        inputs.inc(done)
        if not done:
            stop.wait(_POLL_SECONDS)
    (home / "ready").unlink(missing_ok=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.bank",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", type=Path, default=_HOME, help="the bank's folder (default: %(default)s)"
    )
    # --home is accepted after the command too, and must not override one before it.
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--home", type=Path, default=argparse.SUPPRESS, help="the bank's folder")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_ = commands.add_parser("serve", parents=[shared], help="run the bank until SIGTERM")
    serve_.add_argument(
        "--config",
        type=Path,
        required=True,
        help='JSON: {"accounts": [{"iban", "name", "kind", "balance_cents"}]}',
    )
    serve_.add_argument(
        "--metrics-port", type=int, default=0, help="/metrics on loopback, without a key; 0: none"
    )
    pay = commands.add_parser("pay", parents=[shared], help="a customer's credit transfer")
    pay.add_argument("--from", dest="debtor", required=True, metavar="IBAN")
    pay.add_argument(
        "--to",
        dest="creditor",
        default="",
        metavar="IBAN",
        help="default: the safeguarding account",
    )
    pay.add_argument("--amount", type=_cents, required=True, metavar="EUROS", help="as in 500.00")
    pay.add_argument("--reference", default="", help="ISO 11649 (RF...)")
    pay.add_argument("--text", default="", help="unstructured remittance information")
    pay.add_argument("--currency", default="EUR", help="ISO 4217 (default: %(default)s)")
    _add_misbehave(commands, shared)
    undo = commands.add_parser("reverse", parents=[shared], help="reverse an order's booking")
    undo.add_argument("end_to_end_id")
    back = commands.add_parser("return", parents=[shared], help="return a booked payout")
    back.add_argument("end_to_end_id")
    back.add_argument("--reason", default="AC04", help="ISO return reason (default: %(default)s)")
    commands.add_parser("close-day", parents=[shared], help="write the day's camt.053")
    number = commands.add_parser("new-iban", help="print a valid IBAN of this bank")
    number.add_argument("number", type=int)
    return parser


def _add_misbehave(commands: Any, shared: argparse.ArgumentParser) -> None:
    descriptions = "\n".join(
        f"  {what}: {does}" + (f" {defaults}" if defaults else "")
        for what, (does, defaults) in MISBEHAVIOURS.items()
    )
    parser = commands.add_parser(
        "misbehave",
        parents=[shared],
        help="have the bank misbehave",
        epilog=f"what:\n{descriptions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=MISBEHAVIOURS, metavar="WHAT", help="see below")
    parser.add_argument("--times", type=int, default=1, help="how often (default: %(default)s)")
    parser.add_argument(
        "--for",
        dest="target",
        default="",
        metavar="END_TO_END_ID",
        help="default: the next one",
    )
    parser.add_argument(
        "--say",
        dest="details",
        type=_option,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as days=3 or reason=AC06",
    )


def _option(text: str) -> tuple[str, str | int]:
    name, _, value = text.partition("=")
    return name, int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else value


def _cents(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,10})(?:\.([0-9]{2}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount such as 500.00")
    return int(match[1] + (match[2] or "00"))


def _until(condition: Any, timeout_s: int) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


if __name__ == "__main__":
    sys.exit(main())
