"""`proofrail oracle`: lists the oracles, and admits those of other organisations."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

app = typer.Typer(
    name="oracle",
    help="List oracles, and admit those of other organisations.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_CARD_VERSION = 1
_FIELDS = {"version", "name", "domain", "address", "url", "certificate_authority"}


@app.command("admit")
def admit(
    context: typer.Context,
    card: Annotated[Path, typer.Argument(help="card.json of `proofrail-oracle init`.")],
    token_file: Annotated[Path, typer.Option(help="File with the oracle's token.")],
    password_out: Annotated[Path, typer.Option(help="Write its broker password to this file.")],
    as_json: Json = False,
) -> None:
    """Store an oracle's token and authority, and make its broker password.

    Its seat in the committee is a decision of the steward, on chain.
    """
    from orchestrator.edges.broker import credentials
    from orchestrator.edges.broker.access import CredentialRole
    from orchestrator.edges.chain.keystore import write_private

    settings, content = home_of(context).settings, _read(card)
    name = content["name"]
    write_private(settings.keys / f"{name}.token", token_file.read_bytes().strip())
    authorities = settings.tls / "oracles.pem"
    known = authorities.read_text() if authorities.exists() else ""
    if content["certificate_authority"] not in known:
        write_private(authorities, (known + content["certificate_authority"]).encode())
    password = credentials.issue(settings.home, name, CredentialRole.ORACLE)
    write_private(password_out, password.encode())
    view = {
        "oracle": {field: content[field] for field in ("name", "domain", "address", "url")},
        "authorities": str(authorities),
        "password_file": str(password_out),
    }
    output.show(view, as_json, lambda console: _print_admitted(console, view))


@app.command("list")
def list_oracles(context: typer.Context, as_json: Json = False) -> None:
    """List the oracles: trust domain, how each reads records, whether it answers."""
    from orchestrator.assembly import oracle_endpoint, read_config

    settings = home_of(context).settings
    views = []
    for entry in read_config(settings)["oracles"]:
        state = oracle_endpoint(settings, entry).probe()
        views.append(
            {
                "name": state.name,
                "domain": state.domain,
                "address": entry["address"],
                "url": entry["url"],
                "reader": state.reader or None,
                "problem": state.error or state.unwell or None,
            }
        )
    output.show(views, as_json, lambda console: _print_oracles(console, views))


def _print_oracles(console: Any, views: list[dict[str, Any]]) -> None:
    columns = ("name", "domain", "reader", "problem")
    rows = [tuple(str(view[name] or "-") for name in columns) for view in views]
    console.print(output.table("oracles", columns, rows))


def _read(card: Path) -> dict[str, Any]:
    try:
        content = json.loads(card.read_bytes())
        is_whole = content.keys() == _FIELDS and content["version"] == _CARD_VERSION
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Halt(f"{card} cannot be read: {error}. Nothing was changed.") from error
    if not is_whole or not re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", str(content["name"])):
        raise Halt(
            f"{card} is not a card of this release. Ask for a new one, made by "
            "`proofrail-oracle init`. Nothing was changed."
        )
    return content


def _print_admitted(console: Any, view: dict[str, Any]) -> None:
    fields = [f"{name} = {json.dumps(value)}" for name, value in view["oracle"].items()]
    authorities = json.dumps(view["authorities"])
    console.print("add to proofrail.toml, then `proofrail restart orchestrator`:")
    for line in (
        "",
        "[[oracles]]",
        *fields,
        "embedded = false",
        "",
        "[oracle]",
        f"tls_ca = {authorities}",
        "",
        f"send {view['password_file']} to its operator by a safe way, then delete the file",
    ):
        console.print(plain(line), soft_wrap=True)
