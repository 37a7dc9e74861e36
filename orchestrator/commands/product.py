"""`proofrail product`: which products new agreements may use.

A product is deployed (services/commands/product_deploy.py), then listed, then maybe removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.committee import address_of
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, table, when
from orchestrator.commands.role_calls import (
    CallOptions,
    account_of,
    call_view,
    caller_of,
    calls_of,
    make_call,
    print_call,
    rail_of,
    role_command,
)

if TYPE_CHECKING:
    from orchestrator.edges.chain.calls import Call
    from orchestrator.operations.role_calls import RoleCall

app = typer.Typer(
    name="product",
    help="Deploy products, list them for new agreements, remove them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Product = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Name of a deployed contract, or an address.")
]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List every product that is deployed here or was ever allowed."""
    from orchestrator.edges.chain.artifacts import product_contracts
    from orchestrator.edges.chain.deployment import first_name

    home = rail_of(context)
    contracts = home.deployment.addresses
    names = {address: name for name, address in contracts.items()}
    own = {at: name for at, name in names.items() if first_name(name) in product_contracts()}
    former_rails = home.deployment.rails
    allowed, waiting = _allowed(home), _scheduled(home)
    views = [
        {
            "name": names.get(address),
            "address": address,
            "rail": former_rails.get(names.get(address, ""), "PaymentRail"),
            "allowed": allowed.get(address, False),
            "scheduled_for": waiting.get(address),
        }
        for address in [*allowed, *(at for at in own if at not in allowed)]
    ]
    columns = ("name", "address", "rail", "for new agreements")
    lines = [(v["name"] or "-", v["address"], v["rail"], _state(v)) for v in views]
    output.show(
        views,
        as_json,
        lambda console: console.print(table(f"{len(views)} products", columns, lines)),
    )


@app.command()
@role_command
def add(
    context: typer.Context,
    options: CallOptions,
    product: _Product,
) -> None:
    """Allow a product for new agreements. The steward's call: it waits for the delay.

    A version that pays nothing twice that its former one paid is linked to it first.
    """
    from orchestrator.edges.chain.calls import Call

    home = rail_of(context)
    address = _found(home, product)
    is_done = _allowed(home).get(address, False)
    call = Call("PaymentRail", "allowProduct", (address,))
    _make_in_order(home, [*_links(home, product), (call, is_done)], options)


@app.command()
@role_command
def remove(
    context: typer.Context,
    options: CallOptions,
    product: _Product,
) -> None:
    """Refuse a product for new agreements, at once. Open ones settle on. The guardian's call."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    address = _found(home, product)
    is_done = not _allowed(home).get(address, True)
    call = Call("PaymentRail", "disallowProduct", (address,))
    make_call(home, call, Role.GUARDIAN, options, is_done=is_done)


def _allowed(home: Home) -> dict[str, bool]:
    """Return {checksummed address: whether new agreements may use it}."""
    from orchestrator.edges.chain.plan import checksum

    logs = calls_of(home).logs("PaymentRail", ("ProductAllowed",))
    return {checksum(log["product"]): log["allowed"] for _, log in logs}


def _scheduled(home: Home) -> dict[str, int]:
    """Return {checksummed address: when the call that allows it may be made, Unix seconds}."""
    from orchestrator.edges.chain.plan import checksum

    return {
        checksum(item.call.args[0]): item.at
        for item in calls_of(home).scheduled()
        if item.call is not None and item.call.function == "allowProduct"
    }


def _state(view: dict[str, Any]) -> str:
    if view["allowed"]:
        return "yes"
    at = view["scheduled_for"]
    return f"scheduled: from {when(at)} UTC on" if at else "no"


def _links(home: Home, product: str) -> list[tuple[Call, bool]]:
    """Return (call, whether it was made) of what ties a product to the version before it.

    Without it, a record could be paid in an agreement of each.
    """
    from orchestrator.edges.chain.artifacts import load_artifacts
    from orchestrator.edges.chain.calls import Call

    deployment, artifacts = home.deployment, load_artifacts()
    formers = deployment.named(product)[1:] if product in deployment.addresses else ()
    if not formers or not artifacts[product].has("setPredecessor"):
        return []
    former = max(formers, key=lambda name: deployment.blocks[name])
    pairs = [(product, "Predecessor", former)]
    if artifacts[former].has("setSuccessor"):
        pairs.insert(0, (former, "Successor", product))
    return [
        (
            Call(own, f"set{link}", (deployment.addresses[other],)),
            home.chain.view(own, link.lower()) == deployment.addresses[other],
        )
        for own, link, other in pairs
    ]


def _make_in_order(home: Home, calls: list[tuple[Call, bool]], options: CallOptions) -> None:
    """Show the steward's calls, the last of which lists a product; make the next part of each.

    None is made before those ahead of it have been: all can be scheduled at once.
    """
    from orchestrator.edges.chain.plan import Role
    from orchestrator.operations.role_calls import CallState, RoleCall

    ops, caller = calls_of(home), caller_of(home, Role.STEWARD, options)
    role_calls = [
        RoleCall(call, Role.STEWARD, caller, CallState.DONE)
        if is_done
        else ops.look(call, Role.STEWARD, caller)
        for call, is_done in calls
    ]
    for role_call in role_calls:
        ops.check(role_call)
    idle = (CallState.DONE, CallState.WAITING)
    is_sent = [False] * len(role_calls)
    if not options.dry_run and any(item.state not in idle for item in role_calls):
        if not options.yes:
            _print_views(output.console(errors=True), _views(home, role_calls, is_sent))
            typer.confirm("Send it?", abort=True, err=True)
        sender = ops.sender(account_of(home, Role.STEWARD, options))
        for index, role_call in enumerate(role_calls):
            is_ready = all(item.state is CallState.DONE for item in role_calls[:index])
            if role_call.state in idle or (
                role_call.state is not CallState.TO_SCHEDULE and not is_ready
            ):
                continue
            role_calls[index], is_sent[index] = ops.make(role_call, sender), True
    *first, last = _views(home, role_calls, is_sent)
    view = {**last, "first": first}
    output.show(view, options.as_json, lambda console: _print_views(console, [*first, last]))


def _views(home: Home, role_calls: list[RoleCall], is_sent: list[bool]) -> list[dict[str, Any]]:
    pairs = zip(role_calls, is_sent, strict=True)
    return [call_view(home, role_call, sent=sent) for role_call, sent in pairs]


def _print_views(console: Any, views: list[dict[str, Any]]) -> None:
    for view in views:
        print_call(console, view)


def _found(home: Home, product: str) -> str:
    contracts = home.deployment.addresses
    if product in contracts:
        return contracts[product]
    return address_of(product, "`proofrail product list` shows the products.")
