"""`proofrail-oracle ruling`: lists disputes, shows one, and signs what a person decided."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.errors import Halt
from services.commands.oracle_device_ruling import device

app = typer.Typer(
    name="ruling",
    help="Decide disputes: list, show and sign rulings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("device")(device)
_NEVER = 1 << 64
HOME = Path(".proofrail-oracle")
HomeOption = Annotated[Path, typer.Option(help="The oracle's folder.")]
NameOption = Annotated[
    str, typer.Option(help="An oracle that a rail here starts; --home is then the rail's home.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
PaymentArgument = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="The payment's id, or its beginning.")
]


@app.command("list")
def list_(home: HomeOption = HOME, name: NameOption = "", as_json: JsonOption = False) -> None:
    """List open disputes, the next deadline first; those of a rail of 0.5.0 have none."""
    from services.oracle_rulings import open_desk

    desk, _ = open_desk(home, name)
    views = [desk.view(dispute) for dispute in desk.open()]
    views.sort(key=lambda view: view["deadline"] or _NEVER)
    if as_json:
        typer.echo(json.dumps(views, indent=2))
        return
    for view in views:
        typer.echo(
            f"{view['payment']}  {_euro(view['amount'])}  {_until(view)}  {_signed_text(view)}"
        )
    typer.echo(f"{len(views)} open disputes; next: proofrail-oracle ruling show PAYMENT")


@app.command()
def show(
    payment: PaymentArgument,
    home: HomeOption = HOME,
    name: NameOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a dispute, and what this oracle has about the payment."""
    from services.oracle_rulings import open_desk

    desk, _ = open_desk(home, name)
    view = desk.view(desk.one(payment))
    if as_json:
        typer.echo(json.dumps(view, indent=2))
        return
    for line in _lines(view):
        typer.echo(line)


@app.command("sign")
def sign_(
    payment: PaymentArgument,
    refund: Annotated[
        bool | None,
        typer.Option("--refund/--stand", help="Back to the payer's escrow, or to the payee."),
    ] = None,
    by: Annotated[str, typer.Option(help="Your name: who decided.")] = "",
    reason: Annotated[str, typer.Option(help="Why, for the oracle's own records.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask again.")] = False,
    home: HomeOption = HOME,
    name: NameOption = "",
) -> None:
    """Sign your decision. Prints the signed ruling; the rail also asks this oracle for it."""
    from services.oracle import read_key
    from services.oracle_rulings import open_desk, sign_ruling

    if refund is None or not by.strip():
        raise Halt("Give --refund or --stand, and --by with your name. Nothing was signed.")
    desk, options = open_desk(home, name)
    dispute = desk.one(payment)
    view = desk.view(dispute)
    for line in _lines(view):
        typer.echo(line, err=True)
    question = (
        f"Sign that {_euro(view['amount'])} "
        f"{'go back to the payer' if refund else 'stay with the payee'}? It cannot be undone."
    )
    if not yes and not typer.confirm(question, err=True):
        raise Halt("You did not confirm. Nothing was signed.")
    key, now = read_key(options.keystore, options.password_file), int(time.time())
    document = sign_ruling(desk, key, dispute, refund, by.strip(), reason.strip(), now)
    typer.echo(json.dumps(document, indent=2))


def _lines(view: dict[str, Any]) -> list[str]:
    lines = [
        f"payment {view['payment']}: {_euro(view['amount'])} from {view['payer']} to "
        f"{view['payee']}",
        f"disputed by {view['challenger']} with a bond of {_euro(view['bond'])}; a ruling counts "
        f"{_until(view)}",
        _signed_text(view),
    ]
    if view["required_domain"]:
        lines.append(f"trust domain {view['required_domain']} must be among the signers")
    evidence = view["evidence"]
    if evidence is None:
        return [*lines, "this oracle has nothing about it"]
    attested = "attested by this oracle" if evidence["attested_here"] else "attested by others"
    lines.append(
        f"claim {evidence['sequence']} of agreement {evidence['agreement']}, {attested}: "
        f"{evidence['records']} records of {', '.join(evidence['devices']) or 'no device'}, "
        f"{_when(evidence['observed_from'])} to {_when(evidence['observed_to'])}"
    )
    if evidence["facts"]:
        lines.append(", ".join(f"{name} {value}" for name, value in evidence["facts"].items()))
    return lines


def _until(view: dict[str, Any]) -> str:
    if view["deadline"] is None:
        return f"on {view['rail']}, without a deadline"
    return f"until {_when(view['deadline'])}"


def _signed_text(view: dict[str, Any]) -> str:
    signed = view["signed"]
    if signed is None:
        return "not decided here"
    return f"decided here: {signed['decision']}, by {signed['decided_by']}"


def _euro(amount: dict[str, str]) -> str:
    micro = int(amount["amount"])
    return f"{micro // 10**6:,}.{micro % 10**6:06} EUR"


def _when(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
