"""`proofrail payment`: parties begin and end disputes, and anyone carries out rulings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, plain, table, when
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.edges.chain.client import Call
    from orchestrator.edges.chain.ethereum import LocalAccount
    from orchestrator.operations.disputes import DisputeCost, DisputedPayment

app = typer.Typer(
    name="payment",
    help="Hold or dispute a payment, prove its fault, end disputes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Payment = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="The payment's id, or its beginning.")
]


@app.command()
def dispute(
    context: typer.Context, payment: _Payment, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Freeze a payment within its dispute window, signed by its payer. It costs a bond.

    The bond comes back if the payee concedes, if the oracles rule for a refund, or if you retract
    within the dispute window. A dispute that nobody rules on in time is lost, and the bond with it.
    """
    from orchestrator.operations.disputes import dispute_calls, dispute_cost

    home, now = home_of(context), int(time.time())
    subject = _subject(home, payment)
    if subject.state is not None:
        _show(home, subject, [], subject.agreement.payer, as_json, already=True)
        return
    cost = dispute_cost(home.chain, subject, now)
    calls = dispute_calls(home.store, home.chain, subject, cost, now)
    payer = party_of(home, subject.agreement.payer)
    account = None if dry_run else keystore_of(home, payer)
    _act(home, subject, calls, payer.address, account, as_json, cost)


