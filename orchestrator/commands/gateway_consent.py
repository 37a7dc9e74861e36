"""The owner's consent that a gateway signs for a device: printed to be signed, or sent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home
from orchestrator.commands.output import plain, when
from orchestrator.commands.signature import parse_signature
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.assignment import GatewayAssignment


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
    """Enrol a device without a key behind its gateway; see `send_assignment` for the arguments.

    Raises:
        Halt: The device is enrolled.
    """
    from orchestrator.operations.gateways import owner_of, remember

    if known := owner_of(home.chain, name):
        if not dry_run:  # an interrupted command sent it and stored nothing
            remember(home.store, name, known, int(time.time()))
        raise Halt(
            f"{name} is enrolled already. Nothing was sent. `proofrail device assign {name}` "
            "changes its gateway."
        )
    send_assignment(home, name, owner, gateway, (0, 0), signature, document, dry_run, as_json)


def send_assignment(
    home: Home,
    name: str,
    owner: str,
    gateway: str,
    times: tuple[int, int],
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
        times: Start (0: now) and end (0: none), Unix seconds.
        signature: As typed; None: the owner's keystore signs.
        document: Whether only to print the document.
        dry_run: Whether to send nothing.
        as_json: Whether to print JSON.
    """
    from orchestrator.operations import gateways

    start, end = times
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
    return parse_signature(signature, "owner")


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
