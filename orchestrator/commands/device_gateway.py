"""`proofrail device assign`: says which gateway signs for a device, and from when to when."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.device import DryRun, Name, enrolled_device
from orchestrator.commands.device_risk import moment
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.assignment import GatewayAssignment

app = typer.Typer()
From = Annotated[
    str | None, typer.Option("--from", help="Start, as in 2026-09-30T12:00:00Z; default: now.")
]
Until = Annotated[str | None, typer.Option("--until", help="End; default: none.")]
Signature = Annotated[
    str | None,
    typer.Option(help="The owner's signature of --document, hex; default: the owner's keystore."),
]
Document = Annotated[
    bool, typer.Option("--document", help="Print the EIP-712 document for the owner's wallet.")
]


@app.command()
def assign(
    context: typer.Context,
    name: Name,
    gateway: Annotated[str, typer.Option(help='The gateway\'s name; "" ends the present one.')],
    since: From = None,
    until: Until = None,
    signature: Signature = None,
    document: Document = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Assign a gateway to a device. The owner signs; it ends the assignment before.

    The gateway may sign records of the device from then on, and the one before no longer.
    """
    from orchestrator.operations.gateways import owner_of

    home = home_of(context)
    enrolled_device(home, name)
    if gateway:
        enrolled_device(home, gateway)
    owner = owner_of(home.chain, name) or ""
    run(home, name, owner, gateway, (since, until), signature, document, dry_run, as_json)


def enrol(
    home: Home,
    name: str,
    owner: str,
    gateway: str,
    signature: str | None,
    document: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Enrol a device without a key behind its gateway; see `run` for the arguments.

    Raises:
        Halt: The device is enrolled.
    """
    from orchestrator.operations.gateways import owner_of, remember

    enrolled_device(home, gateway)
    if known := owner_of(home.chain, name):
        if not dry_run:  # an interrupted command sent it and stored nothing
            remember(home.store, name, known, int(time.time()))
        raise Halt(
            f"{name} is enrolled already. Nothing was sent. `proofrail device assign {name}` "
            "changes its gateway."
        )
    run(home, name, owner, gateway, (None, None), signature, document, dry_run, as_json)


def run(
    home: Home,
    name: str,
    owner: str,
    gateway: str,
    times: tuple[str | None, str | None],
    signature: str | None,
    document: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Print the document to sign, or send the assignment with the owner's signature.

    Args:
        home: The rail's home.
        name: The device's name.
        owner: The owner's address.
        gateway: The gateway's name; "" for none.
        times: Start and end as typed.
        signature: As typed; None: the owner's keystore signs.
        document: Whether only to print the document.
        dry_run: Whether to send nothing.
        as_json: Whether to print JSON.
    """
    from orchestrator.operations import gateways

    start, end = (moment(text) if text else 0 for text in times)
    _require_order(start, end)
    wanted = gateways.next_assignment(home.chain, name, gateway, start, end)
    if document:
        typer.echo(json.dumps(gateways.document(wanted, home.deployment), indent=2))
        return
    signed = gateways.SignedAssignment(
        name, owner, wanted, _consent(home, wanted, owner, signature)
    )
    if not dry_run:
        home.agreement_ops().assign(signed)
    view = {
        "sent": not dry_run,
        "device": name,
        "owner": owner,
        "gateway": gateway or None,
        "from": start or None,
        "until": end or None,
        "number": wanted.number,
        "topic": f"proofrail/{gateway}/evidence/sealed" if gateway else None,
    }
    output.show(view, as_json, lambda console: _print_assigned(console, view))


def _require_order(start: int, end: int) -> None:
    now = int(time.time())
    if start and start < now:
        raise Halt(
            f"The assignment would begin in the past ({when(start)}). Nothing was sent. Leave "
            "--from out to begin now."
        )
    if end and end <= (start or now):
        raise Halt(
            f"The assignment would end ({when(end)}) before it begins. Nothing was sent. Give a "
            "later --until."
        )


def _consent(home: Home, wanted: GatewayAssignment, owner: str, signature: str | None) -> bytes:
    from orchestrator.commands.party import keystore_of, party_of
    from orchestrator.operations import gateways

    if signature is None:
        return gateways.sign(wanted, home.deployment, keystore_of(home, party_of(home, owner)))
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 65:
        raise Halt("A signature of the owner has 65 bytes in hex. Nothing was sent.")
    return raw


def _print_assigned(console: Any, view: dict[str, Any]) -> None:
    until = f"until {when(view['until'])}" if view["until"] else "without an end"
    since = f"from {when(view['from'])}" if view["from"] else "from now on"
    verb = "signs" if view["sent"] else "would sign"
    sentence = (
        f"{view['gateway']} {verb} for {view['device']} {since}, {until}"
        if view["gateway"]
        else f"no gateway {verb} for {view['device']} {since}"
    )
    console.print(plain(sentence), soft_wrap=True)
    if not view["sent"]:
        console.print("nothing was sent (--dry-run)")
    elif view["topic"]:
        console.print(plain(f"it publishes their sealed records to {view['topic']}"))
