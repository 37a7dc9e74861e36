"""A merchant's terminal on the command line: take taps of a wearable, redeem vouchers later.

    python -m scripts.terminal TILL init --payee 0x... --merchant-class 5814
    python -m scripts.terminal TILL export BAND-1 --key KEY --terms HEX > band.card.json
    python -m scripts.terminal TILL card band.card.json
    python -m scripts.terminal TILL tap 3.50 --wearable FOLDER --name BAND-1 --cap 100 --terms HEX
    python -m scripts.terminal TILL take 3.50 < voucher.json
    python -m scripts.terminal TILL show
    python -m scripts.terminal TILL redeem --url http://127.0.0.1:8080 --api-key FILE

TILL is a folder. `tap` and `take` work offline; exit code 0: taken, 1: declined and why.
A simulated wearable respects its offline limits; `tap --online` means that it was online again.
HEX: `terms_hex` of `proofrail agreement open --json` and `agreement list --json`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from device_adapters.keys import load_public_key
from device_adapters.merchant.card import WearableCard
from device_adapters.merchant.terminal import Terminal
from device_adapters.types import Rejected
from orchestrator.products.wearable_voucher.abi import decode_terms
from orchestrator.products.wearable_voucher.card import make_card
from services.simulated_devices.wearable import SimulatedWearable

_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_PAYEE = re.compile(r"0x[0-9a-fA-F]{40}")
_SETUP = "till.json"
_PATH = 256  # a longer text is a key, not the name of a file
_TAKEN = ("accepted", "duplicate")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and print its result."""
    options = _parser().parse_args(arguments)
    try:
        return _COMMANDS[options.command](options)
    except Rejected as refusal:
        print(f"declined: {refusal.reason}: {refusal.detail}")
        return 1
    except FileNotFoundError as missing:
        print(f"{missing.filename} is missing; `init` makes a till, `export` prints a card")
        return 1


