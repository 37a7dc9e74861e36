"""`proofrail device compromise | risk`: what a stolen key was paid for, and what can be done."""

from __future__ import annotations

import re
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.device import DryRun, Name, known
from orchestrator.commands.output import Json, decimal, plain, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.risk import Risk

app = typer.Typer()
_TEUR = "tEUR/6"
_MEANS = {
    "freeze": "its window is open: a dispute holds the money",
    "frozen": "disputed: the payee concedes, the payer retracts, or the committee rules",
    "refunded": "back in the agreement's escrow",
    "window_over": "the payee's; no order to the bank holds it yet",
    "at_bank": "in the bank's hands: ask the payee, or recall it",
    "owed_back": "a credit: it took nothing from the payer",
}
Since = Annotated[
    str | None, typer.Option(help="From when on: 2026-09-30T12:00:00Z, or Unix seconds.")
]


def moment(text: str) -> int:
    """Unix seconds of a time with its zone, or of Unix seconds; nothing is guessed."""
    if re.fullmatch("[0-9]{1,11}", text):
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise Halt(
            f"{text!r} is no time such as 2026-09-30T12:00:00Z (with its zone), nor Unix "
            "seconds. Nothing was sent."
        )
    return int(found.timestamp())


@app.command()
def risk(context: typer.Context, name: Name, since: Since = None, as_json: Json = False) -> None:
    """List every settled payment that rests on a device's records from a time on.

    Default: the time since which it is declared compromised. Exit code 1 if money may be lost.
    """
    here = home.of(context)
    row = known(here, name)
    if since is None and not row.compromised_since:
        raise Halt(f"No compromise of {name} is declared. Name a time with --since.")
    start = moment(since) if since else row.compromised_since
    told = _listed(here, name, row.device_id, start)
    output.show(told, as_json, lambda console: _render(console, told))
    raise typer.Exit(output.NO if told["open"]["amount"] != "0" else 0)


@app.command()
def compromise(
    context: typer.Context,
    name: Name,
    since: Annotated[str, typer.Option(help="From when on the key's word is worth nothing.")],
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Declare a key stolen since a time: end the device, list what is at risk, freeze what can be.

    It may be dated further back later, never forward. With --dry-run only the list.
    """
    from orchestrator.edges.broker import credentials

    here = home.of(context)
    row, start = known(here, name), moment(since)
    if not 0 < start <= time.time():
        raise Halt(
            f"{since} is not in the past. Nothing was sent. A device that only must be "
            f"quiet for a while is suspended: `proofrail device suspend {name}`."
        )
    disputed: dict[str, str] = {}
    if not dry_run:
        start = here.office().declare_compromised(name, start)
        credentials.revoke(here.settings.home, name)
        disputed = _freeze(here, row.device_id, start)
    told = _listed(here, name, row.device_id, start)
    told |= {"sent": not dry_run, "disputed": disputed}
    output.show(told, as_json, lambda console: _declared(console, told))


def _freeze(here: home.Home, device: str, since: int) -> dict[str, str]:
    """The warden's disputes of what is still in its window: payment -> "frozen", or why not."""
    from orchestrator.steps.dispute import dispute_calls

    office = here.office()
    with here.store.read() as session:
        errands = dispute_calls(session, here.chain, device, since, int(time.time()))
    if not office.has_warden:
        return {one.ref: "no warden's key here; the running rail sends it" for one in errands}
    return {one.ref: "frozen" for one in errands} | office.freeze(errands)


def _listed(here: home.Home, name: str, device: str, since: int) -> dict[str, Any]:
    from orchestrator.core.risk import at_risk, open_micro
    from orchestrator.edges.store import exposure

    with here.store.read() as session:
        found = at_risk(exposure.exposed(session, device), since, int(time.time()))
    return {
        "device": name,
        "since": since,
        "payments": [_told(risk) for risk in found],
        "open": {"amount": str(open_micro(found)), "asset": _TEUR},
    }


def _told(risk: Risk) -> dict[str, Any]:
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


def _render(console: Any, told: dict[str, Any]) -> None:
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
        for p in told["payments"]
    ]
    columns = (
        "payment",
        "stage",
        ">amount",
        ">events",
        "first of them (UTC)",
        "window until",
        "remedy",
    )
    title = f"{len(rows)} payments rest on records of {told['device']} since {when(told['since'])}"
    console.print(table(title, columns, rows))
    for remedy, count in Counter(p["remedy"] for p in told["payments"]).items():
        console.print(plain(f"  {remedy} ({count}): {_MEANS[remedy]}"))
    console.print(plain(f"may still be lost: {decimal(int(told['open']['amount']), _TEUR)}"))


def _declared(console: Any, told: dict[str, Any]) -> None:
    name = told["device"]
    if told["sent"]:
        console.print(
            plain(
                f"{name} is declared compromised since {when(told['since'])}; nothing "
                "new of it is taken"
            )
        )
    _render(console, told)
    for payment, how in told["disputed"].items():
        console.print(plain(f"dispute of {output.short(payment)}: {how}"), soft_wrap=True)
    if not told["sent"]:
        console.print("nothing was sent (--dry-run)")
