"""Run the simulated bank as its own process, or tell a running one what to do next.

python -m scripts.run_bank serve --home .proofrail/bank --config bank.json
python -m scripts.run_bank pay --from IBAN --to IBAN --amount 500.00 --reference RF...
python -m scripts.run_bank misbehave duplicate --times 2
python -m scripts.run_bank close-day
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from scripts.simulated_bank.bank import SimulatedBank, write_file
from scripts.simulated_bank.moods import MOODS
from scripts.simulated_bank.orders import new_iban
from scripts.testnet import die_with_parent

__all__ = ["BankClient", "main", "new_iban"]

_HOME = Path(".proofrail/bank")
_POLL_SECONDS = 0.05
_ROOT = Path(__file__).resolve().parent.parent


class BankClient:
    """Starts a bank in a folder, tells it what customers do, and stops it.

    Instructions are files, so they also reach a bank that starts later.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.process = Path(home), None

    def start(self, config: dict[str, Any], timeout_s: int = 20, *, outlive: bool = True) -> None:
        """Starts the process and returns once it serves; RuntimeError where it does not.

        outlive: it goes on when whoever started it ends, however.
        """
        file, ready = self.home / "config.json", self.home / "ready"
        write_file(file, json.dumps(config, indent=1).encode())
        ready.unlink(missing_ok=True)
        with open(self.home / "bank.log", "ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "scripts.run_bank",
                    "--home",
                    str(self.home.resolve()),
                    "serve",
                    "--config",
                    str(file.resolve()),
                ],
                cwd=_ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=None if outlive else die_with_parent,
            )
        if (
            not _until(lambda: ready.exists() or self.process.poll() is not None, timeout_s)
            or self.process.poll() is not None
        ):
            self.stop()
            raise RuntimeError(f"the bank did not start; see {self.home / 'bank.log'}")

    def stop(self, timeout_s: int = 10) -> int | None:
        """Ends the process politely; its exit code, or None if none was started."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def pay(
        self,
        debtor: str,
        creditor: str,
        amount_cents: int,
        reference: str = "",
        text: str = "",
        currency: str = "EUR",
    ) -> dict[str, Any]:
        """A customer's credit transfer; {"ok": True}, or False with the bank's reason.

        creditor: IBAN at this bank; "" means the safeguarding account.
        """
        return self.tell(
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

    def misbehave(self, what: str, times: int = 1, target: str = "", **said: Any) -> dict[str, Any]:
        """Puts the bank in a mood (scripts/simulated_bank/moods.py: MOODS). target: an EndToEndId
        or batch that it is about; "" for whichever comes first."""
        return self.tell({"kind": "misbehave", "what": what, "times": times, "for": target, **said})

    def reverse(self, end_to_end_id: str) -> dict[str, Any]:
        """Takes the last booking of an order back, as one that should not have been."""
        return self.tell({"kind": "reverse", "end_to_end_id": end_to_end_id})

    def send_back(self, end_to_end_id: str, reason: str = "AC04") -> dict[str, Any]:
        """Returns a booked payout, as the payee's bank would."""
        return self.tell({"kind": "return", "end_to_end_id": end_to_end_id, "reason": reason})

    def open_account(
        self,
        iban: str,
        name: str,
        balance_cents: int = 0,
        *,
        closed: bool = False,
        kind: str = "customer",
    ) -> dict[str, Any]:
        """Opens an account; for one that is open already, only sets its closed mark."""
        return self.tell(
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
        """Ends the bank's day: camt.053 for the day, and the next day begins."""
        return self.tell({"kind": "close_day"})

    def tell(self, instruction: dict[str, Any], timeout_s: int = 20) -> dict[str, Any]:
        """Hands over one instruction and waits for its result; TimeoutError if none comes."""
        name = f"{time.time_ns():020d}-{uuid4().hex[:8]}"
        folder = self.home / "instructions"
        write_file(folder / f"{name}.json", json.dumps(instruction).encode())
        result = folder / "done" / f"{name}.result"
        if not _until(result.exists, timeout_s):
            raise TimeoutError(f"no bank serves {self.home}; the instruction {name} waits there")
        return json.loads(result.read_bytes())


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 on success, 1 where the bank says no, 2 for a wrong command."""
    options = _parser().parse_args(arguments)
    if options.command == "serve":
        return serve(options.home, json.loads(options.config.read_bytes()))
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
                options.what, options.times, options.target, **dict(options.said)
            )
        else:
            answer = bank.close_day()
    except (TimeoutError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0 if answer["ok"] else 1


def serve(home: Path, config: dict[str, Any]) -> int:
    """Polls the folders until SIGTERM or SIGINT, and never leaves an input half done."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    home.mkdir(parents=True, exist_ok=True)
    bank = SimulatedBank(home, config)
    write_file(home / "ready", b"")
    print(f"the bank serves {home}, its day is {bank.books.today}", flush=True)
    while not stop.is_set():
        if not bank.step():
            stop.wait(_POLL_SECONDS)
    (home / "ready").unlink(missing_ok=True)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.run_bank",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", type=Path, default=_HOME, help="the bank's folder (default: %(default)s)"
    )
    # Also after the command; there it must not undo what stood before it.
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
    _add_moods(commands, shared)
    undo = commands.add_parser("reverse", parents=[shared], help="take an order's booking back")
    undo.add_argument("end_to_end_id")
    back = commands.add_parser("return", parents=[shared], help="send a booked payout back")
    back.add_argument("end_to_end_id")
    back.add_argument("--reason", default="AC04", help="ISO return reason (default: %(default)s)")
    commands.add_parser("close-day", parents=[shared], help="write the day's camt.053")
    number = commands.add_parser("new-iban", help="print a valid IBAN of this bank")
    number.add_argument("number", type=int)
    return parser


def _add_moods(commands: Any, shared: argparse.ArgumentParser) -> None:
    told = "\n".join(
        f"  {what}: {does}" + (f" {usual}" if usual else "")
        for what, (does, usual) in MOODS.items()
    )
    mood = commands.add_parser(
        "misbehave",
        parents=[shared],
        help="have the bank do something wrong next",
        epilog=f"what:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mood.add_argument("what", choices=MOODS, metavar="WHAT", help="see below")
    mood.add_argument("--times", type=int, default=1, help="how often (default: %(default)s)")
    mood.add_argument(
        "--for",
        dest="target",
        default="",
        metavar="END_TO_END_ID",
        help="default: whichever comes first",
    )
    mood.add_argument(
        "--say",
        dest="said",
        type=_said,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as days=3 or reason=AC06",
    )


def _said(text: str) -> tuple[str, str | int]:
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