def redeem(
    terminal: Terminal, post: Callable[[list[bytes]], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Redeem the vouchers that are due.

    Args:
        post: sends records to the rail and returns its answers.

    Returns:
        The rail's answers, one per record.
    """
    due = terminal.due()
    answers = post(due) if due else []
    terminal.record_answers((answer["evidence"], answer["outcome"]) for answer in answers)
    return answers


def poster(url: str, api_key: str) -> Callable[[list[bytes]], list[dict[str, Any]]]:
    """Return `post` for the rail at `url`: it sends all records in one POST /v1/evidence."""

    def post(records: list[bytes]) -> list[dict[str, Any]]:
        rows = [{"protocol": "voucher", "record": record.decode()} for record in records]
        request = urllib.request.Request(
            f"{url}/v1/evidence",
            json.dumps({"records": rows}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["records"]

    return post


def _init(options: argparse.Namespace) -> int:
    options.till.mkdir(parents=True, exist_ok=True, mode=0o700)
    setup = {"payee": options.payee, "merchant_class": options.merchant_class}
    (options.till / _SETUP).write_text(json.dumps(setup))
    print(f"till of {options.payee}, merchant class {options.merchant_class:04}")
    return 0


def _card(options: argparse.Namespace) -> int:
    card = WearableCard.from_json(options.file.read_text())
    _terminal(options.till).add(card)
    print(f"card of {card.name}, as of {card.as_of}")
    return 0


def _export(options: argparse.Namespace) -> int:
    """Print the card of a wearable: its key in the registry and the agreement's terms."""
    file = Path(options.key)
    text = file.read_bytes() if len(options.key) < _PATH and file.is_file() else options.key
    key = load_public_key(text).as_device_key()
    print(make_card(options.name, key, options.terms, int(time.time())).to_json())
    return 0


def _tap(options: argparse.Namespace) -> int:
    terms = decode_terms(options.terms)
    setup = json.loads((options.till / _SETUP).read_text())
    wearable = SimulatedWearable(options.wearable, options.name, None, terms, options.cap)
    try:
        now = int(time.time())
        if options.online:
            wearable.online()
        merchant = setup["payee"], options.amount, setup["merchant_class"]
        return _taken(options, wearable.tap(*merchant, now))
    finally:
        wearable.close()


def _take(options: argparse.Namespace) -> int:
    return _taken(options, sys.stdin.buffer.read().strip())


def _taken(options: argparse.Namespace, record: bytes) -> int:
    account = _terminal(options.till).take(record, options.amount, int(time.time()))
    open_amount = account.total - account.redeemed_total
    print(f"taken: counter {account.counter}, not yet redeemed {open_amount} of tEUR/6")
    return 0


def _show(options: argparse.Namespace) -> int:
    terminal = _terminal(options.till)
    for record in terminal.due():
        print(record.decode())
    for evidence, outcome in terminal.outcomes().items():
        print(f"{evidence} {outcome}", file=sys.stderr)
    return 0


def _redeem(options: argparse.Namespace) -> int:
    try:
        answers = redeem(_terminal(options.till), poster(options.url, options.api_key))
    except urllib.error.HTTPError as error:
        print(f"the rail answered {error.code}: {error.read().decode(errors='replace')[:500]}")
        return 1
    except urllib.error.URLError as error:
        print(
            f"no rail at {options.url}: {error.reason}. The vouchers are kept; run it again later."
        )
        return 1
    for answer in answers:
        fields = (answer["evidence"], answer["outcome"], answer.get("next_step"))
        print(" ".join(field for field in fields if field))
    print(f"{len(answers)} answered")
    return 0 if all(answer["outcome"] in _TAKEN for answer in answers) else 1


def _terminal(till: Path) -> Terminal:
    setup = json.loads((till / _SETUP).read_text())
    return Terminal(till / "till.sqlite3", setup["payee"], setup["merchant_class"])


def _secret(name: str) -> str:
    """Return what a file holds: other users of the machine see the arguments of a command."""
    try:
        return (sys.stdin.read() if name == "-" else Path(name).read_text()).strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(
            f"give a file that can be read: {error.strerror}"
        ) from error


def _amount(text: str) -> int:
    """Return euro with at most six decimals in micro-euro, the minor unit of the token."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an amount in euro, such as 3.50")
    return int(match[1] + (match[2] or "").ljust(6, "0"))


def _payee(text: str) -> str:
    if not _PAYEE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: 0x and 40 hex digits")
    return text


def _terms(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise argparse.ArgumentTypeError("the terms are not hexadecimal") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("till", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="a new till")
    init.add_argument("--payee", required=True, type=_payee, help="the merchant's address")
    init.add_argument("--merchant-class", type=int, required=True, help="ISO 18245")
    card = commands.add_parser("card", help="add a wearable's card, or replace it")
    card.add_argument("file", type=Path)
    export = commands.add_parser("export", help="a wearable's card, for other tills")
    export.add_argument("name", help="the wearable's name")
    export.add_argument("--key", required=True, help="its public key (PEM, hex, base64), a file")
    export.add_argument("--terms", type=_terms, required=True, help="the agreement's terms in hex")
    tap = commands.add_parser("tap", help="a tap of a simulated wearable")
    tap.add_argument("amount", type=_amount, help="euro")
    tap.add_argument("--wearable", type=Path, required=True, help="the wearable's folder")
    tap.add_argument("--name", required=True)
    tap.add_argument("--online", action="store_true", help="it was online since its last tap")
    tap.add_argument("--cap", type=_amount, required=True, help="euro that it signs away in total")
    tap.add_argument("--terms", type=_terms, required=True, help="the agreement's terms in hex")
    take = commands.add_parser("take", help="a voucher from standard input")
    take.add_argument("amount", type=_amount, help="euro")
    commands.add_parser("show", help="print the vouchers that are due, one per line")
    redeem_command = commands.add_parser("redeem", help="redeem the vouchers that are due")
    redeem_command.add_argument("--url", required=True)
    redeem_command.add_argument(
        "--api-key", required=True, type=_secret, help="the file of the key; - reads standard input"
    )
    return parser


_COMMANDS = {
    "init": _init,
    "export": _export,
    "card": _card,
    "tap": _tap,
    "take": _take,
    "show": _show,
    "redeem": _redeem,
}

if __name__ == "__main__":
    sys.exit(main())
