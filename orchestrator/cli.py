"""The `proofrail` command: exit code 0 for success, 1 for "no", 2 for a failure.

An error is one sentence with its next step; a traceback appears only with PROOFRAIL_DEBUG=1.
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
    backup,
    bank,
    breaks,
    device,
    device_life,
    device_risk,
    evidence,
    funding,
    key,
    ledger,
    output,
    party,
    party_statement,
    payments,
    payout,
    rebuild,
    reconcile,
    rejected,
    resume,
    status,
    trace,
    upgrade,
)
from orchestrator.commands.home import Home
from orchestrator.errors import Halt, Retry

# refusals that mean "no" (exit code 1); all others mean that the command failed (exit code 2)
_ANSWERS = ("not_found", "payment_unknown", "not_settled")
_REVERTS = {  # a contract's error: the next step for the user
    "KeyTaken": "This key was enrolled before, for this or another device. Make a new key.",
    "DeviceExists": "A device with this name is enrolled; `proofrail device list` shows it.",
    "PossessionUnproven": "The proof was not made with this key. Sign the output of `proofrail "
    "device digest` again.",
    "DeviceInStatus": "`proofrail device list` shows its status.",
    "DeviceNotActive": "`proofrail device list` shows its status.",
    "DeviceHasAgreement": "The device has a live agreement; see `proofrail agreement list`.",
    "WindowTooLong": "Choose a shorter --window.",
    "NotRegistrar": "The local key `registrar` is not the one that the registry was deployed with.",
    "NotInCharge": "Only the registrar and the device's owner may do this.",
    "RotationUnsigned": "The old proof was not made with the old key. Sign the output of "
    "`proofrail device digest --new-key` with the old key.",
    "KeyExpiryInvalid": "The endorsement's certificate ends before it takes effect. Renew it.",
    "CompromiseDateInvalid": "Give a time in the past, before the one already declared.",
    "PayeeUnexpected": "Leave --payee out: each claim of this product names its payee.",
    "PayeeMissing": "Give --payee.",
    "TermsMalformed": "The product's contract rejects these terms; `proofrail agreement terms` "
    "explains each term and shows the contract.",
    "NotYetDue": "The agreement has not ended; `proofrail agreement list` shows its end.",
    "NothingDue": "The agreement's escrow is empty; there is nothing to refund.",
}


class Guarded(TyperGroup):
    """A command group that turns each exception into one sentence and an exit code."""

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
            output.complain(_with_next_step(str(delay)), "retry", as_json)
            code = output.CANNOT
        except (typer.Exit, typer.Abort, TyperException, BrokenPipeError):
            raise
        except Exception as bug:
            if _debugging(context):
                raise
            output.complain(
                f"This is a bug in proofrail: {type(bug).__name__}: {bug}. The command stopped "
                "here. See `proofrail status` before you run it again; with PROOFRAIL_DEBUG=1 it "
                "prints a traceback to report.",
                "bug",
                as_json,
            )
            code = output.CANNOT
        raise typer.Exit(code)


def _with_next_step(sentence: str) -> str:
    """Add the next step: the one for the contract's error, if the sentence ends with one."""
    _, reverts, name = sentence.rpartition("would revert: ")
    step = "Nothing was sent; `proofrail status` and the `list` commands show the current state."
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
    help="Turn signed device records into bank payments that anyone can check.",
)


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(help="The rail's folder. Default: PROOFRAIL_HOME, then .proofrail."),
    ] = None,
) -> None:
    context.obj = Home(home)


for device_commands in (device_life, device_risk):
    device.app.add_typer(device_commands.app)  # no name: they become commands of `device`
party.app.add_typer(party_statement.app)
for command_group in (
    evidence,
    audit,
    bank,
    device,
    party,
    agreement,
    api_key,
    key,
    ledger,
    approval,
    funding,
    payout,
    breaks,
):
    app.add_typer(command_group.app)
app.add_typer(approval.officers)
for single_command in (
    rejected,
    trace,
    payments,
    reconcile,
    status,
    resume,
    rebuild,
    backup,
    upgrade,
):
    single_command.register(app)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
