"""Checks a rail from outside: what an operator looks at first when something is wrong.

Each check returns findings; none of them changes anything.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator import __version__
from orchestrator.errors import Halt
from orchestrator.home_lock import holder
from orchestrator.settings import CONFIGURATION, Settings
from services import anvil
from services.doctor_files import damaged_files

_TIMEOUT_S = 3.0
_FEW_BYTES, _SCARCE_BYTES = 100 * 1024**2, 1024**3
_FEW_FILES = 256  # of the process limit; a busy rail holds more
_SKEW_S = 60  # between our clock and the chain's
_STALE_S = 900  # three heartbeats of an idle local chain, and far more than other chains rest
_ROLES = ("sender", "minter", "warden")  # the keys that a running rail sends with


_ORACLE_SECRETS = ("key.json", "password", "token", "broker.password")


class CheckState(StrEnum):
    """How serious a finding is."""

    OK = "ok"
    WARNING = "warning"  # it works, and somebody should look
    PROBLEM = "problem"  # it does not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. next_step: "" where there is nothing to do."""

    check: str
    severity: CheckState
    observed: str
    next_step: str = ""


def examine(
    settings: Settings,
    ask: Callable[[str, list[tuple[str, list[Any]]]], list[Any]] | None = None,
    now: Callable[[], float] = time.time,
) -> list[Finding]:
    """Return all findings, in the order in which a person would look.

    Args:
        ask: answers JSON-RPC calls to a URL; raises OSError or ValueError.
        now: Unix seconds.
    """
    if not (settings.home / CONFIGURATION).is_file():
        return list(_configuration(settings))
    ask = ask or ask_node
    running = holder(settings.lock) is not None
    return [
        Finding("versions", CheckState.OK, f"proofrail {__version__}, Python {_python()}"),
        *_configuration(settings),
        *_processes(settings, running),
        *_file_modes(settings),
        *_files_whole(settings),
        *_keys(settings),
        *_anvil(settings),
        *_ports(settings, running),
        *_node(settings, running, ask, now()),
        *_others(settings),
        *_space(settings.home),
        *_open_files(),
    ]


def _python() -> str:
    return platform.python_version()


def _configuration(settings: Settings) -> Iterator[Finding]:
    path = settings.home / CONFIGURATION
    if not path.is_file():
        yield Finding(
            "configuration",
            CheckState.PROBLEM,
            f"{path} is missing; nothing else was checked",
            "give the rail's home with --home; proofrail init makes a new one",
        )
    elif settings.safeguarding is None or not settings.oracles:
        yield Finding(
            "configuration",
            CheckState.PROBLEM,
            "no [safeguarding] account, or no [[oracles]] block",
            f"add it to {path}",
        )
    else:
        yield Finding("configuration", CheckState.OK, f"profile {settings.profile}, {path}")


def _processes(settings: Settings, running: bool) -> Iterator[Finding]:
    if not running:
        yield Finding("processes", CheckState.WARNING, "the rail is not running", "proofrail up")
        return
    try:
        state = json.loads((settings.run / "processes.json").read_bytes())["processes"]
    except (OSError, ValueError, KeyError) as error:
        yield Finding(
            "processes", CheckState.WARNING, f"their state is unknown: {error}", "proofrail ps"
        )
        return
    for process in state:
        if process["state"] not in ("ready", "done"):
            yield Finding(
                "processes",
                CheckState.PROBLEM,
                f"{process['name']} is {process['state']}, restarted {process['restarts']} times",
                f"proofrail logs {process['name']}",
            )
    ready = sum(process["state"] in ("ready", "done") for process in state)
    yield Finding("processes", CheckState.OK, f"{ready} of {len(state)} are ready")


def _file_modes(settings: Settings) -> Iterator[Finding]:
    """Look at the home, which keeps others away from its databases, and at each secret in it."""
    home = settings.home
    if not home.is_dir():
        return
    secrets = [home, *_files(settings.keys), home / "broker" / "credentials.json"]
    secrets += [file for file in _files(home / "oracles") if file.name in _ORACLE_SECRETS]
    open_files = [path for path in secrets if path.exists() and path.stat().st_mode & 0o077]
    for path in open_files:
        mode = "700" if path.is_dir() else "600"
        yield Finding(
            "file modes",
            CheckState.PROBLEM,
            f"others can read {path}",
            f"chmod {mode} {path}; if others work on this machine, also replace what it holds",
        )
    if not open_files:
        yield Finding("file modes", CheckState.OK, "secrets are readable by their owner only")


