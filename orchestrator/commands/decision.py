"""`proofrail officer` and `proofrail decision`: who may decide, and what two of them decided."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.decision import Decision
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import decisions as rows

app = typer.Typer(
    name="decision",
    help="What two officers must sign.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
officers = typer.Typer(
    name="officer",
    help="People who may propose and approve decisions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
As = Annotated[str, typer.Option("--as", help="The officer who signs, by name.")]
_DecisionId = Annotated[str, typer.Argument(help="The decision's id, or its beginning.")]


@officers.command("add")
def add_officer(
    context: typer.Context,
    name: str,
    address: Annotated[
        str | None, typer.Option(help="Of a key held elsewhere; default: a keystore is made.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--as", help="Who proposes; needed once there are two.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Seat an officer. The first two found the office; from then on it takes a decision."""
    from oracles.attest import checksummed
    from orchestrator import decisions
    from orchestrator.core.decision import Decision
    from orchestrator.edges.chain import keystore

    here = home.of(context)
    store = here.store  # before a key is made: without a rail none is
    if address is None:
        address = here.sound(keystore.create(_folder(here), _file(name))).address
    address = checksummed(bytes.fromhex(address.removeprefix("0x")))
    told = {"name": name, "address": address, "seated": True, "decision": None}
    if not decisions.found_officer(store, address, name, int(time.time())):
        if by is None:
            raise Halt(
                f"There are two officers: seating {name} takes a decision. Name who "
                "proposes it with --as."
            )
        wanted = Decision(decisions.ADD_OFFICER, address, {"name": name}, int(time.time()))
        told |= {"seated": False, "decision": propose(here, wanted, by)}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(
                f"{name} is an officer: {address}"
                if told["seated"]
                else _next_step(told["decision"])
            ),
            soft_wrap=True,
        ),
    )


@officers.command("remove")
def remove_officer(context: typer.Context, name: str, by: As, as_json: Json = False) -> None:
    """Propose that somebody stops being an officer."""
    from orchestrator import decisions
    from orchestrator.core.decision import Decision

    here = home.of(context)
    address = _address(here, name)
    wanted = Decision(decisions.REMOVE_OFFICER, address, {"name": name}, int(time.time()))
    proposed(propose(here, wanted, by), as_json)


@officers.command("list")
def list_officers(context: typer.Context, as_json: Json = False) -> None:
    """List the officers, also former ones."""
    from orchestrator.edges.store import decisions

    with home.of(context).store.read() as session:
        told = [row.model_dump() for row in decisions.all_officers(session)]
    lines = [(t["name"], t["address"], when(t["added_at"]), when(t["removed_at"])) for t in told]
    output.show(
        told,
        as_json,
        lambda console: console.print(
            table(f"{len(told)} officers", ("name", "address", "since (UTC)", "until (UTC)"), lines)
        ),
    )


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are executed.")] = False,
    as_json: Json = False,
) -> None:
    """List open decisions, oldest first."""
    from orchestrator.edges.store import decisions

    with home.of(context).store.read() as session:
        names = {row.address: row.name for row in decisions.all_officers(session)}
        told = [_told(row, names) for row in decisions.listed(session, only_open=not every)]
    lines = [
        (
            short(t["decision_id"], 14),
            t["kind"],
            short(t["subject"], 18),
            t["stage"],
            t["proposed_by"],
            t["approved_by"],
            when(t["proposed_at"]),
        )
        for t in told
    ]
    columns = ("decision", "kind", "subject", "stage", "proposed by", "approved by", "since (UTC)")
    output.show(
        told,
        as_json,
        lambda console: console.print(table(f"{len(told)} decisions", columns, lines)),
    )


