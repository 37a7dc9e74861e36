"""The `proofrail` command: exit code 0 for success, 1 for "no", 2 for a failure.

An error is one sentence with its next step; a traceback appears only with PROOFRAIL_DEBUG=1.
`COMMANDS` lists every command; its module is imported when the command runs, not before.
"""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.completion import completion_init
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command, get_group

from device_adapters.types import Rejected
from orchestrator import __version__
from orchestrator.commands import output
from orchestrator.commands.home import Home
from orchestrator.errors import Halt, Retry, passing_trouble
from orchestrator.extras import extra_needed

# section of the help -> command -> (MODULE:ATTRIBUTE, help line)
# A module without a dot is under orchestrator.commands.
# A function is one command; a typer.Typer is a group of commands, and several make one group.
COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Run a rail": {
        "init": (
            "services.commands.init:init",
            "Make the home of a new rail: configuration, keys, secrets.",
        ),
        "up": ("services:up", "Start the rail's processes and keep them running."),
        "down": ("services:down", "Stop the rail's processes, the orchestrator first."),
        "restart": ("services:restart", "Stop one process of the running rail and start it again."),
        "ps": ("services:ps", "Show the rail's processes."),
        "logs": ("logs:logs", "Show the logs of the rail's processes, the newest line last."),
        "doctor": (
            "services.commands.doctor:doctor",
            "Check configuration, keys, ports, node, clock and disk.",
        ),
        "sandbox": (
            "services.commands.sandbox:app",
            "Play with a development rail: readings, bank accounts, payments.",
        ),
    },
    "See what happened": {
        "status": ("status:status", "Show what is wrong."),
        "trace": ("trace:trace", "Show a payment from device to bank statement."),
        "payments": ("payments:payments", "List payments, newest first."),
        "rejected": (
            "rejected:rejected",
            "Show refused input and records dropped later, newest first.",
        ),
        "holes": ("status:holes", "List counters that never arrived."),
    },
    "Look after a rail": {
        "resume": ("resume:resume", "Let a halted step continue."),
        "backup": (
            "backup:backup",
            "Save the whole rail to one archive while it runs, and check it.",
        ),
        "restore": ("backup:restore", "Check an archive and unpack it into an empty home."),
        "upgrade": ("upgrade:upgrade", "Migrate the database and configuration of a stopped rail."),
        "key": ("key:app", "Keys of the rail."),
        "tls": ("tls:app", "Make certificates for the API, the broker, oracles and devices."),
        "oracle": ("oracle:app", "List oracles, and admit those of other organisations."),
    },
    "Powers on chain": {
        "chain": (
            "chain:app services.commands.chain_move:app",
            "Pause the rail, make scheduled calls, move to new contracts.",
        ),
        "committee": (
            "committee:app committee_challenges:app",
            "Seat, unseat and silence oracles on chain.",
        ),
        "product": (
            "product:app services.commands.product_deploy:app",
            "Deploy products, list them for new agreements, remove them.",
        ),
        "officer": ("officer:app", "People who may sign approvals."),
    },
    "Devices, parties, agreements": {
        "device": (
            "device:app device_life:app device_risk:app device_gateway:app",
            "Enrol, show, rotate, suspend and retire devices.",
        ),
        "party": ("party:app party_money:app party_statement:app", "Payers and payees."),
        "waterfall": (
            "waterfall:app services.commands.waterfall_deploy:app",
            "Payees that divide what they earn among holders.",
        ),
        "agreement": (
            "agreement:app agreement_open:app agreement_consent:app agreement_life:app "
            "agreement_move:app agreement_preview:app agreement_show:app agreement_baseline:app "
            "agreement_basis_risk:app agreement_premium:app",
            "Preview, open, close, fund, skip, move and list agreements.",
        ),
        "api-key": ("api_key:app", "Keys for the HTTP API."),
    },
    "Money": {
        "payment": (
            "payment_hold:app payment_dispute:app payment_challenge:app payment_meters:app",
            "Hold or dispute a payment, prove its fault, end disputes.",
        ),
        "payout": ("payout:app", "Payments to payees' bank accounts."),
        "funding": ("funding:app", "Incoming payments not matched to an agreement."),
        "bank": ("bank:app", "Bank files."),
        "approval": ("approval:app", "Four-eyes approvals."),
        "effect": (
            "effect:app effect_target:app",
            "What final payments make happen outside: webhooks, orders, tokens.",
        ),
        "unlock": ("unlock:app", "Tokens that unlock devices, and the keys they are made with."),
    },
    "Books and proofs": {
        "reconcile": ("reconcile:reconcile", "Compare devices, chain, ledger and bank."),
        "reserves": ("reconcile:reserves", "Prove the reserves."),
        "breaks": ("breaks:app", "Reconciliation differences: age, owner, next step."),
        "ledger": ("ledger:app", "The double-entry ledger and its reports."),
        "rebuild": ("rebuild:rebuild", "Recompute and compare every balance."),
        "evidence": ("evidence:app", "Check records, or send a file of them to the rail."),
        "audit": ("audit:app", "Export the proof of a payment, or verify one offline."),
    },
    "This command": {
        "completion": ("completion:completion", "Print the completion script of a shell."),
    },
}

