"""`proofrail api-key`: issues keys for the HTTP API; each is shown once and kept as a hash."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

app = typer.Typer(
    name="api-key", help="Keys for the HTTP API.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def group() -> None:
    """Keys for the HTTP API."""


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is; an older one of that name ends.")],
    role: Annotated[str, typer.Option(help="partner, auditor or operator.")],
    scope: Annotated[
        str, typer.Option(help="For a partner: how the names of its devices begin.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Issue a key, shown this once."""
    from orchestrator.edges.store import access

    try:
        with home.of(context).store.write() as session:
            key = access.issue_key(session, name, role, scope)
    except ValueError as error:
        roles = ", ".join(access.KeyRole)
        raise Halt(
            f"No key was made: {error}. Roles are {roles}; a partner needs --scope."
        ) from error
    told = {"name": name, "role": role, "scope": scope, "key": key}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(f"key of {name}, {role} (shown this once): {key}"), soft_wrap=True
        ),
    )
