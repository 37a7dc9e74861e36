"""`proofrail device assign`: says which gateway signs for a device, and from when to when."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands.device import DryRun, Name, enrolled_device
from orchestrator.commands.device_risk import moment
from orchestrator.commands.gateway_consent import send_assignment
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json

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
    start, end = (moment(text) if text else 0 for text in (since, until))
    send_assignment(home, name, owner, gateway, (start, end), signature, document, dry_run, as_json)
