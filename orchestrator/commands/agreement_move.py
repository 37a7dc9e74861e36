"""`proofrail agreement move`: carries agreements of a former rail over to the present one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.agreement import agreement_of
from orchestrator.commands.agreement_open import bond_of
from orchestrator.commands.chain_call import print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, parse_euro, plain, table, when
from orchestrator.commands.role_calls import DryRun, Yes
from orchestrator.commands.signature import parse_signature
from orchestrator.errors import Halt, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from device_adapters.types import Message
    from orchestrator.edges.store.agreements import AgreementRow
    from orchestrator.operations.agreement_move import AgreementMove, MoveOptions
    from orchestrator.operations.agreement_move_steps import (
        Adoption,
        MoneyTotals,
        Mover,
        PayeeAccount,
        PayeeOnFormerRail,
    )

app = typer.Typer(rich_markup_mode=None)
_NEXT = {
    "stays": "stays on the former rail: {why}",
    "waits": "waits: {why}",
    "close": "will be closed on the former rail",
    "ending": "is closed; its claims settle until {ends}, then run this again",
    "open": "will be opened on the present rail",
    "reclaim": "will get its escrow back from the former rail",
    "fund": "will be funded on the present rail",
    "moved": "has moved",
}
_ZERO = ("0", "0.00")
_AT_ONCE = 100  # messages in one transaction of the store


@dataclass(frozen=True)
class _MovePlan:
    """What is shown before anything is done."""

    moves: Sequence[AgreementMove]
    adoption: Adoption
    accounts: Sequence[PayeeAccount]
    payees: Sequence[PayeeOnFormerRail]


@app.command()
def move(
    context: typer.Context,
    agreement: Annotated[
        str | None, typer.Argument(help="The agreement's id, or its beginning.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All agreements of former rails.")] = False,
    bond: Annotated[
        str, typer.Option(help="What a dispute costs in the new agreement, in euro.")
    ] = "10.00",
    fund: Annotated[
        str | None,
        typer.Option(help="Euro to fund the new agreement with; 0: none. Default: what came back."),
    ] = None,
    payer_signature: Annotated[
        str | None, typer.Option(help="65 bytes in hex. Default: the payer's keystore signs.")
    ] = None,
    document: Annotated[
        bool,
        typer.Option("--document", help="Print the EIP-712 document that the payer signs."),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Move agreements to the present contracts. Run it again until all have moved.

    It closes an agreement on the former rail. Once that rail takes no more claims for it, the new
    one is opened with the last counter, register and totals, and the escrow follows. Payouts and
    debts of before stay on the former rail, and the service pays them out there.
    """
    home = home_of(context)
    if (agreement is None) is not every:
        raise Halt("Give an agreement, or --all. Nothing was sent.")
    if every and (fund or payer_signature or document):
        raise Halt(
            "--fund, --payer-signature and --document are about one agreement: give its id. "
            "Nothing was sent."
        )
    mover = _mover(home)
    options = _options(bond, fund, payer_signature, named=agreement is not None)
    rows = mover.planner.on_former_rails() if every else [agreement_of(home, agreement or "")]
    moves = [mover.planner.look(row, options) for row in rows]
    if document:
        _print_document(mover, moves[0])
        return
    former = mover.planner.on_former_rails()
    plan = _MovePlan(moves, mover.adoption(), mover.accounts(former), mover.payees(former))
    totals = mover.totals(rows)
    view = _plan_view(home, mover, plan, options) | {"totals": _money(totals)}
    if not (dry_run or _is_idle(view)):
        if not yes:
            _print_plan(output.console(errors=True), view)
            typer.confirm("Do it?", abort=True, err=True)
        view["did"], view["records_taken"] = _run(mover, rows, options, plan)
        after = mover.totals(rows)
        view |= {"sent": True, "totals_after": _money(after), "same_total": after.all == totals.all}
    output.show(view, as_json, lambda console: _print_done(console, view))


def _options(bond: str, fund: str | None, signature: str | None, *, named: bool) -> MoveOptions:
    from orchestrator.operations.agreement_move import MoveOptions

    micro = None if fund is None else 0 if fund in _ZERO else parse_euro(fund, "--fund")
    signed = parse_signature(signature, "payer") if signature else None
    return MoveOptions(named, bond_of(bond), micro, signed)


