"""`proofrail key rotate`: replaces a key of the rail, also one that is lost."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

app = typer.Typer(name="key", help="Keys of the rail.", no_args_is_help=True, rich_markup_mode=None)
_ROLES = "sender, receipt, api, minter, registrar, warden, steward or guardian"


@app.callback()
def group() -> None:
    """Keys of the rail."""


@app.command()
def rotate(
    context: typer.Context,
    role: Annotated[str, typer.Argument(help=f"{_ROLES[0].upper()}{_ROLES[1:]}.")],
    name: Annotated[str, typer.Argument(help="For api: the key's name.")] = "",
    grace: Annotated[
        int, typer.Option(min=0, help="For api: hours for which the former value is accepted.")
    ] = 0,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare", help="For sender and receipt: make the key, and use the former one on."
        ),
    ] = False,
    stand_in: Annotated[
        bool,
        typer.Option(
            "--stand-in",
            help="For a lost minter, registrar or warden: a key without rights, so that the rail "
            "starts.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Replace a key. The key that it replaces may be lost.

    The contracts fix the holders of minter, registrar, warden, steward and guardian: for these the
    command explains what still works and what to do (docs/KEYS.md).
    """
    home = home_of(context)
    _known(role, name, grace, prepare)
    options = {"name": name, "grace": grace, "prepare": prepare, "stand_in": stand_in}
    plan = _rotate(home, role, dry_run=True, **options)
    if not dry_run:
        if not yes:
            _print(output.console(errors=True), plan)
            typer.confirm(f"Replace the key {name or role}?", abort=True, err=True)
        plan = _rotate(home, role, dry_run=False, **options)
    output.show(plan, as_json, lambda console: _print(console, plan))


def _known(role: str, name: str, grace: int, prepare: bool) -> None:
    if bool(name) != (role == "api"):
        raise Halt(
            "Only api keys have names: `proofrail key rotate api NAME`. Nothing was changed; "
            "`proofrail api-key list` shows the names."
        )
    if (grace and role != "api") or (prepare and role not in ("sender", "receipt")):
        raise Halt(
            "--grace is for api keys, --prepare for sender and receipt. Nothing was changed. Leave "
            "it out."
        )


def _rotate(
    home: Home, role: str, *, name: str, grace: int, prepare: bool, stand_in: bool, dry_run: bool
) -> dict[str, Any]:
    from orchestrator.operations import keys

    now = int(time.time())
    if role == "api":
        return _renew(home, name, grace, dry_run, now)
    if role in keys.FIXED and not stand_in:
        raise keys.refuse_fixed(keys.HeldKey(role), home.settings, home.chain)
    if role in keys.FIXED:
        _require_home(home)
        rotation = keys.stand_in(keys.HeldKey(role), home.settings, dry_run=dry_run)
    elif role == "sender":
        rotation = keys.rotate_sender(
            home.settings, home.chain, now, dry_run=dry_run, prepare=prepare
        )
    elif role == "receipt":
        _require_home(home)
        rotation = keys.rotate_receipt(home.settings, now, dry_run=dry_run, prepare=prepare)
    else:
        raise Halt(f"{role!r} is no key that this command replaces: {_ROLES}. Nothing was changed.")
    return {
        "key": rotation.role,
        "former": rotation.former,
        "following": rotation.following,
        "done": rotation.done,
        "steps": list(rotation.steps),
    }


def _require_home(home: Home) -> None:
    if not home.settings.database.is_file():
        raise Halt(
            f"There is no rail at {home.settings.home}. Nothing was changed. Give the rail's home "
            "with --home or PROOFRAIL_HOME."
        )


def _renew(home: Home, name: str, grace: int, dry_run: bool, now: int) -> dict[str, Any]:
    from orchestrator.edges.store import access

    step = (
        f"its former value is accepted for {grace} hours more" if grace else "the former value ends"
    )
    view = {"key": name, "former": None, "following": None, "done": False, "steps": [step]}
    with home.store.read() as session:
        if name not in {row.name for row in access.keys(session)}:
            raise Halt(
                f"No API key is named {name!r}. Nothing was changed. `proofrail api-key list` "
                "shows the names."
            )
    if dry_run:
        return view
    with home.store.write() as session:
        value = access.renew_key(session, name, now, grace * 3_600)
    return {**view, "following": value, "done": True}


def _print(console: Any, plan: dict[str, Any]) -> None:
    if plan["done"]:
        head = f"The key {plan['key']} is replaced by {plan['following']}."
    elif plan["following"]:
        head = f"The key {plan['key']} will be replaced by {plan['following']}."
    else:
        head = f"The key {plan['key']} would be replaced by a new one."
    lost = "" if plan["former"] or plan["done"] else " (no former key is in this home)"
    console.print(plain(head + lost), soft_wrap=True)
    for number, step in enumerate(plan["steps"], 1):
        console.print(plain(f"{number}. {step}"), soft_wrap=True)
