"""Who signs and pays what a command adds to a deployment: the home's deployer, or a keystore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.commands.home import Home, read_secret
from orchestrator.errors import Halt
from orchestrator.home_lock import hold

if TYPE_CHECKING:
    from orchestrator.edges.chain.ethereum import LocalAccount

Payer = Annotated[
    Path | None, typer.Option("--keystore", help="Who pays the gas. Default: the home's deployer.")
]
_LOCK = "deployment.lock"  # two runs at once would sign with one nonce


def payer_address(home: Home, keystore: Path | None) -> str:
    """Return the address of who pays; no password is needed for it.

    Raises:
        Halt: there is no such keystore.
    """
    from orchestrator.edges.chain import keystore as keystores
    from orchestrator.edges.chain.plan import checksum

    folder = home.settings.keys
    if keystore is not None:
        address = keystores.address_in(keystore)
    else:
        address = keystores.address(folder, "deployer")
    if address is None:
        raise Halt(
            f"There is no keystore {keystore or folder / 'deployer.json'}. Nothing was sent. Give "
            "the keystore of an account with money for gas with --keystore; it gets no power."
        )
    return checksum(address)


def payer_account(home: Home, keystore: Path | None, password_file: str | None) -> LocalAccount:
    """Open the keystore of who pays.

    Raises:
        Halt: it does not open, or its key is public and the chain is not the local one.
    """
    from orchestrator.edges.chain import keystore as keystores

    if keystore is None:
        return home.role_account("deployer")
    if password_file is None:
        raise Halt("Give the password of the keystore with --password-file. Nothing was sent.")
    return home.checked(keystores.unlock(keystore, read_secret(password_file)))


@contextmanager
def sole_deployer(home: Home) -> Iterator[None]:
    """Keep a second command from adding to the same deployment within the block."""
    with hold(home.settings.home / _LOCK):
        yield
