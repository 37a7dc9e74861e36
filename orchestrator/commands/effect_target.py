"""`proofrail effect target`: where effects go, each target with a secret of its own."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

app = typer.Typer(name="effect", rich_markup_mode=None)
target = typer.Typer(
    name="target",
    help="Where effects go: webhooks and folders.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(target)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The target's name.")]


@app.callback()
def group() -> None:
    """What final payments make happen outside: webhooks, orders, tokens."""


@target.command()
def add(
    context: typer.Context,
    name: _Name,
    url: Annotated[str, typer.Option(help="HTTPS address that gets signed webhooks.")] = "",
    folder: Annotated[str, typer.Option(help="Folder that gets a JSON file an effect.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option(help="Only this kind; may be given again.")
    ] = None,
    internal: Annotated[
        bool, typer.Option("--internal", help="The address is in a private network.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Add a target for what becomes final from now on; show its secret once."""
    from orchestrator.core.effect import EffectKind
    from orchestrator.core.effect_delivery import TargetKind
    from orchestrator.edges.chain.keystore import write_private
    from orchestrator.edges.store import effects
    from orchestrator.edges.webhook.signing import new_secret
    from orchestrator.steps.deliver import secret_file

    home, kinds = home_of(context), kind or []
    if not _NAME.fullmatch(name):
        raise _refusal(f"{name!r} is no name: use lower case letters, digits and '-'")
    if bool(url) == bool(folder):
        raise _refusal("give either --url or --folder")
    if unknown := sorted(set(kinds) - set(EffectKind)):
        raise _refusal(f"there is no kind {unknown[0]!r}; kinds are {', '.join(EffectKind)}")
    place = _checked_url(home, url, internal) if url else _checked_folder(folder)
    row = effects.EffectTargetRow(
        name=name,
        way=TargetKind.WEBHOOK if url else TargetKind.FOLDER,
        place=place,
        kinds=",".join(dict.fromkeys(kinds)),
        internal=internal,
        added_at=int(time.time()),
    )
    secret = new_secret() if url else None
    with home.store.write() as session:
        if effects.target(session, name) is not None:
            raise _refusal(f"a target is named {name!r} already")
        if secret:
            write_private(secret_file(home.settings, name), secret.encode())
        effects.add_target(session, row)
    view = {"name": name, "way": row.way, "place": place, "kinds": kinds, "secret": secret}

    def render(console: Any) -> None:
        console.print(plain(f"{name} gets effects at {place} from now on."), soft_wrap=True)
        if secret:
            console.print(plain(f"its secret (shown this once): {secret}"), soft_wrap=True)

    output.show(view, as_json, render)


@target.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the targets, with what waits for each."""
    from orchestrator.edges.store import effects

    with home_of(context).store.read() as session:
        rows = effects.all_targets(session)
        states = {state.name: state for state in effects.states(session)}
    now = int(time.time())
    view = [
        {
            "name": row.name,
            "way": row.way,
            "place": row.place,
            "kinds": row.kinds.split(",") if row.kinds else [],
            "internal": row.internal,
            "waiting": states[row.name].waiting,
            "oldest_age_s": now - states[row.name].oldest_at if states[row.name].waiting else 0,
            "trouble": states[row.name].trouble,
        }
        for row in rows
    ]
    lines = [
        (
            *(row["name"], row["way"], row["place"], row["kinds"] or "all"),
            *(row["waiting"], row["oldest_age_s"], row["trouble"]),
        )
        for row in view
    ]
    columns = ("name", "way", "place", "kinds", ">waiting", ">oldest (s)", "trouble")
    output.show(
        {"targets": view},
        as_json,
        lambda console: console.print(
            table("targets of effects", columns, lines) if lines else "There are no targets."
        ),
    )


@target.command()
def remove(context: typer.Context, name: _Name, as_json: Json = False) -> None:
    """Remove a target with its secret; nothing more is sent there."""
    from orchestrator.edges.store import effects
    from orchestrator.steps.deliver import secret_file

    home = home_of(context)
    with home.store.write() as session:
        removed = effects.remove_target(session, name)
    if not removed:
        raise _refusal(f"no target is named {name!r}; `proofrail effect target list` shows them")
    secret_file(home.settings, name).unlink(missing_ok=True)
    output.show(
        {"name": name, "removed": True},
        as_json,
        lambda console: console.print(plain(f"{name} gets nothing more."), soft_wrap=True),
    )


def _checked_url(home: Home, url: str, internal: bool) -> str:
    from orchestrator.edges.webhook.address import read_url
    from orchestrator.steps.deliver import reach_of

    endpoint = read_url(url, reach_of(internal, home.deployment.chain_id))
    if isinstance(endpoint, str):
        raise _refusal(f"{url!r} may not be a target: {endpoint}")
    return url


def _checked_folder(folder: str) -> str:
    path = Path(folder)
    if not path.is_absolute() or not path.is_dir():
        raise _refusal(f"{folder!r} is no absolute name of a folder that exists")
    return str(path)


def _refusal(why: str) -> Halt:
    return Halt(f"Nothing was changed: {why}.")
