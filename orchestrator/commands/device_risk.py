"""`proofrail device compromise | risk`: lists payments made on a stolen key, and their remedies."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.device import DryRun, Name, enrolled_device
from orchestrator.commands.home import Home, home_of, text_or_file
from orchestrator.commands.output import Json, decimal, plain, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.risk import Risk

app = typer.Typer()
_TEUR = "tEUR/6"
_MEANS = {
    "freeze": "the dispute window is open: a dispute stops the payment",
    "frozen": "disputed: ends when the payee concedes, the payer retracts or the committee rules",
    "refunded": "back in the agreement's escrow",
    "window_over": "the payee owns it; it is in no bank order yet",
    "at_bank": "ordered from the bank: ask the payee to return it, or recall it",
    "owed_back": "a negative payment: the payer paid nothing",
}
Since = Annotated[
    str | None, typer.Option(help="Start: as in 2026-09-30T12:00:00Z, or Unix seconds.")
]


def moment(text: str) -> int:
    """Return the Unix seconds of a time with its zone, or of Unix seconds; raises Halt."""
    if re.fullmatch("[0-9]{1,11}", text):
        return int(text)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Halt(
            f"{text!r} is not a time with a zone, as in 2026-09-30T12:00:00Z, and not Unix "
            "seconds. Nothing was sent."
        )
    return int(instant.timestamp())


@app.command()
def risk(context: typer.Context, name: Name, since: Since = None, as_json: Json = False) -> None:
    """List payments at risk. These are all settled ones based on records since a time.

    Default: since its declared compromise. Exit code 1 if money may be lost.
    """
    home = home_of(context)
    row = enrolled_device(home, name)
    if since is None and not row.compromised_since:
        raise Halt(f"{name} is not declared compromised. Give a time with --since.")
    start = moment(since) if since else row.compromised_since
    view = _risk_view(home, name, row.device_id, start)
    output.show(view, as_json, lambda console: _render(console, view))
    raise typer.Exit(output.NO if view["open"]["amount"] != "0" else 0)


@app.command()
def compromise(
    context: typer.Context,
    name: Name,
    since: Annotated[str, typer.Option(help="Since when the key is not to be trusted.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Declare a key stolen. Ends the device, lists payments at risk and disputes open ones.

    The time reaches seven days back, and may be moved back later, never forward: the committee
    rules on all else (`proofrail device rule`). With --dry-run, only list.
    """
    from device_adapters.types import device_id
    from orchestrator.edges.broker import credentials

    home = home_of(context)
    row, start = enrolled_device(home, name), moment(since)
    if not 0 < start <= time.time():
        raise Halt(
            f"{since} is not in the past. Nothing was sent. To stop a device for a while, use "
            f"`proofrail device suspend {name}`."
        )
    disputed: dict[str, str] = {}
    earliest = home.chain.view("DeviceRegistry", "declarableFrom", device_id(name))
    if not dry_run:
        start = home.agreement_ops().declare_compromised(name, start)
        credentials.revoke(home.settings.home, name)
        disputed = _dispute(home, row.device_id, start)
    view = _risk_view(home, name, row.device_id, start)
    view |= {
        "sent": not dry_run,
        "disputed": disputed,
        "earliest_without_ruling": earliest,
        "needs_ruling": start < earliest,
    }
    output.show(view, as_json, lambda console: _print_declared(console, view))