def _mover(home: Home) -> Mover:
    from orchestrator.edges.chain import keystore
    from orchestrator.edges.chain.sender import Sender
    from orchestrator.operations.agreement_move import MovePlanner
    from orchestrator.operations.agreement_move_steps import Mover

    if len(home.deployment.named("PaymentRail")) == 1:
        raise Halt(
            "This deployment has one rail, so there is nothing to move. Nothing was sent. "
            "docs/OPERATING.md says how a rail gets the contracts of this release."
        )
    folder = home.settings.keys / "parties"
    addresses = (keystore.address(folder, name) for name in keystore.names(folder))
    planner = MovePlanner(
        home.store,
        home.chain,
        home.agreement_ops(),
        lambda: int(time.time()),
        frozenset(address.lower() for address in addresses if address),
        home.settings.finality_blocks,
    )
    sender = Sender(home.store, home.chain, home.role_account("sender"))
    keys = keystore.keys_of(folder)

    def key_of(address: str) -> Any:
        account = keys(address)
        return home.checked(account) if account else None

    return Mover(planner, sender, key_of, patience(), lambda messages: _take(home, messages))


def _take(home: Home, messages: Sequence[Message]) -> Iterator[Any]:
    """Take messages in as devices send them, and yield the outcomes of each."""
    from orchestrator.edges.chain.reader import Registry
    from orchestrator.ingest.intake import Intake
    from orchestrator.products import deployed, products

    addresses = home.deployment.addresses
    registry = Registry(home.chain, deployed(addresses), contracts=addresses.values())
    intake = Intake(home.store, registry, products(), time.time)
    for start in range(0, len(messages), _AT_ONCE):
        yield from intake.take(messages[start : start + _AT_ONCE])


def _print_document(mover: Mover, move: AgreementMove) -> None:
    document = mover.document(move)
    if document is None:
        raise Halt(
            f"There is no mandate to sign yet: agreement {move.row.agreement_id} "
            f"{_sentence(_move_view(move))}. Nothing was sent."
        )
    typer.echo(json.dumps(document, indent=2))


def _run(
    mover: Mover, rows: Sequence[AgreementRow], options: MoveOptions, plan: _MovePlan
) -> tuple[list[dict[str, Any]], int]:
    """Do what can be done now; an agreement that fails does not stop the others.

    Returns:
        Where each agreement stands, and how many records were taken that had been refused.
    """
    mover.adopt(plan.adoption)
    mover.name_accounts(plan.accounts)
    results, moved = [], []
    for row, before in zip(rows, plan.moves, strict=True):
        try:
            move = mover.run(row, options)
            results.append(_move_view(move))
            if move.following is not None and before.stage != "moved":
                moved.append(move)
        except Retry as failure:
            results.append(
                {
                    "agreement_id": row.agreement_id,
                    "device": row.device,
                    "stage": "waits",
                    "why": str(failure),
                }
            )
    return results, mover.retake(moved)


# --- views


def _plan_view(home: Home, mover: Mover, plan: _MovePlan, options: MoveOptions) -> dict[str, Any]:
    from orchestrator.edges.chain.call_text import call_view

    sender = home.role_account("sender").address
    calls = [(sender, call) for call in plan.adoption.calls()]
    calls += [(account.payee, account.call) for account in plan.accounts]
    calls += [pair for move in plan.moves for pair in mover.calls(move, options)]
    return {
        "sent": False,
        "devices": {
            "adopt": [name for name, _ in plan.adoption.ready],
            "suspended": list(plan.adoption.waiting),
        },
        "accounts": [
            {"payee": a.payee, "account": "0x" + a.account.hex(), "key_is_here": a.is_here}
            for a in plan.accounts
        ],
        "agreements": [_move_view(move) for move in plan.moves],
        "calls": [call_view(home.deployment, by, call) for by, call in calls],
        "payees": [_payee_view(payee) for payee in plan.payees],
    }


def _is_idle(view: dict[str, Any]) -> bool:
    """Return whether nothing of a plan can be done from here now."""
    accounts = any(account["key_is_here"] for account in view["accounts"])
    return not (view["devices"]["adopt"] or accounts) and all(
        move["stage"] in ("stays", "waits", "ending", "moved") or "payer" in move["missing"]
        for move in view["agreements"]
    )


def _move_view(move: AgreementMove) -> dict[str, Any]:
    mandate, following = move.mandate, move.following
    return {
        "agreement_id": move.row.agreement_id,
        "device": move.row.device,
        "product": move.row.product,
        "rail": move.rail,
        "stage": str(move.stage),
        "why": move.why,
        "missing": list(move.missing),
        "ends_at": move.ends_at,
        "escrow": _amount(move.escrow_micro),
        "came_back": _amount(move.back_micro),
        "disputed": list(move.disputed),
        "following": following.agreement_id if following else None,
        "mandate": _mandate_view(mandate) if mandate else None,
    }


