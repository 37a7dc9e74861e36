"""`proofrail committee`: who attests on chain."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, table
from orchestrator.commands.role_calls import (
    CallOptions,
    make_call,
    rail_of,
    role_command,
)
from orchestrator.errors import Halt

app = typer.Typer(
    name="committee",
    help="Seat, unseat and silence oracles on chain.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Oracle = Annotated[
    str, typer.Argument(metavar="ORACLE", help="Name of a configured oracle, or an address.")
]


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """List the members that the contract has or had, in the order of their index."""
    home = rail_of(context)
    chain, members = home.chain, _members(home)
    view = {
        "quorum": chain.view("OracleCommittee", "quorum") if members else None,
        "seats": chain.view("OracleCommittee", "seatedCount"),
        "min_domains": chain.view("OracleCommittee", "minDomains"),
        "members": members,
    }
    columns = ("index", "name", "address", "domain", "state")
    lines = [
        tuple(
            str(member[name] or "-") if name != "index" else str(member[name]) for name in columns
        )
        for member in members
    ]
    title = (
        f"{view['quorum']} of {view['seats']} members of {view['min_domains']} domains are a quorum"
    )
    output.show(view, as_json, lambda console: console.print(table(title, columns, lines)))


def _members(home: Home) -> list[dict[str, Any]]:
    names = {address.lower(): name for name, address, _ in _configured(home)}
    chain, members = home.chain, []
    for index in range(chain.view("OracleCommittee", "memberCount")):
        address = chain.view("OracleCommittee", "memberAt", index)
        domain, seated, barred, silenced, _ = chain.view("OracleCommittee", "memberOf", address)
        members.append(
            {
                "index": index,
                "name": names.get(address.lower()),
                "address": address,
                "domain": domain,
                "state": _state(seated, barred, silenced),
            }
        )
    return members


def _state(seated: bool, barred: bool, silenced: bool) -> str:
    if barred:
        return "barred" if seated else "barred, unseated"
    if not seated:
        return "unseated"
    return "silenced" if silenced else "seated"


@app.command()
@role_command
def seat(
    context: typer.Context,
    options: CallOptions,
    oracle: _Oracle,
    domain: Annotated[
        int | None,
        typer.Option(min=1, max=255, help="Trust domain. Default: the configured oracle's."),
    ] = None,
) -> None:
    """Give an oracle a seat, or end its silence. The steward's call: it waits for the delay."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    address, configured = _found(home, oracle)
    domain = domain or configured
    if domain is None:
        raise Halt(
            f"{oracle} is no configured oracle, so its trust domain is not known. Nothing was "
            "sent. Give --domain."
        )
    has, seated, _, silenced, _ = home.chain.view("OracleCommittee", "memberOf", address)
    if seated and not silenced and has != domain:
        raise Halt(
            f"{address} has a seat in domain {has}. Nothing was sent. To change its domain, "
            "unseat it first (`proofrail committee unseat`)."
        )
    call = Call("OracleCommittee", "seat", (address, domain))
    make_call(home, call, Role.STEWARD, options, is_done=seated and not silenced)


@app.command()
@role_command
def unseat(
    context: typer.Context,
    options: CallOptions,
    oracle: _Oracle,
) -> None:
    """Take an oracle's seat away. The steward's call: it waits for the delay.

    Warns if the members that are left could not settle all that the rail has.
    """
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    address, _ = _found(home, oracle)
    seated = home.chain.view("OracleCommittee", "memberOf", address)[1]
    call = Call("OracleCommittee", "unseat", (address,))
    risks = _risks(home, address)
    make_call(home, call, Role.STEWARD, options, is_done=not seated, risks=risks)


def _risks(home: Home, address: str) -> list[str]:
    """Return what the committee could not do without an oracle."""
    from orchestrator.core.committee import Committee, unseating_risks
    from orchestrator.edges.store import agreements

    members = {m["address"]: m["domain"] for m in _members(home) if m["state"] == "seated"}
    seats, least = (
        home.chain.view("OracleCommittee", name) for name in ("seatedCount", "minDomains")
    )
    with home.store.read() as session:
        required = agreements.required_domains(session)
    return unseating_risks(Committee(members, seats, least), address, required)


@app.command()
@role_command
def silence(
    context: typer.Context,
    options: CallOptions,
    oracle: _Oracle,
) -> None:
    """Make an oracle's signatures worth nothing, at once. The guardian's call."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    address, _ = _found(home, oracle)
    _, seated, barred, silenced, _ = home.chain.view("OracleCommittee", "memberOf", address)
    is_done = seated and (barred or silenced)
    call = Call("OracleCommittee", "silence", (address,))
    make_call(home, call, Role.GUARDIAN, options, is_done=is_done)


def _found(home: Home, oracle: str) -> tuple[str, int | None]:
    """Return (checksummed address, trust domain if it is configured) of an oracle."""
    from orchestrator.edges.chain.plan import checksum

    for name, address, domain in _configured(home):
        if oracle == name or oracle.lower() == address.lower():
            return checksum(address), domain
    return address_of(oracle, "`proofrail committee list` shows the members."), None


def _configured(home: Home) -> list[tuple[str, str, int]]:
    """Return (name, address, trust domain) of the oracles that this rail asks or will ask."""
    running = home.rail_file.get("oracles", ())
    oracles = [(o["name"], o["address"], o["domain"]) for o in running]
    return [*((o.name, o.address, o.domain) for o in home.settings.oracles), *oracles]


def address_of(text: str, known: str) -> str:
    """Return an address in its checksummed form. known: where names are found.

    Raises:
        Halt: It is none.
    """
    from orchestrator.edges.chain.plan import checksum

    try:
        return checksum(text)
    except ValueError as error:
        raise Halt(f"{text!r} is no address and no name here. Nothing was sent. {known}") from error