_COLLECT_EVERY = 50_000  # new objects; Python's own number is 700
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
    "OwnerDidNotConsent": "Have the device's owner sign `proofrail agreement consent --document` "
    "again: it may have revoked its consents meanwhile.",
    "StartOutOfRange": "Give a --start of the last 400 days, after the end of the device's "
    "agreement before this one.",
    "BondOutOfRange": "Give a --bond of at most 100.00 euro.",
    "AgreementIsNotLive": "The agreement has ended; see `proofrail agreement list`.",
    "SkipInvalid": "The chain expects another claim by now. Run `proofrail agreement skip` again.",
    "SkipUnsigned": "A signature is of another document. Sign the output of `proofrail agreement "
    "skip --document` again.",
    "NotInCharge": "Only a registrar and the device's owner may do this.",
    "RotationTooSoon": "A key may follow another after an hour, four a day. `proofrail device "
    "show` says when the next may.",
    "AssignmentTooSoon": "A device may have 32 assignments of gateways within 90 days. Give a "
    "later --from.",
    "CompromiseNeedsRuling": "A compromise is declared for seven days back at most. `proofrail "
    "device compromise --dry-run` shows the earliest date; the committee rules on earlier ones.",
    "RotationUnsigned": "The old proof was not made with the old key. Sign the output of "
    "`proofrail device digest --new-key` with the old key.",
    "AssignmentUnsigned": "The owner did not sign this assignment, or another one came first. Sign "
    "the output of `proofrail device assign --document` again.",
    "AssignmentTimesInvalid": "Leave --from out to begin now, or give a time that is still ahead.",
    "GatewayInvalid": "A gateway is another device, enrolled with a key (`proofrail device list`).",
    "DeviceWithoutKey": "The device has no key to replace: its gateway signs for it.",
    "KeyExpiryInvalid": "The endorsement's certificate ends before it takes effect. Renew it.",
    "CompromiseDateInvalid": "Give a time in the past, before the one already declared.",
    "PayeeUnexpected": "Leave --payee out: each claim of this product names its payee.",
    "PayeeMissing": "Give --payee.",
    "TermsMalformed": "The product's contract rejects these terms; `proofrail agreement terms` "
    "explains each term and shows the contract.",
    "NotYetDue": "The agreement has not ended; `proofrail agreement list` shows its end.",
    "NotDisputed": "The payment is not under dispute (any more); `proofrail trace` shows it.",
    "NotDisputable": "The payment was disputed before, or it is no payment of this rail.",
    "WindowOver": "The dispute window is over. Ask the payee for a correction.",
    "NotExpired": "The dispute can still be ruled on; `proofrail trace` shows its deadline.",
    "NotParty": "Only a party of the agreement may do this; the view names both.",
    "PausedLately": "The rail was paused lately. After each pause it cannot be paused for a while.",
    "TooManySilent": "The oracles that are left could be no quorum. Seat others first "
    "(`proofrail committee seat`).",
    "AccessManagerNotReady": "Its time has not come; `proofrail chain scheduled` shows it.",
    "AccessManagerExpired": "Its time is over. Run the command again: it is scheduled again.",
    "NothingToTake": "`proofrail waterfall show` shows what each holder can take.",
    "PayoutLimited": "The rail may order one payout a day for a holder, and none below its "
    "minimum; leave --by-rail out, and the holder itself signs.",
    "NothingDue": "The agreement's escrow is empty; there is nothing to refund.",
    "NotInsured": "Only the payee of the cover proves its premiums.",
    "PremiumInvalid": "Name a settled payment of the agreement in the term premium, later than the "
    "one that was proved last.",
    "PremiumDisputed": "The payment was disputed, so it proves nothing. Name another one.",
    "PremiumPending": "Try again after the payment's dispute window; `proofrail trace` shows it.",
}


