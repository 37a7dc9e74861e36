"""Opens the parts of one rail's home folder that a command needs, or says what is missing."""

from __future__ import annotations

import sys
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.errors import Halt, Retry

if TYPE_CHECKING:
    from orchestrator.core.approval import Office
    from orchestrator.edges.chain.client import Chain
    from orchestrator.edges.chain.deployment import Deployment
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import Store
    from orchestrator.operations.agreements import AgreementOps
    from orchestrator.settings import Settings


class Home:
    """The rail at --home, else at PROOFRAIL_HOME. Each part is opened on first use."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @cached_property
    def place(self) -> Path:
        """The folder of the home, also where its configuration cannot be read."""
        from orchestrator.settings import place_of

        return place_of(self._path)

    @cached_property
    def settings(self) -> Settings:
        """The settings of this home; raises Halt if one cannot be used."""
        from orchestrator.settings import read_settings

        return read_settings(self._path)

    @cached_property
    def rail_file(self) -> dict[str, Any]:
        """The content of rail.json: the addresses of a running rail's node, broker and bank.

        {} if the file is missing.
        """
        from orchestrator.addresses import read_addresses

        return read_addresses(self.settings.home)

    @cached_property
    def database(self) -> Path:
        """The existing file of the store; a command never creates one."""
        path = self.settings.database
        if not path.is_file():
            raise Halt(
                f"There is no rail at {self.settings.home}: {path.name} is missing. `proofrail "
                "init` makes a rail; for an existing one give its home with --home or "
                "PROOFRAIL_HOME."
            )
        return path

    @cached_property
    def store(self) -> Store:
        """The store in `database`."""
        path = self.database
        from orchestrator.edges.store import Store

        return Store(path)

    @cached_property
    def deployment(self) -> Deployment:
        from orchestrator.edges.chain.deployment import Deployment

        return Deployment.load(self.settings.deployment)

    @cached_property
    def chain(self) -> Chain:
        """A client of the node, after a check that it serves this deployment's chain."""
        url = self.rpc_url
        if url is None:
            raise Halt(
                f"No node is configured for the rail at {self.settings.home}, and this command "
                "needs one. Start the rail (`proofrail up`), or set PROOFRAIL_RPC_URL."
            )
        chain = self.chain_unchecked(url)
        try:
            chain.check_identity()
        except Retry as failure:
            raise Halt(
                f"The node at {url} does not answer ({failure}). Nothing was sent. Start the rail, "
                "or set PROOFRAIL_RPC_URL to its node."
            ) from failure
        return chain

    def chain_unchecked(self, url: str) -> Chain:
        """Return a chain client without asking the node: enough to encode and to sign."""
        from orchestrator.assembly import open_chain

        others = self.settings.rpc_urls if url == self.rpc_url else ()
        return open_chain(url, self.deployment, others)

    @property
    def rpc_url(self) -> str | None:
        """PROOFRAIL_RPC_URL if set, else the URL in rail.json."""
        if "rpc_url" in self.settings.model_fields_set:
            return self.settings.rpc_url
        return self.rail_file.get("rpc_url")

    def agreement_ops(self) -> AgreementOps:
        """Return the agreement operations, with the keys of registrar, sender and, if present,
        warden."""
        from orchestrator.edges.chain import keystore
        from orchestrator.edges.chain.sender import Sender
        from orchestrator.operations.agreements import AgreementOps

        warden = ("warden",) if "warden" in keystore.names(self.settings.keys) else ()
        senders = {
            role: Sender(self.store, self.chain, self.role_account(role))
            for role in ("registrar", "sender", *warden)
        }
        parties = keystore.keys_of(self.settings.keys / "parties")
        return AgreementOps(senders, lambda: int(time.time()), patience(), parties)

    def office(self, *, online: bool = True) -> Office:
        """Return whose approvals count now, as the chain says.

        Args:
            online: whether to ask the chain; without it nobody is an officer.
        """
        from orchestrator.assembly import office_of, read_officers

        officers = read_officers(self.chain) if online else frozenset()
        return office_of(self.deployment, self.settings, officers, int(time.time()))

    def role_account(self, name: str) -> LocalAccount:
        """Return the account of a role, checked as in `checked`."""
        from orchestrator.edges.chain import keystore

        return self.checked(keystore.load(self.settings.keys, name))

    def checked(self, account: LocalAccount) -> LocalAccount:
        """Return the account; refuse a public development key outside the local chain.

        Raises:
            Halt: the key is publicly known and the chain is not the local one.
        """
        from orchestrator.edges.chain.keystore import LOCAL_CHAIN, development_account

        chain_id = self.deployment.chain_id
        if chain_id != LOCAL_CHAIN and account.address in {
            development_account(index).address for index in range(40)
        }:
            raise Halt(
                f"The key of {account.address} is public, and chain {chain_id} is not the local "
                f"chain {LOCAL_CHAIN}. Nothing was sent. Use your own key."
            )
        return account

    def local_only(self, what: str) -> None:
        """Raise Halt unless the rail is on the local chain; `what` names the refused action."""
        from orchestrator.edges.chain.keystore import LOCAL_CHAIN

        if self.deployment.chain_id != LOCAL_CHAIN:
            raise Halt(
                f"{what} is for the local chain {LOCAL_CHAIN} only, and this rail is on chain "
                f"{self.deployment.chain_id}. Nothing was done."
            )


def patience() -> Any:
    """Return a `wait` for chain sends that gives up after a minute."""
    from orchestrator.edges.chain import sender

    return sender.patience()


def home_of(context: typer.Context) -> Home:
    """Return the home that the root command opened."""
    return context.obj


def text_or_file(value: str) -> bytes:
    """Return the content of the file with that name, or the text itself if there is none."""
    try:
        path = Path(value)
        if path.is_file() or path.is_fifo():  # a shell passes a pipe as a file
            return path.read_bytes()
        if path.suffix in (".pem", ".key", ".pub", ".der", ".hex", ".txt"):
            raise Halt(
                f"There is no file {value}. Give the name of an existing file, or the key itself."
            )
    except (OSError, ValueError):  # not a usable path: treat it as text
        pass
    return value.encode("utf-8", "surrogateescape")


def read_secret(source: str) -> str:
    """Return a secret from a file or, for "-", from standard input; never from an argument.

    Every user of a machine sees the arguments of its processes.

    Raises:
        Halt: there is no such file. The text does not repeat `source`, which may be the secret.
    """
    if source == "-":
        return sys.stdin.readline().strip()
    try:
        return Path(source).read_text().strip()
    except (OSError, ValueError) as error:
        raise Halt(
            "The secret cannot be read: give the name of the file that holds it, or - for standard "
            "input. Nothing was done."
        ) from error
