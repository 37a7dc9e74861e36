"""`proofrail officer` and `proofrail approval`: who may decide, and what two of them decided."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.approval import Approval
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import approvals as rows

app = typer.Typer(
    name="approval",
    help="What two officers must sign.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
officers = typer.Typer(
    name="officer",
    help="People who may propose and approve approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
As = Annotated[str, typer.Option("--as", help="The officer who signs, by name.")]
_ApprovalId = Annotated[str, typer.Argument(help="The approval's id, or its beginning.")]


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
    """Seat an officer. The first two found the office; from then on it takes an approval."""
    from oracles.attest import checksummed
    from orchestrator import approvals
    from orchestrator.core.approval import Approval
    from orchestrator.edges.chain import keystore

    here = home.of(context)
    store = here.store  # before a key is made: without a rail none is
    if address is None:
        address = here.sound(keystore.create(_folder(here), _file(name))).address
    address = checksummed(bytes.fromhex(address.removeprefix("0x")))
    told = {"name": name, "address": address, "seated": True, "approval": None}
    if not approvals.found_officer(store, address, name, int(time.time())):
        if by is None:
            raise Halt(
                f"There are two officers: seating {name} takes an approval. Name who "
                "proposes it with --as."
            )
        wanted = Approval(approvals.ADD_OFFICER, address, {"name": name}, int(time.time()))
        told |= {"seated": False, "approval": propose(here, wanted, by)}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(
                f"{name} is an officer: {address}"
                if told["seated"]
                else _next_step(told["approval"])
            ),
            soft_wrap=True,
        ),
    )


@officers.command("remove")
def remove_officer(context: typer.Context, name: str, by: As, as_json: Json = False) -> None:
    """Propose that somebody stops being an officer."""
    from orchestrator import approvals
    from orchestrator.core.approval import Approval

    here = home.of(context)
    address = _address(here, name)
    wanted = Approval(approvals.REMOVE_OFFICER, address, {"name": name}, int(time.time()))
    proposed(propose(here, wanted, by), as_json)


@officers.command("list")
def list_officers(context: typer.Context, as_json: Json = False) -> None:
    """List the officers, also former ones."""
    from orchestrator.edges.store import approvals

    with home.of(context).store.read() as session:
        told = [row.model_dump() for row in approvals.all_officers(session)]
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
    """List open approvals, oldest first."""
    from orchestrator.edges.store import approvals

    with home.of(context).store.read() as session:
        names = {row.address: row.name for row in approvals.all_officers(session)}
        told = [_told(row, names) for row in approvals.listed(session, only_open=not every)]
    lines = [
        (
            short(t["approval_id"], 14),
            t["kind"],
            short(t["subject"], 18),
            t["stage"],
            t["proposed_by"],
            t["approved_by"],
            when(t["proposed_at"]),
        )
        for t in told
    ]
    columns = ("approval", "kind", "subject", "stage", "proposed by", "approved by", "since (UTC)")
    output.show(
        told,
        as_json,
        lambda console: console.print(table(f"{len(told)} approvals", columns, lines)),
    )


@app.command()
def show(
    context: typer.Context,
    approval: _ApprovalId,
    typed_data: Annotated[
        bool, typer.Option(help="The EIP-712 document for a wallet to approve.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show all that an approval's signatures cover."""
    from orchestrator.core.approval import APPROVE
    from orchestrator.edges.store import approvals

    here = home.of(context)
    with here.store.read() as session:
        row = _row(session, approval)
        names = {each.address: each.name for each in approvals.all_officers(session)}
    if typed_data:
        document = approvals.content_of(row).typed_data(APPROVE, here.deployment.chain_id)
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
    approval: _ApprovalId,
    by: Annotated[str | None, typer.Option("--as", help="The officer who signs.")] = None,
    signature: Annotated[
        str | None, typer.Option(help="Made elsewhere over --typed-data; 0x-hex, 65 bytes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve another officer's proposal; then the rail carries it out."""
    from orchestrator import approvals

    here, now = home.of(context), int(time.time())
    if (by is None) == (signature is None):
        raise Halt("Name the officer who signs with --as, or give a --signature made elsewhere.")
    with here.store.read() as session:
        identity = _row(session, approval).approval_id
    chain_id = here.deployment.chain_id
    if signature is not None:
        found = approvals.approve_signed(here.store, chain_id, identity, signature, now)
    else:
        found = approvals.approve(here.store, chain_id, identity, _key(here, by), now)
    told = {"approval": identity, "kind": found.kind, "subject": found.subject, "approved": True}
    output.show(
        told,
        as_json,
        lambda console: console.print(
            plain(f"{found.kind} of {found.subject} is approved; the rail carries it out"),
            soft_wrap=True,
        ),
    )


def propose(here: home.Home, approval: Approval, by: str) -> str:
    """Signs a proposal as an officer of this machine's keystores; returns the approval's id."""
    from orchestrator import approvals

    return approvals.propose(here.store, here.deployment.chain_id, approval, _key(here, by))


def proposed(identity: str, as_json: bool) -> None:
    """Tells what was proposed, and who must go on."""
    output.show(
        {"approval": identity, "approved": False},
        as_json,
        lambda console: console.print(plain(_next_step(identity)), soft_wrap=True),
    )


def _next_step(identity: str) -> str:
    return (
        f"proposed as {identity}; another officer approves it: "
        f"proofrail approval approve {identity[:14]} --as NAME"
    )


def _told(row: rows.ApprovalRow, names: dict[str, str]) -> dict[str, Any]:
    stage = "executed" if row.executed_at else "approved" if row.approved_at else "proposed"
    return {
        "approval_id": row.approval_id,
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


def _row(session: Any, start: str) -> rows.ApprovalRow:
    from orchestrator.edges.store import approvals

    found = [row for row in approvals.listed(session) if row.approval_id.startswith(start)]
    if len(found) != 1:
        what = "No approval begins" if not found else f"{len(found)} approvals begin"
        raise Halt(f"{what} with {start!r}; `proofrail approval list --all` shows all.")
    return found[0]


def _address(here: home.Home, name: str) -> str:
    from orchestrator.edges.store import approvals

    with here.store.read() as session:
        known = {named: address for address, named in approvals.officers(session).items()}
    if name not in known:
        raise Halt(f"No officer is named {name!r}; `proofrail officer list` shows all.")
    return known[name]


def _key(here: home.Home, name: str) -> bytes:
    from orchestrator.edges.chain import keystore

    address, folder = _address(here, name), _folder(here)
    if _file(name) not in keystore.names(folder):
        raise Halt(
            f"{name}'s key is not in {folder}: let {name} sign `proofrail approval show "
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
