"""`proofrail key rotate | revoke`: replaces a key of the rail, or takes its role away."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.committee import address_of
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain
from orchestrator.commands.role_calls import (
    CallOptions,
    Keystore,
    PasswordFile,
    account_of,
    call_view,
    caller_of,
    calls_of,
    make_call,
    print_call,
    rail_of,
    role_command,
)
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.operations.keys import HeldKey, KeyReplacement

app = typer.Typer(name="key", help="Keys of the rail.", no_args_is_help=True, rich_markup_mode=None)
_AT_ONCE = ("minter", "registrar", "warden")  # what RailAccess lets a guardian take away
_ROLES = "sender, receipt, api, minter, registrar, warden, steward or guardian"


@dataclass(frozen=True)
class RotationOptions:
    """What `proofrail key rotate` was asked for; see its options."""

    name: str
    grace: int
    prepare: bool
    stand_in: bool
    address: str | None
    former: str | None
    call: CallOptions  # of the steward's calls


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
    address: Annotated[
        str | None,
        typer.Option(help="For steward, guardian and registrar: the new key, kept elsewhere."),
    ] = None,
    former: Annotated[
        str | None,
        typer.Option(help="For roles: the address to replace, where several hold the role."),
    ] = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Replace a key. The key that it replaces may be lost.

    The steward gives the roles minter, registrar, warden, guardian and steward to the new key and
    takes them from the former one, after its delay: the first run schedules, the same command later
    makes it. --keystore is the steward's.
    """
    home = home_of(context)
    _known(role, name, grace, prepare)
    call = CallOptions(keystore, password_file, dry_run, yes, as_json)
    options = RotationOptions(name, grace, prepare, stand_in, address, former, call)
    _suits_role(role, options)
    plan = _rotate(home, role, options, dry_run=True)
    if not dry_run:
        if not yes:
            _print(output.console(errors=True), plan)
            typer.confirm(f"Replace the key {name or role}?", abort=True, err=True)
        plan = _rotate(home, role, options, dry_run=False)
    output.show(plan, as_json, lambda console: _print(console, plan))


@app.command()
@role_command
def revoke(
    context: typer.Context,
    options: CallOptions,
    role: Annotated[str, typer.Argument(help="minter, registrar or warden.")],
    address: Annotated[
        str | None, typer.Option(help="Who loses it. Default: the address of the home's key.")
    ] = None,
) -> None:
    """Take a role of a stolen key away at once. The guardian's call; the steward gives it again."""
    from orchestrator.edges.chain import keystore as keystores
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    if role not in _AT_ONCE:
        raise Halt(
            f"The guardian takes away {', '.join(_AT_ONCE)} alone, not {role!r}. Nothing was sent. "
            "Other keys are replaced with `proofrail key rotate`."
        )
    _require_known_to_the_token(home, role)
    known = "Give the address that loses the role with --address."
    loser = address_of(address or keystores.address(home.settings.keys, role) or "", known)
    number = int(Role[role.upper()])
    holds, _ = home.chain.view("RailAccess", "hasRole", number, loser)
    call = Call("RailAccess", "revokeRole", (number, loser))
    make_call(home, call, Role.GUARDIAN, options, is_done=not holds)


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


def _suits_role(role: str, options: RotationOptions) -> None:
    from orchestrator.edges.chain.keystore import APART
    from orchestrator.operations import keys

    is_role = role in keys.CONSEQUENCES and not options.stand_in
    of_roles = (options.address, options.former, options.call.keystore, options.call.password_file)
    if (any(of_roles) and not is_role) or (options.address and role not in APART):
        raise Halt(
            f"--address is for {', '.join(APART)}; --former, --keystore and --password-file are "
            "for roles of the contracts. Nothing was changed. Leave it out."
        )


def _rotate(home: Home, role: str, options: RotationOptions, *, dry_run: bool) -> dict[str, Any]:
    from orchestrator.operations import keys

    now = int(time.time())
    if role == "api":
        return _renew(home, options.name, options.grace, dry_run, now)
    if role in keys.CONSEQUENCES and not options.stand_in:
        return _rotate_role(home, keys.HeldKey(role), options, dry_run, now)
    if role in keys.CONSEQUENCES:
        _require_home(home)
        rotation = keys.stand_in(keys.HeldKey(role), home.settings, dry_run=dry_run)
    elif role == "sender":
        rotation = keys.rotate_sender(
            home.settings, home.chain, now, dry_run=dry_run, prepare=options.prepare
        )
    elif role == "receipt":
        _require_home(home)
        rotation = keys.rotate_receipt(home.settings, now, dry_run=dry_run, prepare=options.prepare)
    else:
        raise Halt(f"{role!r} is no key that this command replaces: {_ROLES}. Nothing was changed.")
    return _view(rotation)


def _view(rotation: KeyReplacement) -> dict[str, Any]:
    return {
        "key": rotation.role,
        "former": rotation.former,
        "following": rotation.following,
        "done": rotation.done,
        "steps": list(rotation.steps),
    }


def _rotate_role(
    home: Home, role: HeldKey, options: RotationOptions, dry_run: bool, now: int
) -> dict[str, Any]:
    """Do what can be done now; the view has the steward's calls that are left."""
    from orchestrator.edges.chain import keystore
    from orchestrator.edges.chain.plan import Role, checksum
    from orchestrator.operations import keys
    from orchestrator.operations.role_rotation import RoleRotation, rotation_steps

    _require_home(home)
    _require_known_to_the_token(home, role)
    folder = home.settings.keys
    steward = caller_of(home, Role.STEWARD, options.call)
    rotation = RoleRotation(calls_of(home), home.chain, role, steward)
    following = options.address or keystore.next_address(folder, role)
    if options.address:
        following = address_of(options.address, "Give the address of the new key.")
    following = checksum(following) if following else None
    former = rotation.former(keystore.address(folder, role), following, options.former)
    made_here = not options.address
    if not dry_run and made_here:
        following = keystore.prepare_next(folder, role).address
        keys.fund_on_local_chain(home.chain, following)
        keys.require_ether(home.chain, role, following)
    left = rotation.left(former, following) if following else []
    if not dry_run and following and left:
        account = account_of(home, Role.STEWARD, options.call)
        left = rotation.advance(former, following, account)
    done = not dry_run and not left
    if done and made_here:
        keys.take_next(home.settings, role, now)
    steps = rotation_steps(role, made_here=made_here)
    view = _view(keys.KeyReplacement(role, former, following, done, steps))
    return {**view, "calls": [call_view(home, call, sent=False) for call in left]}


def _require_known_to_the_token(home: Home, role: str) -> None:
    """Raise Halt for the minter of a token that asks no access manager who may mint."""
    if role == "minter" and home.deployment.release_of("EuroToken") == "0.5.0":
        raise Halt(
            "The token of this rail is of release 0.5.0 and knows one minter for ever, in no role. "
            "Nothing was changed. Keep that key; if it is stolen, pause the rail (`proofrail chain "
            "pause`) and see docs/OPERATING.md, Move to the contracts of this release."
        )


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
    for call in plan.get("calls", ()):
        print_call(console, call)
