"""`proofrail approval`: four-eyes approvals. `proofrail officer` says who may sign them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.approval import Approval, Office
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.edges.store import approvals as rows

app = typer.Typer(
    name="approval",
    help="Four-eyes approvals.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
As = Annotated[str, typer.Option("--as", help="Name of the officer who signs.")]
_ApprovalId = Annotated[str, typer.Argument(help="The approval's id, or its beginning.")]


@app.command("list")
def list_(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Include executed ones.")] = False,
    as_json: Json = False,
) -> None:
    """List open approvals, oldest first."""
    from orchestrator.approvals import is_over
    from orchestrator.edges.store import approvals

    home = home_of(context)
    with home.store.read() as session:
        names = approvals.officer_names(session)
        rows = approvals.listed(session, only_open=not every)
    office = home.office(online=bool(rows))
    approval_views = [
        _approval_view(row, names, office) for row in rows if every or not is_over(office, row)
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
    to_withdraw: Annotated[
        bool, typer.Option("--to-withdraw", help="Print the document that withdraws it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show all that an approval's signatures cover."""
    from orchestrator.core.approval import APPROVE, WITHDRAW
    from orchestrator.edges.store import approvals

    home = home_of(context)
    with home.store.read() as session:
        row = _row(session, approval)
        names = approvals.officer_names(session)
    if typed_data or to_withdraw:
        step = WITHDRAW if to_withdraw else APPROVE
        output.print_json(approvals.content_of(row).typed_data(step, home.deployment.chain_id))
        return
    view = _approval_view(row, names, home.office())
    lines = [
        (key, json.dumps(value) if isinstance(value, dict) else value)
        for key, value in view.items()
    ]
    output.show(view, as_json, lambda console: console.print(table("", ("", ""), lines)))


_By = Annotated[str | None, typer.Option("--as", help="The officer who signs.")]
_Signature = Annotated[
    str | None,
    typer.Option(
        help="A signature of `approval show --typed-data` (or --to-withdraw), made elsewhere: 65 "
        "bytes, 0x-hex."
    ),
]


@app.command()
def approve(
    context: typer.Context,
    approval: _ApprovalId,
    by: _By = None,
    signature: _Signature = None,
    as_json: Json = False,
) -> None:
    """Approve another officer's proposal. The rail then executes it."""
    from orchestrator import approvals

    home = home_of(context)
    ended = _sign(home, approval, by, signature, approvals.approve, approvals.approve_signed)
    view = {**ended, "approved": True}
    text = f"{ended['kind']} of {ended['subject']} is approved; the rail executes it"
    output.show(view, as_json, lambda console: console.print(plain(text), soft_wrap=True))


@app.command()
def withdraw(
    context: typer.Context,
    approval: _ApprovalId,
    by: _By = None,
    signature: _Signature = None,
    as_json: Json = False,
) -> None:
    """Withdraw an approval that is not executed. One officer is enough."""
    from orchestrator import approvals

    home = home_of(context)
    ended = _sign(home, approval, by, signature, approvals.withdraw, approvals.withdraw_signed)
    view = {**ended, "withdrawn": True}
    text = f"{ended['kind']} of {ended['subject']} is withdrawn; another may be proposed"
    output.show(view, as_json, lambda console: console.print(plain(text), soft_wrap=True))


def _sign(
    home: Home,
    start: str,
    by: str | None,
    signature: str | None,
    with_key: Callable[..., Approval],
    with_signature: Callable[..., Approval],
) -> dict[str, Any]:
    """Sign an approval with a local key, or take a signature made elsewhere."""
    if (by is None) == (signature is None):
        raise Halt(
            "Give the officer who signs with --as, or a --signature made elsewhere, not both."
        )
    with home.store.read() as session:
        identity = _row(session, start).approval_id
    office = home.office()
    if signature is not None:
        approval = with_signature(home.store, office, identity, signature)
    else:
        elsewhere = (
            f"Next: let {by} sign the output of `proofrail approval show --typed-data`, and pass "
            "the result with --signature."
        )
        key = officer_key(home, by or "", elsewhere)
        approval = with_key(home.store, office, identity, key)
    return {"approval": identity, "kind": approval.kind, "subject": approval.subject}


def propose(home: Home, approval: Approval, by: str) -> str:
    """Sign a proposal with an officer's local keystore; return the approval's id."""
    from orchestrator import approvals

    return approvals.propose(home.store, home.office(), approval, officer_key(home, by))


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


def _stage(row: rows.ApprovalRow, office: Office) -> str:
    from orchestrator.approvals import counts

    if row.executed_at:
        return "executed"
    if row.withdrawn_at:
        return "withdrawn"
    if office.has_expired(row.proposed_at):
        return "expired"
    if row.approved_at:
        return "approved" if counts(office, row) else "approved by a former officer"
    return "proposed" if row.proposer in office.officers else "proposed by a former officer"


def _approval_view(row: rows.ApprovalRow, names: dict[str, str], office: Office) -> dict[str, Any]:
    return {
        "approval_id": row.approval_id,
        "kind": row.kind,
        "subject": row.subject,
        "stage": _stage(row, office),
        "detail": json.loads(row.detail),
        "proposed_at": row.proposed_at,
        "proposed_by": names.get(row.proposer, row.proposer),
        "approved_by": names.get(row.approver or "", row.approver),
        "approved_at": row.approved_at,
        "executed_at": row.executed_at,
        "withdrawn_by": names.get(row.withdrawn_by or "", row.withdrawn_by),
        "withdrawn_at": row.withdrawn_at,
        "expires_at": office.expires_at(row.proposed_at),
    }


def _row(session: Any, start: str) -> rows.ApprovalRow:
    from orchestrator.edges.store import approvals

    matches = [row for row in approvals.listed(session) if row.approval_id.startswith(start)]
    if len(matches) != 1:
        what = "No approval begins" if not matches else f"{len(matches)} approvals begin"
        raise Halt(f"{what} with {start!r}; `proofrail approval list --all` shows all.")
    return matches[0]


def officer_address(home: Home, name: str) -> str:
    """Return the address of an officer, by the name that this home has for it."""
    from orchestrator.edges.store import approvals

    with home.store.read() as session:
        names = approvals.officer_names(session)
    addresses = {officer: address for address, officer in names.items()}
    if name not in addresses:
        raise Halt(f"No officer is named {name!r}; `proofrail officer list` shows all.")
    return addresses[name]


def officer_key(
    home: Home,
    name: str,
    elsewhere: str = "Next: give the command where the key is, or as another officer.",
) -> bytes:
    """Return an officer's key from the keystore in this home, by the officer's name.

    elsewhere: what to do where the key is in another place.
    """
    from orchestrator.edges.chain import keystore

    address, folder = officer_address(home, name), home.settings.officer_keys
    if keystore.file_of(name) not in keystore.names(folder):
        raise Halt(f"{name}'s key is not in {folder}. Nothing was signed. {elsewhere}")
    account: LocalAccount = home.checked(keystore.load(folder, keystore.file_of(name)))
    if account.address != address:
        raise Halt(
            f"The keystore of {name} holds {account.address}, but the officer {name} is "
            f"{address}. Nothing was signed. Use the keystore of {address}."
        )
    return bytes(account.key)
