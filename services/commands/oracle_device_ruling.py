"""`proofrail-oracle ruling device`: signs since when a key is stolen, or that it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands.device_risk import moment
from orchestrator.commands.output import when
from orchestrator.errors import Halt


def device(
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="The device's name.")],
    since: Annotated[
        str, typer.Option(help="Since when its key is stolen: a time with its zone.")
    ] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Its key is not stolen.")] = False,
    by: Annotated[str, typer.Option(help="Your name: who decided.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    home: Annotated[Path, typer.Option(help="The oracle's folder.")] = Path(".proofrail-oracle"),
    oracle: Annotated[
        str,
        typer.Option(
            "--name", help="An oracle that a rail here starts; --home is then the rail's home."
        ),
    ] = "",
) -> None:
    """Sign since when a device's key is stolen. Prints what `proofrail device rule` sends.

    A quorum of the committee decides; its ruling replaces what the owner or the registrar declared.
    """
    from services.oracle import read_key
    from services.oracle_rulings import open_desk

    if bool(since) == undo or not by.strip():
        raise Halt("Give --since or --undo, and --by with your name. Nothing was signed.")
    desk, options = open_desk(home, oracle)
    start = 0 if undo else moment(since)
    declared = desk.chain.view("DeviceRegistry", "compromisedSince", _id(name))
    standing = f"declared stolen since {when(declared)}" if declared else "not declared stolen"
    typer.echo(f"{name} is {standing} now", err=True)
    decision = f"is stolen since {when(start)} UTC" if start else "is not stolen"
    if not yes and not typer.confirm(f"Sign that the key of {name} {decision}?", err=True):
        raise Halt("You did not confirm. Nothing was signed.")
    key = read_key(options.keystore, options.password_file)
    typer.echo(json.dumps(sign_device_ruling(desk.chain, key, name, start, by.strip()), indent=2))


def sign_device_ruling(
    chain: Any, key: bytes, name: str, since: int, decided_by: str
) -> dict[str, Any]:
    """Return the next ruling on a device's compromise, signed.

    Args:
        chain: The node's client.
        key: The oracle's private key, 32 bytes.
        name: The device's name.
        since: Unix seconds; 0: its key is not stolen.
        decided_by: The name of the person.

    Raises:
        Halt: No such device is enrolled.
    """
    from oracles.attest import address_of, sign
    from oracles.compromises import CompromiseRuling
    from orchestrator.operations.compromise_rulings import document
    from orchestrator.operations.gateways import owner_of

    if owner_of(chain, name) is None:
        raise Halt(f"No device {name!r} is enrolled. Nothing was signed. Check its name.")
    deployment = chain.deployment
    number = chain.view("DeviceRegistry", "compromiseRulings", _id(name))
    ruling = CompromiseRuling(deployment.addresses["DeviceRegistry"], _id(name), since, number)
    digest = ruling.digest(deployment.chain_id, deployment.addresses["OracleCommittee"])
    return document(ruling, name, address_of(key), sign(digest, key), decided_by)


def _id(name: str) -> bytes:
    from device_adapters.types import device_id

    return device_id(name)
