"""Reads the configuration of an oracle's folder, `oracle.toml`, as options of its process."""

from __future__ import annotations

import tomllib
from pathlib import Path

from orchestrator.errors import Halt

FORMAT = 1  # of oracle.toml and card.json
CONFIGURATION = "oracle.toml"


def arguments_of(home: Path) -> list[str]:
    """Return the arguments of `services.oracle` for an oracle's folder.

    Raises:
        Halt: the folder is not set up, or its configuration cannot be read.
    """
    path = home / CONFIGURATION
    try:
        options = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise Halt(f"There is no oracle in {home}. Run `proofrail-oracle init`.") from None
    except (OSError, ValueError) as error:
        raise Halt(f"{path} cannot be read: {error}. Correct the file.") from error
    if options.pop("version", None) != FORMAT:
        raise Halt(f"{path} has another version than {FORMAT}. Use the release that wrote it.")
    files = {
        "home": home,
        "keystore": home / "key.json",
        "password-file": home / "password",
        "token-file": home / "token",
        "broker-password-file": home / "broker.password",
        "ready-file": home / "ready.json",
    }
    named = {name.replace("_", "-"): value for name, value in options.items()} | files
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]
