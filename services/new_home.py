"""Makes the home of a rail: its configuration, keys, secrets and folders; it overwrites nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.errors import Halt
from orchestrator.operations.trust import DevelopmentCa
from orchestrator.settings import CONFIGURATION, Settings, read_settings
from services import configuration
from services.development import FIRST_ORACLE, OFFICERS, ORACLES, ROLES, reader_of
from services.equipment import (
    create_broker_password,
    create_oracle_token,
    create_receipt_key,
    create_role_keys,
    equip_oracle,
)
from services.sandbox.parties import development_safeguarding

CHAIN_PORT, API_PORT, BROKER_PORT, READERS_PORT, ORACLE_PORT = 8545, 8420, 1883, 1884, 8430
_PORTS_TRIED = 100
_LOCAL = "127.0.0.1"


@dataclass
class NewHome:
    """What a home is to contain.

    Attributes:
        values: the settings, as `configuration.render` takes them.
        notes: sentences for the person who asked for it.
    """

    home: Path
    values: dict[str, Any]
    notes: list[str] = field(default_factory=list)


class FreePorts:
    """Chooses ports: the usual one where it is free, else the next free one.

    Args:
        is_free: whether nothing listens on a port of this machine.
    """

    def __init__(self, is_free: Callable[[int], bool] | None = None) -> None:
        self._is_free = is_free or port_is_free
        self._chosen: set[int] = set()
        self.notes: list[str] = []

    def take(self, usual: int, what: str) -> int:
        """Return the port for a part of the rail, which no other part gets.

        Raises:
            Halt: no port near the usual one is free.
        """
        for port in range(usual, usual + _PORTS_TRIED):
            if port not in self._chosen and self._is_free(port):
                self._chosen.add(port)
                if port != usual:
                    self.notes.append(f"Port {usual} is taken: {what} gets {port}.")
                return port
        raise Halt(
            f"No port from {usual} to {usual + _PORTS_TRIED - 1} is free for {what}. Nothing was "
            "written. End what listens there, then run it again."
        )


def port_is_free(port: int) -> bool:
    """Return whether this machine lets a program listen on that port of loopback."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((_LOCAL, port))
        except OSError:
            return False
    return True


def development_home(home: Path, rpc_url: str = "", ports: FreePorts | None = None) -> NewHome:
    """Return the plan of a home of profile `dev`: everything runs on this machine.

    Args:
        rpc_url: a local node of one's own; "" for the chain that `proofrail up` starts.
    """
    ports = ports or FreePorts()
    url = rpc_url or f"http://{_LOCAL}:{ports.take(CHAIN_PORT, 'the chain')}"
    values = {
        "profile": "dev",
        "rpc_url": url,
        "chain_embedded": not rpc_url,
        "api_port": ports.take(API_PORT, "the API"),
        "api_registration": True,
        "broker_port": ports.take(BROKER_PORT, "the broker"),
        "broker_nats_port": ports.take(READERS_PORT, "the broker's readers"),
        "safeguarding": development_safeguarding(),
        "steward_delay_hours": 0,
        "officers": [keystore.development_account(index).address for index in OFFICERS.values()],
        "oracles": [
            {
                "name": name,
                "domain": domain,
                "address": keystore.development_account(FIRST_ORACLE + index).address,
                "url": f"http://{_LOCAL}:{ports.take(ORACLE_PORT + index, f'oracle {name}')}",
                "embedded": True,
                "reader": reader_of(domain),
            }
            for index, (name, domain) in enumerate(ORACLES)
        ],
    }
    return NewHome(home, values, ports.notes)


def server_home(
    home: Path,
    rpc_url: str,
    oracles: Sequence[Mapping[str, Any]],
    safeguarding: Mapping[str, str],
    bank_channel: str = "",
    ports: FreePorts | None = None,
    officers: Sequence[str] = (),
    delay_hours: int = 48,
) -> NewHome:
    """Return the plan of a home of profile `server`: node, oracles and bank are elsewhere.

    Args:
        oracles: name, domain, address and url of each.
        bank_channel: see the setting; "" for a pair of folders.
        officers: addresses of the first officers.
        delay_hours: how long the steward's actions wait.
    """
    ports = ports or FreePorts()
    values = {
        "profile": "server",
        "rpc_url": rpc_url,
        "chain_embedded": False,
        "api_port": ports.take(API_PORT, "the API"),
        "broker_port": ports.take(BROKER_PORT, "the broker"),
        "broker_nats_port": ports.take(READERS_PORT, "the broker's readers"),
        "bank_channel": bank_channel,
        "bank_simulated": False,
        "safeguarding": dict(safeguarding),
        "steward_delay_hours": delay_hours,
        "officers": list(officers),
        "oracles": [{**oracle, "embedded": False} for oracle in oracles],
    }
    return NewHome(home, values, ports.notes)


def exists(home: Path) -> bool:
    """Return whether the folder is a home already, of this version or of an earlier one.

    One whose making was cut off is none yet: `make` finishes it.

    Raises:
        Halt: it holds something else.
    """
    marks = (CONFIGURATION, "rail.json", "proofrail.sqlite3")
    if any((home / mark).exists() for mark in marks):
        return True
    if not _draft(home).exists() and home.exists() and any(home.iterdir()):
        raise Halt(
            f"{home} is not empty and holds no rail. Nothing was written. Give another folder "
            "with --home."
        )
    return False


def make(plan: NewHome) -> Settings:
    """Write everything that the plan names; what exists already stays. Return its settings.

    The configuration comes last, so that a home that has one is complete.
    """
    plan.home.mkdir(parents=True, exist_ok=True)
    plan.home.chmod(0o700)  # it holds names, accounts and logs
    if not (plan.home / CONFIGURATION).exists():
        draft = _draft(plan.home)
        keystore.write_private(draft, configuration.render(plan.values).encode())
        equip(Settings(home=plan.home, **plan.values))
        draft.rename(plan.home / CONFIGURATION)
    return read_settings(plan.home)


def _draft(home: Path) -> Path:
    """Return the file that shows that a home is being made."""
    return home / f".{CONFIGURATION}.draft"


def equip(settings: Settings) -> None:
    """Make the keys, secrets and folders of a home that do not exist yet."""
    if settings.profile == "dev":
        create_role_keys(settings)
        DevelopmentCa.make(settings, int(time.time()))
    else:
        for role in ROLES:
            keystore.create(settings.keys, role)
        settings.trust.mkdir(parents=True, exist_ok=True)
    create_receipt_key(settings)
    role = credentials.CredentialRole.RAIL
    create_broker_password(settings.home, "rail", role, settings.keys / "broker.password")
    indexes = {name: index for index, (name, _) in enumerate(ORACLES)}
    for oracle in settings.oracles:
        if oracle.embedded:
            equip_oracle(settings, oracle.name, indexes[oracle.name])
        else:
            _secrets_for(settings, oracle.name)


def _secrets_for(settings: Settings, oracle: str) -> None:
    """Make the two secrets that the operator of an oracle elsewhere needs."""
    folder = settings.keys / "for-oracles" / oracle
    if not (folder / "token").exists():
        keystore.write_private(folder / "token", create_oracle_token(settings, oracle))
    role = credentials.CredentialRole.ORACLE
    create_broker_password(settings.home, oracle, role, folder / "broker.password")