@app.command()
def rule(
    context: typer.Context,
    name: Name,
    rulings: Annotated[
        list[str], typer.Argument(metavar="RULING...", help="Files of `proofrail-oracle ruling`.")
    ],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Send the committee's ruling on a stolen key. It sets the time, or takes it back.

    Each oracle signs with `proofrail-oracle ruling device`. Payments that were refused only for the
    compromise are tried again once the ruling is final.
    """
    from device_adapters.types import device_id
    from orchestrator.operations.compromise_rulings import read_ruling

    home = home_of(context)
    enrolled_device(home, name)
    number = home.chain.view("DeviceRegistry", "compromiseRulings", device_id(name))
    texts = [text_or_file(ruling).decode("utf-8", "replace") for ruling in rulings]
    ruling, signatures = read_ruling(texts, home.deployment, name, number)
    if not dry_run:
        home.agreement_ops().rule_compromise(name, ruling.since, signatures)
    view = {
        "sent": not dry_run,
        "device": name,
        "since": ruling.since or None,
        "number": ruling.number,
        "signatures": len(signatures),
    }
    output.show(view, as_json, lambda console: console.print(plain(_ruled(view)), soft_wrap=True))


def _ruled(view: dict[str, Any]) -> str:
    verb = "is" if view["sent"] else "would be"
    since = f"{verb} compromised since {when(view['since'])}"
    text = f"{view['device']} {since if view['since'] else verb + ' not compromised'}"
    tail = "" if view["sent"] else "; nothing was sent (--dry-run)"
    return f"{text}, by the signatures of {view['signatures']} oracles{tail}"


def _dispute(home: Home, device: str, since: int) -> dict[str, str]:
    """Dispute what is in its dispute window, as the warden: {payment: "frozen" or why not}."""
    from orchestrator.steps.dispute import dispute_calls

    agreements = home.agreement_ops()
    with home.store.read() as session:
        calls = dispute_calls(session, home.chain, device, since, int(time.time()))
    if not agreements.has_warden:
        return {
            call.ref: "the warden's key is not here; the running rail sends the dispute"
            for call in calls
        }
    return {call.ref: "frozen" for call in calls} | agreements.dispute(calls)


def _risk_view(home: Home, name: str, device: str, since: int) -> dict[str, Any]:
    from orchestrator.core.risk import at_risk, open_micro
    from orchestrator.edges.store import exposure

    with home.store.read() as session:
        risks = at_risk(exposure.exposed(session, device), since, int(time.time()))
    return {
        "device": name,
        "since": since,
        "payments": [_payment_view(risk) for risk in risks],
        "open": {"amount": str(open_micro(risks)), "asset": _TEUR},
    }


def _payment_view(risk: Risk) -> dict[str, Any]:
    return {
        "payment_id": risk.payment_id,
        "agreement_id": risk.agreement_id,
        "stage": str(risk.stage),
        "amount": {"amount": str(risk.amount_micro), "asset": _TEUR},
        "events": risk.events,
        "first_observed_at": risk.first_observed_at,
        "release_at": risk.release_at,
        "remedy": str(risk.remedy),
        "what": _MEANS[risk.remedy],
    }


def _render(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            output.short(p["payment_id"]),
            p["stage"],
            output.money(p["amount"]),
            p["events"],
            when(p["first_observed_at"]),
            when(p["release_at"]),
            p["remedy"],
        )
        for p in view["payments"]
    ]
    columns = (
        "payment",
        "stage",
        ">amount",
        ">events",
        "first record (UTC)",
        "dispute window until",
        "remedy",
    )
    title = f"{len(rows)} payments based on records of {view['device']} since {when(view['since'])}"
    console.print(table(title, columns, rows))
    for remedy, count in Counter(p["remedy"] for p in view["payments"]).items():
        console.print(plain(f"  {remedy} ({count}): {_MEANS[remedy]}"))
    console.print(plain(f"may still be lost: {decimal(int(view['open']['amount']), _TEUR)}"))


def _print_declared(console: Any, view: dict[str, Any]) -> None:
    name = view["device"]
    if view["sent"]:
        console.print(
            plain(
                f"{name} is declared compromised since {when(view['since'])}; new records of "
                "it are refused"
            )
        )
    _render(console, view)
    for payment, result in view["disputed"].items():
        console.print(plain(f"dispute of {output.short(payment)}: {result}"), soft_wrap=True)
    if not view["sent"]:
        console.print("nothing was sent (--dry-run)")
    if not view["sent"] and view["needs_ruling"]:
        text = (
            f"without a ruling of the committee a compromise reaches back to "
            f"{when(view['earliest_without_ruling'])}; next: declare it for then, and ask the "
            f"oracles for `proofrail-oracle ruling device {name} --since {view['since']}`"
        )
        console.print(plain(text), soft_wrap=True)
