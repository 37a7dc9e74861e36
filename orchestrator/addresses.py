"""`rail.json`: where the processes of a rail are, published by whoever starts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.edges.bank.files import write_atomically
from orchestrator.errors import Halt
from orchestrator.settings import Settings

VERSION = 1  # a file without a version is of 0.3.0 or 0.4.0 and has the same fields


def read_addresses(home: Path) -> dict[str, Any]:
    """Return the addresses of node, API, broker, oracles and bank account; {} without a file.

    Raises:
        Halt: the file cannot be read, or a newer version wrote it.
    """
    path = home / "rail.json"
    try:
        addresses = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Halt(
            f"{path} cannot be read ({error}). Start the rail again; it rewrites the file."
        ) from error
    if addresses.get("version", VERSION) != VERSION:
        raise Halt(
            f"{path} has version {addresses['version']}, and this program reads version {VERSION}. "
            "Use the version of proofrail that started the rail."
        )
    return addresses


def write_addresses(home: Path, addresses: dict[str, Any]) -> None:
    """Publish these addresses in place of all earlier ones."""
    text = json.dumps({"version": VERSION, **addresses}, indent=1)
    path = home / "rail.json"
    write_atomically(path, text.encode())
    path.chmod(0o600)  # it names an account


def configured_addresses(settings: Settings) -> dict[str, Any]:
    """Return the addresses that follow from the configuration."""
    addresses: dict[str, Any] = {
        "rpc_url": settings.rpc_url,
        "api_url": f"{settings.api_scheme}://{settings.api_host}:{settings.api_port}",
        "broker": {
            "host": settings.broker_host,
            "port": settings.broker_port,
            "nats_port": settings.nats_port,
        },
        "oracles": [
            oracle.model_dump(include={"name", "domain", "address", "url"})
            for oracle in settings.oracles
        ],
    }
    if settings.safeguarding is not None:
        addresses["safeguarding"] = settings.safeguarding.account()
    return addresses
