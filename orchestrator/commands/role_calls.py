"""What the commands of roles share: the plan with the decoded call, the key, and the result."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of, patience, read_secret
from orchestrator.commands.output import Json, plain, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.chain.plan import Role
    from orchestrator.operations.role_calls import RoleCall, RoleCalls

Keystore = Annotated[
    Path | None, typer.Option(help="Keystore file of the role. Default: the one in the home.")
]
PasswordFile = Annotated[
    str | None, typer.Option(help="File with the password of --keystore; - for standard input.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the call, send nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_NEXT = {
    "done": "It is so already; nothing was sent.",
    "sent": "It was sent; nothing is left to do.",
    "at_once": "It is sent at once.",
    "to_schedule": "It is scheduled now. It can be made from {at} UTC on: run the same command "
    "again then.",
    "waiting": "It is scheduled, and can be made from {at} UTC on: run the same command "
    "again then.",
    "due": "It was scheduled, and its time has come. It is sent now.",
}


@dataclass(frozen=True)
class CallOptions:
    """How a role's call is made: the options that all commands of roles have."""

    keystore: Keystore = None
    password_file: PasswordFile = None
    dry_run: DryRun = False
    yes: Yes = False
    as_json: Json = False


def role_command(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a role's call, which it takes as `options`."""
    own = inspect.signature(command, eval_str=True)
    shared = inspect.signature(CallOptions, eval_str=True).parameters
    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [item for name, item in own.parameters.items() if name != "options"]
    parameters = [item.replace(kind=keyword) for item in (*parameters, *shared.values())]

    def with_options(**given: Any) -> None:
        options = CallOptions(**{name: given.pop(name) for name in shared})
        command(**given, options=options)

    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__annotations__ = {item.name: item.annotation for item in parameters}
    with_options.__signature__ = own.replace(parameters=parameters)
    return with_options


def rail_of(context: typer.Context) -> Home:
    """Return the home that the root command opened; it has a rail.

    Raises:
        Halt: There is no rail.
    """
    home = home_of(context)
    _ = home.database
    return home


def calls_of(home: Home) -> RoleCalls:
    """Return the operations on calls of roles."""
    from orchestrator.operations.role_calls import RoleCalls

    return RoleCalls(home.store, home.chain, lambda: int(time.time()), patience())


def caller_of(home: Home, role: Role, options: CallOptions) -> str:
    """Return the address that a role's keystore names; the password is not needed for it."""
    from orchestrator.edges.chain import keystore
    from orchestrator.edges.chain.plan import checksum

    name, folder = role.name.lower(), home.settings.keys
    if options.keystore is not None:
        name, folder = options.keystore.stem, options.keystore.parent
        address = keystore.address_in(options.keystore)
    else:
        address = keystore.address(folder, name)
    if address is None:
        raise Halt(
            f"There is no keystore {name} in {folder}. Nothing was sent. Give the keystore of the "
            f"{role.name.lower()} with --keystore."
        )
    return checksum(address)


def make_call(
    home: Home,
    call: Call,
    role: Role,
    options: CallOptions,
    *,
    is_done: bool = False,
    risks: Sequence[str] = (),
) -> None:
    """Show a role's call, then make the next part of it, unless the chain is so already.

    risks: what the call endangers; they are shown with it, and stop nothing.
    """
    from orchestrator.operations.role_calls import CallState, RoleCall

    calls, caller = calls_of(home), caller_of(home, role, options)
    if is_done:
        role_call = RoleCall(call, role, caller, CallState.DONE)
    else:
        role_call = calls.look(call, role, caller)
    finish(home, calls, role_call, options, () if is_done else risks)


def finish(
    home: Home,
    calls: RoleCalls,
    role_call: RoleCall,
    options: CallOptions,
    risks: Sequence[str] = (),
) -> None:
    """Show the plan of a role's call; send it if that was asked for."""
    from orchestrator.operations.role_calls import CallState

    calls.check(role_call)
    is_idle = role_call.state in (CallState.DONE, CallState.WAITING)
    sent = False
    if not (is_idle or options.dry_run):
        if not options.yes:
            plan = call_view(home, role_call, sent=False, risks=risks)
            print_call(output.console(errors=True), plan)
            typer.confirm("Send it?", abort=True, err=True)
        account = account_of(home, role_call.role, options)
        role_call, sent = calls.make(role_call, calls.sender(account)), True
    view = call_view(home, role_call, sent=sent, risks=risks)
    output.show(view, options.as_json, lambda console: print_call(console, view))


def call_view(
    home: Home, role_call: RoleCall, *, sent: bool, risks: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the JSON view of a role's call: decoded, encoded, and where it stands."""
    to, data = home.chain.calls.encode(role_call.call)
    return {
        "contract": role_call.call.contract,
        "function": role_call.call.function,
        "arguments": home.chain.calls.arguments(role_call.call),
        "to": to,
        "data": "0x" + data.hex(),
        "role": role_call.role.name.lower(),
        "caller": role_call.caller,
        "state": str(role_call.state),
        "operation": role_call.operation or None,
        "at": role_call.at or None,
        "sent": sent,
        "risks": list(risks),
    }


def account_of(home: Home, role: Role, options: CallOptions) -> LocalAccount:
    """Open the role's keystore.

    Raises:
        Halt: It cannot be opened.
    """
    from orchestrator.edges.chain import keystore

    if options.keystore is None:
        return home.role_account(role.name.lower())
    if options.password_file is None:
        raise Halt("Give the password of the keystore with --password-file. Nothing was sent.")
    secret = read_secret(options.password_file)
    return home.checked(keystore.unlock(options.keystore, secret))


def call_text(contract: str, function: str, arguments: dict[str, Any]) -> str:
    """Return a decoded call as one line."""
    given = ", ".join(f"{name}: {value}" for name, value in arguments.items())
    return f"{contract}.{function}({given})"


def print_call(console: Any, view: dict[str, Any]) -> None:
    """Print the view of a role's call, with what comes next."""
    text = call_text(view["contract"], view["function"], view["arguments"])
    console.print(plain(text), soft_wrap=True)
    console.print(plain(f"to {view['to']}, data {view['data']}"), soft_wrap=True)
    console.print(plain(f"by the {view['role']} {view['caller']}"), soft_wrap=True)
    if view["operation"]:
        console.print(plain(f"operation {view['operation']}"), soft_wrap=True)
    for risk in view["risks"]:
        console.print(plain(f"Warning: {risk}"), soft_wrap=True)
    state = "sent" if view["sent"] and view["state"] == "done" else view["state"]
    step = _NEXT["waiting" if view["sent"] and view["at"] else state]
    console.print(plain(step.format(at=when(view["at"]))), soft_wrap=True)
