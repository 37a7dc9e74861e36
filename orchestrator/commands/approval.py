"""`proofrail officer` and `proofrail approval`: four-eyes approvals and who may sign them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.approval import Approval
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import approvals as rows

app = typer.Typer(
    name="approval",
    help="Four-eyes approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
officers = typer.Typer(
    name="officer",
    help="People who may sign approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
As = Annotated[str, typer.Option("--as", help="Name of the officer who signs.")]
_ApprovalId = Annotated[str, typer.Argument(help="The approval's id, or its beginning.")]


@officers.command("add")
def add_officer(
    context: typer.Context,
    name: str,
    address: Annotated[
        str | None,
        typer.Option(help="Address of a key held elsewhere; default: create a keystore."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--as", help="The proposing officer; needed once there are two.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Add an officer. The first two need no approval; each later one does."""
    from oracles.attest import checksummed
    from orchestrator import approvals
    from orchestrator.core.approval import Approval
    from orchestrator.edges.chain import keystore

    home = home_of(context)
    store = home.store  # opened first, so that no key is created without a rail
    if address is None:
        address = home.checked(keystore.create(_folder(home), _file(name))).address
    address = checksummed(bytes.fromhex(address.removeprefix("0x")))
    view = {"name": name, "address": address, "seated": True, "approval": None}
    if not approvals.found_officer(store, address, name, int(time.time())):
        if by is None:
            raise Halt(
                f"There are two officers, so adding {name} needs an approval. Give the proposing "
                "officer with --as."
            )
        approval = Approval(approvals.ADD_OFFICER, address, {"name": name}, int(time.time()))
        view |= {"seated": False, "approval": propose(home, approval, by)}
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(
                f"{name} is an officer: {address}"
                if view["seated"]
                else _next_step(view["approval"])
            ),
            soft_wrap=True,
        ),
    )


@officers.command("remove")
def remove_officer(context: typer.Context, name: str, by: As, as_json: Json = False) -> None:
    """Propose to remove an officer."""
    from orchestrator import approvals
    from orchestrator.core.approval import Approval

    home = home_of(context)
    address = _address(home, name)
    approval = Approval(approvals.REMOVE_OFFICER, address, {"name": name}, int(time.time()))
    proposed(propose(home, approval, by), as_json)


@officers.command("list")
def list_officers(context: typer.Context, as_json: Json = False) -> None:
    """List current and former officers."""
    from orchestrator.edges.store import approvals

    with home_of(context).store.read() as session:
        officer_views = [row.model_dump() for row in approvals.all_officers(session)]
    lines = [
        (t["name"], t["address"], when(t["added_at"]), when(t["removed_at"])) for t in officer_views
    ]
    output.show(
        officer_views,
        as_json,
        lambda console: console.print(
            table(
                f"{len(officer_views)} officers",
                ("name", "address", "since (UTC)", "until (UTC)"),
                lines,
            )
        ),
    )


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Include executed ones.")] = False,
    as_json: Json = False,
) -> None:
    """List open approvals, oldest first."""
    from orchestrator.edges.store import approvals

    with home_of(context).store.read() as session:
        names = {row.address: row.name for row in approvals.all_officers(session)}
        approval_views = [
            _approval_view(row, names) for row in approvals.listed(session, only_open=not every)
        ]
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
        for t in approval_views
    ]
    columns = ("approval", "kind", "subject", "stage", "proposed by", "approved by", "since (UTC)")
    output.show(
        approval_views,
        as_json,
        lambda console: console.print(table(f"{len(approval_views)} approvals", columns, lines)),
    )