def _mandate_view(mandate: Any) -> dict[str, Any]:
    return {
        "agreement_id": "0x" + mandate.agreement_id().hex(),
        "product": mandate.product,
        "start": mandate.start,
        "expiry": mandate.expiry,
        "first_counter": mandate.first_counter,
        "cap": _amount(mandate.cap),
        "bond": _amount(mandate.bond),
        "terms_hex": "0x" + mandate.terms.hex(),
    }


def _payee_view(payee: PayeeOnFormerRail) -> dict[str, Any]:
    return {
        "payee": payee.payee,
        "rail": payee.rail,
        "matured": _amount(payee.matured),
        "maturing": _amount(payee.maturing),
        "last_at": payee.last_at or None,
        "withdrawable": _amount(payee.withdrawable),
        "owed": _amount(payee.owed),
    }


def _money(totals: MoneyTotals) -> dict[str, Any]:
    sums = {name: _amount(micro) for name, micro in asdict(totals).items()}
    return sums | {"total": _amount(totals.all)}


def _amount(micro: int) -> dict[str, str]:
    return {"amount": str(micro), "asset": "tEUR/6"}


# --- text


def _sentence(view: dict[str, Any]) -> str:
    text = _NEXT[view["stage"]].format(why=view["why"], ends=f"{when(view.get('ends_at', 0))} UTC")
    if view["stage"] == "moved" and view["why"]:
        text += f"; {view['why']}"
    missing = " and ".join(view.get("missing", ()))
    return f"{text}; the key of its {missing} is elsewhere" if missing else text


def _print_plan(console: Any, view: dict[str, Any]) -> None:
    devices = view["devices"]
    if devices["adopt"]:
        console.print(plain(f"devices to take over: {', '.join(devices['adopt'])}"), soft_wrap=True)
    if devices["suspended"]:
        names = ", ".join(devices["suspended"])
        console.print(plain(f"suspended devices, not taken over: {names}"), soft_wrap=True)
    for account in view["accounts"]:
        where = "" if account["key_is_here"] else "; its key is elsewhere: `party payout-account`"
        console.print(
            plain(f"{account['payee']} names its bank account on the present rail{where}"),
            soft_wrap=True,
        )
    _print_agreements(console, view["agreements"])
    rows = [
        (
            output.short(p["payee"]),
            p["rail"],
            *(output.money(p[name]) for name in ("matured", "maturing")),
            when(p["last_at"]) if p["last_at"] else "-",
            *(output.money(p[name]) for name in ("withdrawable", "owed")),
        )
        for p in view["payees"]
    ]
    columns = ("payee", "rail", ">matured", ">matures", "by (UTC)", ">withdrawable", ">owes")
    console.print(table("paid out on former rails", columns, rows))
    print_calls(console, view["calls"], is_sent=True)
    _print_totals(console, view)


def _print_agreements(console: Any, moves: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            output.short(m["agreement_id"]),
            m["device"],
            m["product"],
            output.money(m["escrow"]),
            len(m["disputed"]),
            _sentence(m),
        )
        for m in moves
    ]
    columns = ("agreement", "device", "product", ">escrow", ">disputes", "next")
    console.print(table(f"{len(moves)} agreements of former rails", columns, rows))
    for m in moves:
        if m["mandate"]:
            new = m["mandate"]
            console.print(
                plain(
                    f"{output.short(m['agreement_id'])} goes on as {new['agreement_id']} behind "
                    f"counter {new['first_counter']}"
                ),
                soft_wrap=True,
            )


def _print_totals(console: Any, view: dict[str, Any]) -> None:
    after = view.get("totals_after")
    rows = [
        (name, output.money(value), *((output.money(after[name]),) if after else ()))
        for name, value in view["totals"].items()
    ]
    columns = ("all rails and parties", ">before", ">after") if after else ("", ">now")
    console.print(table("money", columns, rows))


def _print_done(console: Any, view: dict[str, Any]) -> None:
    if not view["sent"]:
        _print_plan(console, view)
        console.print("nothing was sent")
        return
    for result in view["did"]:
        name = f"{output.short(result['agreement_id'])} of {result['device']}"
        console.print(plain(f"{name} {_sentence(result)}"), soft_wrap=True)
    if view["records_taken"]:
        console.print(f"{view['records_taken']} records that came in between are taken now")
    _print_totals(console, view)
    if not view["same_total"]:
        console.print(
            "the totals differ: money came in or left for wallets outside meanwhile; "
            "`proofrail reconcile` says whether a cent is missing"
        )
