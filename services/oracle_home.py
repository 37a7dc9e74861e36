"""`proofrail-oracle`: sets up and runs an oracle on its own machine, for its own organisation.

Everything of it is in one folder: key, token, certificates, memory and `oracle.toml`. Nothing of
the folder but `card.json` goes to the rail, and the token by a safe way.
"""

from __future__ import annotations

import json
import secrets
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.errors import Halt, Retry
from orchestrator.operations.tls import CA_FILE, TlsAuthority
from services.commands import oracle_ruling
from services.oracle_options import CONFIGURATION, FORMAT, arguments_of

CARD = "card.json"

app = typer.Typer(
    name="proofrail-oracle",
    help="Set up and run an oracle of your own organisation.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(oracle_ruling.app)
ReaderName = Literal["own", "library"]
HomeOption = Annotated[Path, typer.Option(help="The oracle's folder.")]


@app.command()
def init(
    name: Annotated[str, typer.Option(help="The oracle's name; the rail and its log use it.")],
    domain: Annotated[int, typer.Option(min=1, max=255, help="Trust domain, from the rail.")],
    rpc: Annotated[str, typer.Option(help="URL of a node that you run or trust.")],
    deployment: Annotated[Path, typer.Option(help="deployment.json, from the rail.")],
    broker: Annotated[str, typer.Option(help="HOST:PORT of the rail's broker.")],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 7443,
    rail_ca: Annotated[
        Path | None, typer.Option(help="The rail's authority, PEM: only it may connect.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="An existing keystore, with `password` next to it.")
    ] = None,
    reader: Annotated[
        ReaderName, typer.Option(help="library: read OCMF with pyocmf alone; own: our decoder.")
    ] = "library",
    home: HomeOption = Path(".proofrail-oracle"),
) -> None:
    """Make key, token, certificate and configuration. Run again, it changes nothing."""
    if (home / CONFIGURATION).exists():
        typer.echo(f"{home} is set up already; nothing was changed. Next: proofrail-oracle up")
        return
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    account = _key(home, key)
    if not (home / "token").exists():
        keystore.write_private(home / "token", secrets.token_urlsafe(32).encode())
    authority = TlsAuthority(home / "tls")
    authority.make()
    server = authority.issue("server", [host])
    shutil.copyfile(deployment, home / "deployment.json")
    if rail_ca is not None:
        shutil.copyfile(rail_ca, home / "tls" / "rail-ca.pem")
    broker_host, _, broker_port = broker.rpartition(":")
    options = {
        "name": name,
        "domain": domain,
        "reader": reader,
        "rpc": rpc,
        "deployment": str((home / "deployment.json").resolve()),
        "broker_host": broker_host,
        "broker_port": int(broker_port),
        "broker_user": name,
        "http_host": host,
        "http_port": port,
        "tls_cert": str(server.certificate.resolve()),
        "tls_key": str(server.key.resolve()),
    }
    if rail_ca is not None:
        options["tls_client_ca"] = str((home / "tls" / "rail-ca.pem").resolve())
    card = {
        "version": FORMAT,
        "name": name,
        "domain": domain,
        "address": account.address,
        "url": f"https://{host}:{port}",
        "certificate_authority": (authority.folder / CA_FILE).read_text(),
    }
    keystore.write_private(home / CARD, json.dumps(card, indent=1).encode())
    keystore.write_private(home / CONFIGURATION, _toml(options).encode())
    typer.echo(f"{name} signs with {account.address} and will serve {card['url']}")
    typer.echo(f"next: send {home / CARD} to the rail, and {home / 'token'} by a safe way;")
    typer.echo(f"put the broker's password from the rail into {home / 'broker.password'};")
    typer.echo("then: proofrail-oracle up")


@app.command()
def up(home: HomeOption = Path(".proofrail-oracle")) -> None:
    """Run the oracle until Ctrl-C or SIGTERM."""
    from services.oracle import main as serve

    raise typer.Exit(serve(arguments_of(home)))


def _key(home: Path, key: Path | None) -> LocalAccount:
    if key is not None and not (home / "key.json").exists():
        for source, name in ((key, "key.json"), (key.with_name("password"), "password")):
            keystore.write_private(home / name, source.read_bytes())
    return keystore.create(home, "key")


def _toml(options: dict[str, Any]) -> str:
    """Return the configuration; JSON's strings and numbers are TOML's too."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    head = "# An oracle of proofrail; `proofrail-oracle up` reads it. Each line is an option of it."
    return "\n".join([head, f"version = {FORMAT}", *lines, ""])


def main() -> int:
    """Run the command line; a failure is one sentence with its next step."""
    try:
        app()
    except (Halt, Retry) as stop:
        typer.echo(str(stop), err=True)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
