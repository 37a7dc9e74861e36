"""`proofrail api-key`: keys for the HTTP API; each is shown once and stored as a hash."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, when
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
    name: Annotated[str, typer.Argument(help="The key's holder; no two keys have one name.")],
    role: Annotated[str, typer.Option(help="partner, auditor or operator.")],
    scope: Annotated[str, typer.Option(help="For a partner: the prefix of its device names.")] = "",
    party: Annotated[
        str, typer.Option(help="For a partner: the payer or payee whose payments it may hold.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Issue a key and show it once."""
    from orchestrator.commands.party import party_of
    from orchestrator.edges.store import access

    home = home_of(context)
    address = party_of(home, party).address if party else ""
    try:
        with home.store.write() as session:
            key = access.issue_key(session, name, role, scope, int(time.time()), address)
    except ValueError as error:
        roles = ", ".join(access.KeyRole)
        raise Halt(
            f"No key was issued: {error}. Roles are {roles}; a partner needs --scope."
        ) from error
    view = {"name": name, "role": role, "scope": scope, "party": address or None, "key": key}
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"key of {name}, {role} (shown this once): {key}"), soft_wrap=True
        ),
    )


@app.command("list")
def list_keys(context: typer.Context, as_json: Json = False) -> None:
    """List the keys: name, role, scope, party and times. A key's value is stored nowhere."""
    from orchestrator.edges.store import access

    now = int(time.time())
    with home_of(context).store.read() as session:
        view = [
            {
                "name": row.name,
                "role": row.role,
                "scope": row.scope,
                "party": row.party or None,
                "created_at": row.created_at or None,
                "former_value_until": row.former_until if row.former_until > now else None,
            }
            for row in access.keys(session)
        ]
    output.show({"keys": view}, as_json, lambda console: _print_keys(console, view))


def _print_keys(console: Any, view: list[dict[str, Any]]) -> None:
    columns = ("name", "role", "devices", "party", "created (UTC)", "former value until (UTC)")
    rows = [
        (
            key["name"],
            key["role"],
            f"{key['scope']}*" if key["scope"] else "all",
            key["party"],
            when(key["created_at"]),
            when(key["former_value_until"]),
        )
        for key in view
    ]
    console.print(output.table("API keys", columns, rows) if rows else "There are no API keys.")


@app.command()
def revoke(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The key's name; `list` shows it.")],
    as_json: Json = False,
) -> None:
    """End a key at once: the next request with it is answered 401."""
    from orchestrator.edges.store import access

    with home_of(context).store.write() as session:
        revoked = access.revoke_key(session, name)
    if not revoked:
        raise Halt(
            f"No API key is named {name!r}. Nothing was changed. `proofrail api-key list` shows "
            "the names."
        )
    output.show(
        {"name": name, "revoked": True},
        as_json,
        lambda console: console.print(plain(f"The key of {name} is revoked."), soft_wrap=True),
    )
