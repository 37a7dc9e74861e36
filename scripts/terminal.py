"""A merchant's terminal for a person: take taps of a simulated wearable, hand vouchers over later.

    python -m scripts.terminal TILL init --payee 0x... --merchant-class 5814
    python -m scripts.terminal TILL export BAND-1 --key KEY --terms HEX > band.card.json
    python -m scripts.terminal TILL card band.card.json
    python -m scripts.terminal TILL tap 3.50 --wearable FOLDER --name BAND-1 --cap 100 --terms HEX
    python -m scripts.terminal TILL take 3.50 < voucher.json
    python -m scripts.terminal TILL show
    python -m scripts.terminal TILL redeem --url http://127.0.0.1:8080 --api-key KEY

TILL is a folder. `tap` and `take` work offline; exit code 0: taken, 1: declined and why.
A simulated wearable keeps to its offline bounds; `tap --online`: the rail reached it again.
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
from scripts.devices.wearable import SimulatedWearable

_AMOUNT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?")
_PAYEE = re.compile(r"0x[0-9a-fA-F]{40}")
_SETUP = "till.json"
_PATH = 256  # a key itself may be too long for the name of a file
_TAKEN = ("accepted", "duplicate")


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; prints what became of it."""
    chosen = _parser().parse_args(arguments)
    try:
        return _COMMANDS[chosen.command](chosen)
    except Rejected as refusal:
        print(f"declined: {refusal.reason}: {refusal.detail}")
        return 1
    except FileNotFoundError as missing:
        print(f"{missing.filename} is not there; `init` makes a till, `export` prints a card")
        return 1


def redeem(
    terminal: Terminal, post: Callable[[list[bytes]], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Hands over what is due; the rail's answers, as `post` gives them."""
    due = terminal.due()
    answers = post(due) if due else []
    terminal.record_answers((answer["evidence"], answer["outcome"]) for answer in answers)
    return answers


def poster(url: str, api_key: str) -> Callable[[list[bytes]], list[dict[str, Any]]]:
    """`post` for the rail at `url`: POST /v1/evidence, one record after the other in one batch."""

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


def _init(chosen: argparse.Namespace) -> int:
    chosen.till.mkdir(parents=True, exist_ok=True, mode=0o700)
    setup = {"payee": chosen.payee, "merchant_class": chosen.merchant_class}
    (chosen.till / _SETUP).write_text(json.dumps(setup))
    print(f"till of {chosen.payee}, merchant class {chosen.merchant_class:04}")
    return 0


def _card(chosen: argparse.Namespace) -> int:
    card = WearableCard.from_json(chosen.file.read_text())
    _terminal(chosen.till).add(card)
    print(f"card of {card.name}, as of {card.as_of}")
    return 0


def _export(chosen: argparse.Namespace) -> int:
    """The card of a wearable as it stands now: the registry's key, the agreement's terms."""
    file = Path(chosen.key)
    given = file.read_bytes() if len(chosen.key) < _PATH and file.is_file() else chosen.key
    key = load_public_key(given).as_device_key()
    print(make_card(chosen.name, key, chosen.terms, int(time.time())).to_json())
    return 0


def _tap(chosen: argparse.Namespace) -> int:
    terms = decode_terms(chosen.terms)
    setup = json.loads((chosen.till / _SETUP).read_text())
    wearable = SimulatedWearable(chosen.wearable, chosen.name, None, terms, chosen.cap)
    try:
        now = int(time.time())
        if chosen.online:
            wearable.online()
        merchant = setup["payee"], chosen.amount, setup["merchant_class"]
        return _taken(chosen, wearable.tap(*merchant, now))
    finally:
        wearable.close()


def _take(chosen: argparse.Namespace) -> int:
    return _taken(chosen, sys.stdin.buffer.read().strip())


def _taken(chosen: argparse.Namespace, record: bytes) -> int:
    account = _terminal(chosen.till).take(record, chosen.amount, int(time.time()))
    open_amount = account.total - account.redeemed_total
    print(f"taken: counter {account.counter}, not yet redeemed {open_amount} of tEUR/6")
    return 0


def _show(chosen: argparse.Namespace) -> int:
    terminal = _terminal(chosen.till)
    for record in terminal.due():
        print(record.decode())
    for evidence, outcome in terminal.outcomes().items():
        print(f"{evidence} {outcome}", file=sys.stderr)
    return 0


def _redeem(chosen: argparse.Namespace) -> int:
    try:
        answers = redeem(_terminal(chosen.till), poster(chosen.url, chosen.api_key))
    except urllib.error.HTTPError as error:
        print(f"the rail answered {error.code}: {error.read().decode(errors='replace')[:500]}")
        return 1
    except urllib.error.URLError as error:
        print(f"no rail at {chosen.url}: {error.reason}. Nothing is lost: run it again later.")
        return 1
    for answer in answers:
        words = (answer["evidence"], answer["outcome"], answer.get("next_step"))
        print(" ".join(word for word in words if word))
    print(f"{len(answers)} answered")
    return 0 if all(answer["outcome"] in _TAKEN for answer in answers) else 1


def _terminal(till: Path) -> Terminal:
    setup = json.loads((till / _SETUP).read_text())
    return Terminal(till / "till.sqlite3", setup["payee"], setup["merchant_class"])


def _amount(text: str) -> int:
    """Euro with at most six decimals, in minor units of the token."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in euro")
    return int(match[1] + (match[2] or "").ljust(6, "0"))


def _payee(text: str) -> str:
    if not _PAYEE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: 0x and 40 hex digits")
    return text


def _terms(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise argparse.ArgumentTypeError("the terms are no hex") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("till", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    init = commands.add_parser("init", help="a new till")
    init.add_argument("--payee", required=True, type=_payee, help="the merchant's address")
    init.add_argument("--merchant-class", type=int, required=True, help="ISO 18245")
    card = commands.add_parser("card", help="know a wearable, or know it anew")
    card.add_argument("file", type=Path)
    export = commands.add_parser("export", help="a wearable's card, for other tills")
    export.add_argument("name", help="the wearable's name")
    export.add_argument("--key", required=True, help="its public key (PEM, hex, base64), a file")
    export.add_argument("--terms", type=_terms, required=True, help="the agreement's terms in hex")
    tap = commands.add_parser("tap", help="a tap of a simulated wearable")
    tap.add_argument("amount", type=_amount, help="euro")
    tap.add_argument("--wearable", type=Path, required=True, help="the wearable's folder")
    tap.add_argument("--name", required=True)
    tap.add_argument("--online", action="store_true", help="the rail reached it since its last tap")
    tap.add_argument("--cap", type=_amount, required=True, help="euro that it ever signs away")
    tap.add_argument("--terms", type=_terms, required=True, help="the agreement's terms in hex")
    take = commands.add_parser("take", help="a voucher from standard input")
    take.add_argument("amount", type=_amount, help="euro")
    commands.add_parser("show", help="what is to be handed over, one record to a line")
    hand = commands.add_parser("redeem", help="hand over what is due")
    hand.add_argument("--url", required=True)
    hand.add_argument("--api-key", required=True)
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
