"""Finds one rail's home and opens what a command needs of it, or says what is missing there."""

from __future__ import annotations

import json
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.errors import Halt, Retry

if TYPE_CHECKING:
    from orchestrator.edges.chain.client import Chain
    from orchestrator.edges.chain.deployment import Deployment
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import Store
    from orchestrator.operations.agreements import AgreementOps
    from orchestrator.settings import Settings

PATIENCE_S = 60  # how long a command waits for a block


class Home:
    """The rail at --home, else at PROOFRAIL_HOME; everything is opened at its first use."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    @cached_property
    def settings(self) -> Settings:
        from pydantic import ValidationError

        from orchestrator.settings import Settings

        try:
            return Settings(home=self._path) if self._path else Settings()
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(map(str, first["loc"])).upper()
            raise Halt(
                f"The setting PROOFRAIL_{name} cannot be used: {first['msg']}. Correct or unset it."
            ) from error

    @cached_property
    def town(self) -> dict[str, Any]:
        """rail.json: where the node, the broker and the bank of a running rail are; {} without."""
        path = self.settings.home / "rail.json"
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise Halt(f"{path} cannot be read ({error}). Start the rail anew.") from error

    @cached_property
    def store(self) -> Store:
        """The store, which must be there already: reading commands create nothing."""
        path = self.settings.database
        if not path.is_file():
            raise Halt(
                f"There is no rail at {self.settings.home}: {path.name} is missing. Run `make demo "
                "KEEP=1`, or name the rail's home with --home or PROOFRAIL_HOME."
            )
        from orchestrator.edges.store import Store

        return Store(path)

    @cached_property
    def deployment(self) -> Deployment:
        from orchestrator.edges.chain.deployment import Deployment

        return Deployment.load(self.settings.deployment)

    @cached_property
    def chain(self) -> Chain:
        """The node, checked to be this deployment's chain."""
        url = self.rpc_url
        if url is None:
            raise Halt(
                f"No node is known for the rail at {self.settings.home}, and this command writes "
                "to the chain. Start the rail (`make demo KEEP=1`), or set PROOFRAIL_RPC_URL."
            )
        chain = self.chain_unchecked(url)
        try:
            chain.check_identity()
        except Retry as silence:
            raise Halt(
                f"The node at {url} does not answer ({silence}). Nothing was sent. Start the rail, "
                "or set PROOFRAIL_RPC_URL to its node."
            ) from silence
        return chain

    def chain_unchecked(self, url: str) -> Chain:
        """The contracts' door without a question to the node: enough to encode and to sign."""
        from orchestrator.assembly import open_chain

        return open_chain(url, self.deployment)

    @property
    def rpc_url(self) -> str | None:
        """PROOFRAIL_RPC_URL where it is set, else what the running rail noted."""
        if "rpc_url" in self.settings.model_fields_set:
            return self.settings.rpc_url
        return self.town.get("rpc_url")

    def office(self) -> AgreementOps:
        """The operators' office, with the keys of registrar and sender, and the warden's where the
        rail has it."""
        from orchestrator.edges.chain import keystore
        from orchestrator.edges.chain.sender import Sender
        from orchestrator.operations.agreements import AgreementOps

        warden = ("warden",) if "warden" in keystore.names(self.settings.keys) else ()
        senders = {
            role: Sender(self.store, self.chain, self.role(role))
            for role in ("registrar", "sender", *warden)
        }
        return AgreementOps(senders, lambda: int(time.time()), patience())

    def role(self, name: str) -> LocalAccount:
        """The account of a role; refuses keys that everybody knows on any chain but the local."""
        from orchestrator.edges.chain import keystore

        return self.sound(keystore.load(self.settings.keys, name))

    def sound(self, account: LocalAccount) -> LocalAccount:
        from orchestrator.edges.chain.keystore import LOCAL_CHAIN, development_account

        chain_id = self.deployment.chain_id
        if chain_id != LOCAL_CHAIN and account.address in {
            development_account(index).address for index in range(40)
        }:
            raise Halt(
                f"The key of {account.address} is known to everybody and chain {chain_id} is not "
                f"the local chain {LOCAL_CHAIN}. Nothing was sent. Use a key of your own."
            )
        return account

    def local_only(self, what: str) -> None:
        """Refuses what is for the local chain alone."""
        from orchestrator.edges.chain.keystore import LOCAL_CHAIN

        if self.deployment.chain_id != LOCAL_CHAIN:
            raise Halt(
                f"{what} is for the local chain {LOCAL_CHAIN} only, and this rail is on chain "
                f"{self.deployment.chain_id}. Nothing was done."
            )


def patience() -> Any:
    """A `wait` for chain sends: sleeps a moment, and gives up after a minute."""
    deadline = time.monotonic() + PATIENCE_S

    def wait() -> None:
        if time.monotonic() > deadline:
            raise Retry(
                f"No block took the transaction within {PATIENCE_S} s. It is stored and will not "
                "be signed twice; run the same command again."
            )
        time.sleep(0.1)

    return wait


def of(context: typer.Context) -> Home:
    """The home that the root command found."""
    return context.obj


def text_or_file(value: str) -> bytes:
    """What a file of that name holds, else the text itself."""
    try:
        path = Path(value)
        if path.is_file() or path.is_fifo():  # a shell hands over a pipe as a file
            return path.read_bytes()
        if path.suffix in (".pem", ".key", ".pub", ".der", ".hex", ".txt"):
            raise Halt(f"There is no file {value}, and no key is written like that.")
    except (OSError, ValueError):  # too long, or no path at all: then it is the text
        pass
    return value.encode("utf-8", "surrogateescape")
