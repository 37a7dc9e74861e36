"""`proofrail chain`: pauses the rail, and what waits at the access manager."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, short, table, when
from orchestrator.commands.role_calls import (
    CallOptions,
    call_text,
    caller_of,
    calls_of,
    finish,
    make_call,
    rail_of,
    role_command,
)
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.operations.role_calls import ScheduledCall

app = typer.Typer(
    name="chain",
    help="Pause the rail, make scheduled calls, move to new contracts.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Operation = Annotated[str, typer.Argument(metavar="ID", help="The call's id, or its beginning.")]


@app.command()
@role_command
def pause(
    context: typer.Context,
    options: CallOptions,
) -> None:
    """Stop openings and settlements at once, for 7 days at most. The guardian's call."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    is_done = home.chain.view("PaymentRail", "paused")
    make_call(home, Call("PaymentRail", "pause", ()), Role.GUARDIAN, options, is_done=is_done)


@app.command()
@role_command
def unpause(
    context: typer.Context,
    options: CallOptions,
) -> None:
    """End a pause before its time. The steward's call: it waits for the delay."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    is_done = not home.chain.view("PaymentRail", "paused")
    make_call(home, Call("PaymentRail", "unpause", ()), Role.STEWARD, options, is_done=is_done)


@app.command()
def scheduled(context: typer.Context, as_json: Json = False) -> None:
    """List the calls that wait at the access manager, the next one first."""
    home = rail_of(context)
    views = [_view(home, item) for item in calls_of(home).scheduled()]
    lines = [
        (
            short(view["operation"], 14),
            call_text(view["contract"] or view["to"], view["function"], view["arguments"]),
            when(view["at"]),
            "yes" if view["due"] else "no",
            when(view["until"]),
        )
        for view in views
    ]
    columns = ("id", "call", "from (UTC)", "due", "until (UTC)")
    output.show(
        views,
        as_json,
        lambda console: console.print(table(f"{len(views)} scheduled calls", columns, lines)),
    )


@app.command()
@role_command
def execute(
    context: typer.Context,
    options: CallOptions,
    operation: _Operation,
) -> None:
    """Make a scheduled call whose time has come. The steward's call."""
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    calls = calls_of(home)
    item = calls.one_scheduled(operation)
    if item.call is None:
        raise Halt(
            f"The call {item.operation} is to {item.target}, which is no contract of this rail. "
            "Nothing was sent. Next: use the software of that contract, or let the guardian "
            "cancel the call (`proofrail chain cancel`)."
        )
    if not options.dry_run:
        caller = caller_of(home, Role.STEWARD, options)
        calls.require_due(calls.look(item.call, Role.STEWARD, caller))
    make_call(home, item.call, Role.STEWARD, options)


@app.command()
@role_command
def cancel(
    context: typer.Context,
    options: CallOptions,
    operation: _Operation,
) -> None:
    """Cancel a scheduled call at once. The guardian's call."""
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    calls = calls_of(home)
    item = calls.one_scheduled(operation)
    finish(home, calls, calls.to_cancel(item, caller_of(home, Role.GUARDIAN, options)), options)


def _view(home: Home, item: ScheduledCall) -> dict[str, Any]:
    call = item.call
    return {
        "operation": item.operation,
        "contract": call.contract if call else None,
        "function": call.function if call else "0x" + item.data[:4].hex(),
        "arguments": home.chain.calls.arguments(call) if call else {},
        "to": item.target,
        "data": "0x" + item.data.hex(),
        "caller": item.caller,
        "at": item.at,
        "until": item.until,
        "due": item.at <= time.time(),
    }