@app.command()
def concede(
    context: typer.Context, payment: _Payment, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Give a disputed payment back, signed by its payee. The bond returns to the payer."""
    home = home_of(context)
    subject = _subject(home, payment)
    payee = party_of(home, subject.payee)
    _end(
        home, subject, "concede", payee.address, lambda: keystore_of(home, payee), dry_run, as_json
    )


@app.command()
def retract(
    context: typer.Context, payment: _Payment, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """End a dispute in the payee's favour, signed by who began it.

    Within the dispute window the bond returns; later it is the payee's.
    """
    home = home_of(context)
    subject = _subject(home, payment)
    challenger = subject.state.challenger if subject.state else subject.agreement.payer
    if challenger == subject.agreement.payer:
        opener = lambda: keystore_of(home, party_of(home, challenger))  # noqa: E731
    else:
        opener = lambda: _warden(home, challenger)  # noqa: E731
    _end(home, subject, "retract", challenger, opener, dry_run, as_json)


@app.command()
def expire(
    context: typer.Context, payment: _Payment, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """End a dispute whose deadline is over. The rail also does so by itself."""
    home = home_of(context)
    subject = _subject(home, payment)
    sender = home.role_account("sender")
    _end(home, subject, "expire", sender.address, lambda: sender, dry_run, as_json)


@app.command()
def rule(
    context: typer.Context,
    payment: _Payment,
    ruling: Annotated[
        list[Path] | None,
        typer.Option(help="A file that `proofrail-oracle ruling sign` printed, once per file."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """End a dispute as the oracles ruled. Shows how many signatures count, and who is missing.

    The rail asks its oracles for rulings and sends enough of them by itself; this command also
    takes files.
    """
    from orchestrator.operations.disputes import count_view, ruling_calls, ruling_plan

    home, now = home_of(context), int(time.time())
    subject = _subject(home, payment)
    if _has_ended(subject):
        _show(home, subject, [], home.role_account("sender").address, as_json, already=True)
        return
    _keep_files(home, ruling or [], subject.row.payment_id, now)
    plan = ruling_plan(home.store, home.chain, subject)
    extra = {"rulings": count_view(plan, _oracle_names(home))}
    sender = home.role_account("sender")
    if dry_run and plan.answer is None:
        _show(home, subject, [], sender.address, as_json, extra=extra)
        return
    account = None if dry_run else sender
    _act(home, subject, ruling_calls(subject, plan), sender.address, account, as_json, None, extra)


def _subject(home: Home, text: str) -> DisputedPayment:
    from orchestrator.operations.disputes import disputed_payment
    from orchestrator.views.trace import find

    with home.store.read() as session:
        match = find(session, text)
    if match.kind != "payment":
        raise Halt(
            f"{text!r} is the id of another thing ({match.kind} {match.id}), and a dispute is "
            "about one payment. Nothing was sent. Next: `proofrail trace` lists its payments."
        )
    return disputed_payment(home.store, home.chain, match.id)


def _has_ended(subject: DisputedPayment) -> bool:
    return subject.state is None and subject.record is not None and bool(subject.record.ended_at)


def _end(
    home: Home,
    subject: DisputedPayment,
    function: str,
    caller: str,
    open_account: Any,
    dry_run: bool,
    as_json: bool,
) -> None:
    from orchestrator.operations.disputes import end_calls

    if _has_ended(subject) and subject.record.refunded == (function == "concede"):
        _show(home, subject, [], caller, as_json, already=True)
        return
    calls = end_calls(subject, function, int(time.time()))
    _act(home, subject, calls, caller, None if dry_run else open_account(), as_json)


def _act(
    home: Home,
    subject: DisputedPayment,
    calls: Sequence[Call],
    caller: str,
    account: LocalAccount | None,
    as_json: bool,
    cost: DisputeCost | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    """Try the first call at the node, then show all calls, or send them with an account."""
    from orchestrator.edges.chain.sender import Sender, send_in_turn

    home.chain.quote(caller, calls[0])  # it says by name why it would revert
    hashes = None
    if account is not None:
        sender = Sender(home.store, home.chain, account)
        hashes = send_in_turn(sender, calls, int(time.time()), patience())
    _show(home, subject, calls, caller, as_json, hashes=hashes, cost=cost, extra=extra)


def _show(
    home: Home,
    subject: DisputedPayment,
    calls: Sequence[Call],
    caller: str,
    as_json: bool,
    already: bool = False,
    hashes: Sequence[str] | None = None,
    cost: DisputeCost | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    from orchestrator.edges.chain.call_text import call_view

    row, state = subject.row, subject.state
    view: dict[str, Any] = {
        "payment": row.payment_id,
        "sent": hashes is not None,
        "already": already,
        "amount": _micro(row.amount_micro),
        "payer": subject.agreement.payer,
        "payee": subject.payee,
        "window_ends": row.release_at,
        "calls": [call_view(home.deployment, caller, call) for call in calls],
        "transactions": list(hashes or ()),
        **(extra or {}),
    }
    if cost is not None:
        view |= {
            "bond": _micro(cost.bond_micro),
            "deadline": cost.deadline,
            "balance": _micro(cost.balance_micro),
            "allowance": _micro(cost.allowance_micro),
        }
    elif state is not None:
        view |= {
            "challenger": state.challenger,
            "bond": _micro(state.bond_micro),
            "deadline": state.deadline,
        }
    elif already and subject.record is not None:
        view |= {"refunded": subject.record.refunded, "bond_returned": subject.record.bond_returned}
    output.show(view, as_json, lambda console: _print(console, view))


def _print(console: Any, view: dict[str, Any]) -> None:
    money = ("amount", "bond", "balance", "allowance")
    times = ("window_ends", "deadline")
    rows = [
        (
            name.replace("_", " "),
            output.money(value) if name in money else when(value) if name in times else value,
        )
        for name, value in view.items()
        if name not in ("sent", "already", "calls", "transactions", "rulings")
    ]
    console.print(table("dispute", ("field", "value"), rows))
    for count in view.get("rulings", []):
        console.print(
            plain(
                f"{count['answer']}: {len(count['counting'])} of {count['need']} signatures count "
                f"({output.words(count['counting']) or 'none'}); {count['missing']}; "
                f"still to sign: {output.words(count['missing_from']) or 'nobody'}"
                + (f"; do not count: {output.words(count['ignored'])}" if count["ignored"] else "")
            ),
            soft_wrap=True,
        )
    if view["already"]:
        console.print(plain(_already(view)), soft_wrap=True)
        return
    print_calls(console, view["calls"], view["sent"])
    for tx_hash in view["transactions"]:
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)


def _already(view: dict[str, Any]) -> str:
    if "refunded" not in view:
        return "it is under dispute already; nothing was sent"
    end = "its payment went back to the payer" if view["refunded"] else "the payment stands"
    return f"its dispute has ended: {end}; nothing was sent"


def _micro(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "asset": "tEUR/6"}


def _warden(home: Home, challenger: str) -> LocalAccount:
    account = home.role_account("warden")
    if account.address != challenger:
        raise Halt(
            f"{challenger} began this dispute, and its key is not here. Nothing was sent. Who "
            "began a dispute retracts it."
        )
    return account


def _keep_files(home: Home, files: Sequence[Path], payment: str, now: int) -> None:
    from device_adapters.types import Rejected
    from oracles.wire import read_ruling
    from orchestrator.steps.rulings import keep_rulings

    for file in files:
        try:
            signed = read_ruling(file.read_bytes())
        except (OSError, Rejected) as error:
            raise Halt(f"{file} is no signed ruling: {error}. Nothing was sent.") from error
        if keep_rulings(home.store, home.chain, [signed], now) != [payment]:
            raise Halt(
                f"{file} is no ruling of this rail on payment {payment}, or its signature is not "
                "its oracle's. Nothing was sent. Ask that oracle for it again."
            )


def _oracle_names(home: Home) -> dict[str, str]:
    return {entry["address"]: entry["name"] for entry in home.rail_file.get("oracles", [])}
