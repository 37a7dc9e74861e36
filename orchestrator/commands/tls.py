"""`proofrail tls`: the built-in authority, and certificates for servers and clients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain

app = typer.Typer(
    name="tls",
    help="Make certificates for the API, the broker, oracles and devices.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("authority")
def authority(context: typer.Context, as_json: Json = False) -> None:
    """Make the rail's own certificate authority. One that exists stays."""
    from orchestrator.operations.tls import TlsAuthority

    tls = TlsAuthority(home_of(context).settings.tls)
    tls.make()
    view = {"certificate": str(tls.certificate)}
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"clients check servers with {tls.certificate}; its key never leaves the home"),
            soft_wrap=True,
        ),
    )


@app.command("issue")
def issue(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A device's name, or any name for a server.")],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Host name or address of a server, once for each. None: a client."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Validity in days.")] = 397,
    out: Annotated[Path | None, typer.Option(help="Folder for the two files.")] = None,
    as_json: Json = False,
) -> None:
    """Issue a certificate with a new key. With --host for a server, without for a client."""
    from orchestrator.edges.broker.access import is_valid_name
    from orchestrator.errors import Halt
    from orchestrator.operations.tls import TlsAuthority

    if not is_valid_name(name):
        raise Halt(
            f"{name!r} is not a valid name: 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a "
            "letter or a digit. Nothing was issued."
        )
    issued = TlsAuthority(home_of(context).settings.tls).issue(
        name, tuple(host or ()), days=days, folder=out
    )
    view: dict[str, Any] = {
        "name": name,
        "use": "server" if host else "client",
        "certificate": str(issued.certificate),
        "key": str(issued.key),
        "ends": issued.ends.isoformat(),
    }
    output.show(view, as_json, lambda console: _print_issued(console, view))


def _print_issued(console: Any, view: dict[str, Any]) -> None:
    rows = [(name, view[name]) for name in ("use", "certificate", "key", "ends")]
    console.print(output.table(view["name"], ("", ""), rows))