def _files(folder: Path) -> Iterable[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _files_whole(settings: Settings) -> Iterator[Finding]:
    damaged = list(damaged_files(settings))
    for sentence, step in damaged:
        yield Finding("files", CheckState.PROBLEM, sentence, step)
    if not damaged:
        yield Finding("files", CheckState.OK, "those that a start needs can be read")


def _keys(settings: Settings) -> Iterator[Finding]:
    from orchestrator.edges.chain import keystore

    good = 0
    for role in _ROLES:
        try:
            keystore.load(settings.keys, role)
            good += 1
        except Halt as error:
            step = f"restore {settings.keys} from a backup"
            if "chmod" in str(error):
                step = "run that chmod; the key itself is well"
            yield Finding("keys", CheckState.PROBLEM, f"{role}: {error}", step)
    for name in ("receipt.pem", "broker.password", *_tokens(settings)):
        if not (settings.keys / name).is_file():
            step = f"restore {settings.keys} from a backup"
            yield Finding("keys", CheckState.PROBLEM, f"{settings.keys / name} is missing", step)
    if good == len(_ROLES):
        yield Finding("keys", CheckState.OK, f"{', '.join(_ROLES)} open with their password")


def _tokens(settings: Settings) -> list[str]:
    return [f"{oracle.name}.token" for oracle in settings.oracles]


def _anvil(settings: Settings) -> Iterator[Finding]:
    if not settings.chain_embedded:
        return
    program = anvil.find()
    if program is None:
        step = "proofrail up fetches it, which needs npm or pip and the network"
        yield Finding("anvil", CheckState.WARNING, "the local chain's program is not here", step)
    else:
        yield Finding("anvil", CheckState.OK, f"{program} (version {anvil.version()} is pinned)")


def _ports(settings: Settings, running: bool) -> Iterator[Finding]:
    """Look at the ports of what `proofrail up` starts: free before it, in use after it."""
    for name, host, port in embedded_ports(settings):
        answers = _listens(host, port)
        if answers and not running:
            yield Finding(
                "ports",
                CheckState.PROBLEM,
                f"another program listens on {host}:{port}, the port of {name}",
                f"end that program, or change the port in {settings.home / CONFIGURATION}",
            )
        elif running and not answers:
            yield Finding(
                "ports",
                CheckState.PROBLEM,
                f"{name} does not listen on {host}:{port}",
                "proofrail ps, then proofrail logs NAME",
            )
    yield Finding("ports", CheckState.OK, "looked at " + ", ".join(_port_texts(settings)))


def embedded_ports(settings: Settings) -> list[tuple[str, str, int]]:
    """Return (part, host, port) of everything that listens on this machine."""
    ports = [("the API", settings.api_host, settings.api_port)]
    if settings.chain_embedded:
        ports.append(("the chain", *_address(settings.rpc_url)))
    if settings.broker_embedded:
        ports.append(("the broker", settings.broker_host, settings.broker_port))
        ports.append(("the broker's readers", settings.broker_host, settings.nats_port))
    oracles = [oracle for oracle in settings.oracles if oracle.embedded]
    ports += [(f"oracle {oracle.name}", *_address(oracle.url)) for oracle in oracles]
    return [(name, host, port) for name, host, port in ports if port]


def _port_texts(settings: Settings) -> list[str]:
    return [f"{name.removeprefix('the ')} {port}" for name, _, port in embedded_ports(settings)]


def _node(
    settings: Settings, running: bool, ask: Callable[..., list[Any]], now: float
) -> Iterator[Finding]:
    deployment = _deployment(settings)
    if settings.chain_embedded and not running:
        return
    if deployment is None and settings.deployment.exists():
        return  # damaged, or not finished: `files` names it
    if deployment is None:
        step = "wait for proofrail up" if settings.chain_embedded else "proofrail init --rpc URL"
        yield Finding("node", CheckState.PROBLEM, "no contracts are deployed yet", step)
        return
    rail = deployment["addresses"]["PaymentRail"]
    try:
        chain_id, genesis, code, block = ask(
            settings.rpc_url,
            [
                ("eth_chainId", []),
                ("eth_getBlockByNumber", ["0x0", False]),
                ("eth_getCode", [rail, "latest"]),
                ("eth_getBlockByNumber", ["latest", False]),
            ],
        )
        identity = (int(chain_id, 16), genesis["hash"])
        age = now - int(block["timestamp"], 16)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Finding(
            "node",
            CheckState.PROBLEM,
            f"{settings.rpc_url} gives no usable answer: {error}",
            "start the node, or correct rpc_url",
        )
        return
    if identity != (deployment["chain_id"], deployment["genesis"]) or code == "0x":
        yield Finding(
            "node",
            CheckState.PROBLEM,
            f"{settings.rpc_url} is another chain than that of the contracts, or lost its blocks",
            "point rpc_url to the right node; change nothing else",
        )
        return
    yield Finding("node", CheckState.OK, f"chain {identity[0]} with the contracts at {rail}")
    yield _clock(age)


def _clock(age: float) -> Finding:
    if age < -_SKEW_S:
        sentence = f"the newest block is {-age:.0f} s ahead of this machine's clock"
        return Finding("clock", CheckState.PROBLEM, sentence, "set the clock (NTP) of this machine")
    if age > _STALE_S:
        sentence = f"the newest block is {age:.0f} s old"
        return Finding(
            "clock", CheckState.WARNING, sentence, "look at the node; compare the clocks"
        )
    return Finding("clock", CheckState.OK, f"the newest block is {age:.0f} s old")


def _deployment(settings: Settings) -> dict[str, Any] | None:
    try:
        return json.loads(settings.deployment.read_bytes())["deployment"]
    except (OSError, ValueError, KeyError):
        return None


def _others(settings: Settings) -> Iterator[Finding]:
    """Look at the broker and the oracles on other machines."""
    places = (
        [] if settings.broker_embedded else [("broker", settings.broker_host, settings.broker_port)]
    )
    places += [
        (f"oracle {oracle.name}", *_address(oracle.url))
        for oracle in settings.oracles
        if not oracle.embedded
    ]
    for name, host, port in places:
        if _listens(host, port):
            yield Finding(name, CheckState.OK, f"answers at {host}:{port}")
        else:
            step = "ask whoever runs it; check the network and the firewall"
            yield Finding(name, CheckState.PROBLEM, f"does not answer at {host}:{port}", step)


def _space(home: Path) -> Iterator[Finding]:
    there = next(path for path in (home, *home.absolute().parents) if path.is_dir())
    usage = os.statvfs(there)
    free = usage.f_bavail * usage.f_frsize
    severity = CheckState.OK
    if free < _SCARCE_BYTES:
        severity = CheckState.PROBLEM if free < _FEW_BYTES else CheckState.WARNING
    step = (
        "" if severity is CheckState.OK else "free space: old backups and logs first, never keys/"
    )
    yield Finding("disk", severity, f"{free / 1024**3:.1f} GiB free for {home}", step)
    if usage.f_files and usage.f_favail < 1_000:
        sentence = f"only {usage.f_favail} more files can be made"
        yield Finding("disk", CheckState.PROBLEM, sentence, "delete files that nobody needs")


def _open_files() -> Iterator[Finding]:
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit < _FEW_FILES:
        sentence = f"a process may have only {limit} open files"
        yield Finding("open files", CheckState.WARNING, sentence, "raise it: ulimit -n 4096")


def ask_node(url: str, calls: list[tuple[str, list[Any]]]) -> list[Any]:
    """Return the results of JSON-RPC calls, in order.

    Raises:
        OSError: nobody answers.
        ValueError: the answer is not one, or an error.
    """
    body = [
        {"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}
        for number, (method, parameters) in enumerate(calls)
    ]
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        answers = json.load(reply)
    if not isinstance(answers, list) or len(answers) != len(calls):
        raise ValueError("it does not answer a batch of calls")
    results = {answer["id"]: answer.get("result") for answer in answers}
    return [results[number] for number in range(len(calls))]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False
