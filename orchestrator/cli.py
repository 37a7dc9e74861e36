"""The `proofrail` command: exit code 0 fine, 1 the answer is no, 2 it cannot be done.

What goes wrong is said in one sentence with the next step; a traceback is shown only with
PROOFRAIL_DEBUG=1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from device_adapters.types import Rejected
from orchestrator.commands import (
    agreement,
    api_key,
    approval,
    audit,
    bank,
    breaks,
    device,
    device_life,
    device_risk,
    evidence,
    funding,
    ledger,
    output,
    party,
    party_statement,
    payments,
    payout,
    rebuild,
    reconcile,
    rejected,
    status,
    trace,
)
from orchestrator.commands.home import Home
from orchestrator.errors import Halt, Retry

# named refusals that are answers; every other one says that the question cannot be answered
_ANSWERS = ("not_found", "payment_unknown", "not_settled")
_REVERTS = {  # a contract's error: what to do about it
    "KeyTaken": "This key was enrolled before, here or for another device; make a new one.",
    "DeviceExists": "A device of this name is enrolled; `proofrail device list` shows it.",
    "PossessionUnproven": "The proof is not this key's: sign `proofrail device digest` anew.",
    "DeviceInStatus": "`proofrail device list` shows its status.",
    "DeviceNotActive": "`proofrail device list` shows its status.",
    "DeviceHasAgreement": "A device has one live agreement; `proofrail agreement list` shows it.",
    "WindowTooLong": "Choose a shorter --window.",
    "NotRegistrar": "The key of the role registrar is not the one that the registry was given.",
    "NotInCharge": "Only the registrar and the device's owner may do this.",
    "RotationUnsigned": "The old proof is not the old key's: sign `proofrail device digest "
    "--new-key` with it.",
    "KeyExpiryInvalid": "The endorsement's certificate ends before it begins to count; renew it.",
    "CompromiseDateInvalid": "Name a time in the past, before the one that is declared already.",
    "PayeeUnexpected": "Leave --payee out: each claim of this product says who is paid.",
    "PayeeMissing": "Give --payee.",
    "TermsMalformed": "The product's contract does not take these terms; `proofrail agreement "
    "terms` says what each means, and where the contract is.",
    "NotYetDue": "The agreement still runs; `proofrail agreement list` shows until when.",
    "NothingDue": "Its escrow is empty.",
}


class Guarded(TyperGroup):
    """Turns what commands raise into one sentence and an exit code."""

    def invoke(self, context: typer.Context) -> Any:
        as_json = "--json" in context.args
        try:
            return super().invoke(context)
        except Rejected as refusal:
            output.complain(f"{refusal.detail} ({refusal.reason}).", str(refusal.reason), as_json)
            code = output.NO if refusal.reason in _ANSWERS else output.CANNOT
        except Halt as stop:
            output.complain(str(stop), "halt", as_json)
            code = output.CANNOT
        except Retry as delay:
            output.complain(_advised(str(delay)), "retry", as_json)
            code = output.CANNOT
        except (typer.Exit, typer.Abort, TyperException, BrokenPipeError):
            raise
        except Exception as bug:
            if _debugging(context):
                raise
            output.complain(
                f"This is a bug of ours: {type(bug).__name__}: {bug}. Nothing more was done. Run "
                "it again with PROOFRAIL_DEBUG=1 and report what it shows.",
                "bug",
                as_json,
            )
            code = output.CANNOT
        raise typer.Exit(code)


def _advised(sentence: str) -> str:
    """A delay with its next step, by the contract's own error where there is one."""
    _, reverts, name = sentence.rpartition("would revert: ")
    step = "Nothing was sent; `proofrail status` and `list` commands show how things stand."
    step = _REVERTS.get(name, step) if reverts else "Run the same command again later."
    return f"{sentence.rstrip('.')}. {step}"


def _debugging(context: typer.Context) -> bool:
    try:
        return (context.obj or Home()).settings.debug
    except Halt:
        return False


app = typer.Typer(
    name="proofrail",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A signed device record becomes a line on a bank statement, and anyone can check it.",
)


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="The rail's folder; default: PROOFRAIL_HOME, else .proofrail."),
    ] = None,
) -> None:
    context.obj = Home(home)


for more in (device_life, device_risk):
    device.app.add_typer(more.app)  # without a name: their commands are the device's
party.app.add_typer(party_statement.app)
for noun in (
    evidence,
    audit,
    bank,
    device,
    party,
    agreement,
    api_key,
    ledger,
    approval,
    funding,
    payout,
    breaks,
):
    app.add_typer(noun.app)
app.add_typer(approval.officers)
for verbs in (rejected, trace, payments, reconcile, status, rebuild):
    verbs.register(app)


def main() -> None:
    """The entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
