"""`proofrail api-key`: issues keys for the HTTP API; each is shown once and stored as a hash."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
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
    name: Annotated[
        str, typer.Argument(help="The key's holder; an older key of the same name is revoked.")
    ],
    role: Annotated[str, typer.Option(help="partner, auditor or operator.")],
    scope: Annotated[str, typer.Option(help="For a partner: the prefix of its device names.")] = "",
    as_json: Json = False,
) -> None:
    """Issue a key and show it once."""
    from orchestrator.edges.store import access

    try:
        with home_of(context).store.write() as session:
            key = access.issue_key(session, name, role, scope)
    except ValueError as error:
        roles = ", ".join(access.KeyRole)
        raise Halt(
            f"No key was issued: {error}. Roles are {roles}; a partner needs --scope."
        ) from error
    view = {"name": name, "role": role, "scope": scope, "key": key}
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"key of {name}, {role} (shown this once): {key}"), soft_wrap=True
        ),
    )