@app.command()
def show(
    context: typer.Context,
    approval: _ApprovalId,
    typed_data: Annotated[
        bool, typer.Option(help="Print the EIP-712 document for a wallet to sign.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show all that an approval's signatures cover."""
    from orchestrator.core.approval import APPROVE
    from orchestrator.edges.store import approvals

    home = home_of(context)
    with home.store.read() as session:
        row = _row(session, approval)
        names = {officer.address: officer.name for officer in approvals.all_officers(session)}
    if typed_data:
        document = approvals.said(row).typed_data(APPROVE, home.deployment.chain_id)
        output.print_json(document)
        return
    view = _approval_view(row, names)
    lines = [
        (key, json.dumps(value) if isinstance(value, dict) else value)
        for key, value in view.items()
    ]
    output.show(view, as_json, lambda console: console.print(table("", ("", ""), lines)))


@app.command()
def approve(
    context: typer.Context,
    approval: _ApprovalId,
    by: Annotated[str | None, typer.Option("--as", help="The officer who signs.")] = None,
    signature: Annotated[
        str | None,
        typer.Option(
            help="A signature of `approval show --typed-data`, made elsewhere: 65 bytes, 0x-hex."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve another officer's proposal. The rail then executes it."""
    from orchestrator import approvals

    home, now = home_of(context), int(time.time())
    if (by is None) == (signature is None):
        raise Halt(
            "Give the officer who signs with --as, or a --signature made elsewhere, not both."
        )
    with home.store.read() as session:
        identity = _row(session, approval).approval_id
    chain_id = home.deployment.chain_id
    if signature is not None:
        approved = approvals.approve_signed(home.store, chain_id, identity, signature, now)
    else:
        approved = approvals.approve(home.store, chain_id, identity, _key(home, by), now)
    view = {
        "approval": identity,
        "kind": approved.kind,
        "subject": approved.subject,
        "approved": True,
    }
    output.show(
        view,
        as_json,
        lambda console: console.print(
            plain(f"{approved.kind} of {approved.subject} is approved; the rail executes it"),
            soft_wrap=True,
        ),
    )


def propose(home: Home, approval: Approval, by: str) -> str:
    """Sign a proposal with an officer's local keystore; return the approval's id."""
    from orchestrator import approvals

    return approvals.propose(home.store, home.deployment.chain_id, approval, _key(home, by))


def proposed(identity: str, as_json: bool) -> None:
    """Print a proposal's id and its next step."""
    output.show(
        {"approval": identity, "approved": False},
        as_json,
        lambda console: console.print(plain(_next_step(identity)), soft_wrap=True),
    )


def _next_step(identity: str) -> str:
    return (
        f"proposed as {identity}; next, another officer approves it: "
        f"proofrail approval approve {identity[:14]} --as NAME"
    )


def _approval_view(row: rows.ApprovalRow, names: dict[str, str]) -> dict[str, Any]:
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

    matches = [row for row in approvals.listed(session) if row.approval_id.startswith(start)]
    if len(matches) != 1:
        what = "No approval begins" if not matches else f"{len(matches)} approvals begin"
        raise Halt(f"{what} with {start!r}; `proofrail approval list --all` shows all.")
    return matches[0]


def _address(home: Home, name: str) -> str:
    from orchestrator.edges.store import approvals

    with home.store.read() as session:
        addresses = {officer: address for address, officer in approvals.officers(session).items()}
    if name not in addresses:
        raise Halt(f"No officer is named {name!r}; `proofrail officer list` shows all.")
    return addresses[name]


def _key(home: Home, name: str) -> bytes:
    from orchestrator.edges.chain import keystore

    address, folder = _address(home, name), _folder(home)
    if _file(name) not in keystore.names(folder):
        raise Halt(
            f"{name}'s key is not in {folder}. Let {name} sign the output of `proofrail "
            "approval show --typed-data`, and pass the result with --signature."
        )
    account: LocalAccount = home.checked(keystore.load(folder, _file(name)))
    if account.address != address:
        raise Halt(
            f"The keystore of {name} holds {account.address}, but the officer {name} is "
            f"{address}. Nothing was signed. Use the keystore of {address}."
        )
    return bytes(account.key)


def _folder(home: Home) -> Any:
    return home.settings.keys / "officers"


def _file(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name.lower()).strip("-") or "officer"