class Guarded(TyperGroup):
    """The root command: imports a command when it is used, and turns exceptions into sentences.

    Help, suggestions and completion use placeholders with the name and the help line.
    """

    def __init__(self, **attributes: Any) -> None:
        rows = {name: line for section in COMMANDS.values() for name, (_, line) in section.items()}
        attributes["commands"] = {name: TyperCommand(name, help=rows[name]) for name in rows}
        super().__init__(**attributes)

    def resolve_command(self, context: typer.Context, args: list[str]) -> Any:
        """Return the name, the imported command and the rest; the command accepts --home too."""
        name, placeholder, rest = super().resolve_command(context, args)
        return name, placeholder and self.imported(placeholder.name), rest

    def imported(self, name: str) -> TyperCommand | TyperGroup:
        """Return the command of that name with all its own commands."""
        command = _import(name)
        _accept(command, next(option for option in self.params if option.name == "home"))
        return command

    def format_commands(self, context: typer.Context, formatter: Any) -> None:
        """Write the commands by section."""
        width = max(map(len, self.commands))
        for title, rows in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, (_, line) in rows.items()])

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
        except Exception as error:
            sentence = extra_needed(error, "rail")
            if sentence is not None:
                output.complain(sentence, "extra_missing", as_json)
            elif _debugging(context):
                raise
            else:
                output.complain(_bug_report(error), "bug", as_json)
            code = output.CANNOT
        raise typer.Exit(code)


def _import(name: str) -> TyperCommand | TyperGroup:
    targets = next(rows[name][0] for rows in COMMANDS.values() if name in rows)
    parts = []
    for target in targets.split():
        module, _, attribute = target.partition(":")
        path = module if "." in module else f"orchestrator.commands.{module}"
        parts.append(getattr(import_module(path), attribute))
    if isinstance(parts[0], typer.Typer):
        group, *more = map(get_group, parts)
        for other in more:
            group.commands.update(other.commands)
        return group
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name)(parts[0])
    return get_command(single)


def _accept(command: Any, option: Any) -> None:
    """Add an option to a command and to all commands in it."""
    command.params.append(option)
    for member in getattr(command, "commands", {}).values():
        _accept(member, option)


def _bug_report(bug: Exception) -> str:
    trouble = passing_trouble(bug)
    if trouble is not None:
        return (
            f"This machine cannot do it now: {trouble}. The command stopped here. Look at free "
            "disk space, memory and open files (`proofrail doctor`), then run it again."
        )
    return (
        f"This is a bug in proofrail: {type(bug).__name__}: {bug}. The command stopped here. See "
        "`proofrail status` before you run it again; with PROOFRAIL_DEBUG=1 it prints a traceback "
        "to report."
    )


def _with_next_step(sentence: str) -> str:
    """Add the next step: the one for the contract's error, if the sentence ends with one."""
    _, reverts, name = sentence.rpartition("would revert: ")
    step = "Nothing was sent; `proofrail status` and the `list` commands show the current state."
    step = _REVERTS.get(name, step) if reverts else "Run the same command again later."
    return f"{sentence.rstrip('.')}. {step}"


def _debugging(context: typer.Context) -> bool:
    try:
        return (context.obj or Home()).settings.debug
    except (Halt, ModuleNotFoundError):  # the base has no library for settings
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


def _open_home(context: typer.Context, home: Path | None) -> None:
    """Open the home that the option names; given twice, the one nearer to the command counts."""
    if home is not None or context.obj is None:
        context.obj = context.find_root().obj = Home(home)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"proofrail {__version__}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        Path | None,
        typer.Option(
            help="The rail's folder. Default: PROOFRAIL_HOME, then .proofrail.",
            callback=_open_home,
            expose_value=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version and exit.",
            callback=_print_version,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; answer a shell that asks for completions."""
    # imports make many objects that stay; to look through them again and again costs a tenth
    gc.set_threshold(_COLLECT_EVERY)
    completion_init()
    app(prog_name="proofrail")


if __name__ == "__main__":
    main()