@app.command()
def show(
    context: typer.Context,
    decision: _DecisionId,
    typed_data: Annotated[
        bool, typer.Option(help="The EIP-712 document for a wallet to approve.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show all that a decision's signatures cover."""
    from orchestrator.core.decision import APPROVE
    from orchestrator.edges.store import decisions

    here = home.of(context)
    with here.store.read() as session:
        row = _row(session, decision)
        names = {each.address: each.name for each in decisions.all_officers(session)}
    if typed_data:
        document = decisions.said(row).typed_data(APPROVE, here.deployment.chain_id)
        output.print_json(document)
        return
    told = _told(row, names)
    lines = [
        (key, json.dumps(value) if isinstance(value, dict) else value)
        for key, value in told.items()
    ]
    output.show(told, as_json, lambda console: console.print(table("", ("", ""), lines)))


@app.command()
def approve(
    context: typer.Context,
    decision: _DecisionId,
    by: Annotated[str | None, typer.Option("--as", help="The officer who signs.")] = None,
    signature: Annotated[
        str | None, typer.Option(help="Made elsewhere over --typed-data; 0x-hex, 65 bytes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve another officer's proposal; then the rail carries it out."""
    from orchestrator import decisions

    here, now = home.of(context), int(time.time())
    if (by is None) == (signature is None):
        raise Halt("Name the officer who signs with --as, or give a --signature made elsewhere.")
    with here.store.read() as session:
        identity = _row(session, decision).decision_id
    chain_id = here.deployment.chain_id
    if signature is not None:
        found = decisions.approve_signed(here.store, chain_id, identity, signature, now)
    else:
        found = decisions.approve(here.store, chain_id, identity, _key(here, by), now)
    told = {"decision": identity, "kind": found.kind, "subject": found.subject, "approved": True}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(f"{found.kind} of {found.subject} is approved; the rail carries it out"),
            soft_wrap=True,
        ),
    )


def propose(here: home.Home, decision: Decision, by: str) -> str:
    """Signs a proposal as an officer of this machine's keystores; returns the decision's id."""
    from orchestrator import decisions

    return decisions.propose(here.store, here.deployment.chain_id, decision, _key(here, by))


def proposed(identity: str, as_json: bool) -> None:
    """Tells what was proposed, and who must go on."""
    output.show(
        {"decision": identity, "approved": False},
        as_json,
        lambda console: console.print(plain(_next_step(identity)), soft_wrap=True),
    )


def _next_step(identity: str) -> str:
    return (
        f"proposed as {identity}; another officer approves it: "
        f"proofrail decision approve {identity[:14]} --as NAME"
    )


def _told(row: rows.Decision, names: dict[str, str]) -> dict[str, Any]:
    stage = "executed" if row.executed_at else "approved" if row.approved_at else "proposed"
    return {
        "decision_id": row.decision_id,
        "kind": row.kind,
        "subject": row.subject,
        "stage": stage,
        "detail": json.loads(row.detail),
        "proposed_at": row.proposed_at,
        "proposed_by": names.get(row.proposer, row.proposer),
        "approved_by": names.get(row.approver or "", row.approver),
        "approved_at": row.approved_at,
        "executed_at": row.executed_at,
    }


def _row(session: Any, start: str) -> rows.Decision:
    from orchestrator.edges.store import decisions

    found = [row for row in decisions.listed(session) if row.decision_id.startswith(start)]
    if len(found) != 1:
        what = "No decision begins" if not found else f"{len(found)} decisions begin"
        raise Halt(f"{what} with {start!r}; `proofrail decision list --all` shows all.")
    return found[0]


def _address(here: home.Home, name: str) -> str:
    from orchestrator.edges.store import decisions

    with here.store.read() as session:
        known = {named: address for address, named in decisions.officers(session).items()}
    if name not in known:
        raise Halt(f"No officer is named {name!r}; `proofrail officer list` shows all.")
    return known[name]


def _key(here: home.Home, name: str) -> bytes:
    from orchestrator.edges.chain import keystore

    address, folder = _address(here, name), _folder(here)
    if _file(name) not in keystore.names(folder):
        raise Halt(
            f"{name}'s key is not in {folder}: let {name} sign `proofrail decision show "
            "--typed-data`, and give it with --signature."
        )
    account: LocalAccount = here.sound(keystore.load(folder, _file(name)))
    if account.address != address:
        raise Halt(
            f"The keystore of {name} holds {account.address}, and the officer {name} is "
            f"{address}. Nothing was signed."
        )
    return bytes(account.key)


def _folder(here: home.Home) -> Any:
    return here.settings.keys / "officers"


def _file(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "officer"
