"""`proofrail sandbox`: readings, bank accounts and payments of a development rail."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, money, parse_euro, plain, table, when
from orchestrator.errors import Halt, Retry

if TYPE_CHECKING:
    from orchestrator.settings import Settings
    from services.bank import BankClient

app = typer.Typer(
    name="sandbox",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Play with a development rail: readings, bank accounts, payments.",
)
bank_app = typer.Typer(
    name="bank", no_args_is_help=True, rich_markup_mode=None, help="The simulated bank."
)
app.add_typer(bank_app)

_MICRO_PER_CENT = 10_000
_REASONS = {  # of ISO 20022, as the simulated bank uses them
    "AM04": "there is too little money on the paying account (AM04)",
    "AC01": "it has no such account (AC01)",
}


def _settings(context: typer.Context, what: str) -> Settings:
    """Return the settings of a development rail on the local chain; refuse any other."""
    home = home_of(context)
    if home.settings.profile != "dev":
        raise Halt(
            f"{what} is for a rail of profile dev only, and {home.settings.home} is of profile "
            f"{home.settings.profile}. Nothing was done. `proofrail init --profile dev` makes one."
        )
    from services.sandbox.journal import read_journal

    journal = read_journal(home.settings)  # only the local chain ever gets one
    if journal is None or not journal.done:
        raise Halt(
            f"{what} needs the parties and the meter of a development rail, and "
            f"{home.settings.home} has none yet. Nothing was done. Start it with `proofrail up`."
        )
    return home.settings


@app.command()
def record(
    context: typer.Context,
    value: Annotated[str, typer.Option(help="Energy of the session in kWh.")] = "1",
    until: Annotated[
        str, typer.Option(help="Stage to wait for: settled, posted, paid_out or reconciled.")
    ] = "settled",
    as_json: Json = False,
) -> None:
    """Let the meter sign and send one reading, and show its trace as it grows.

    Exit code 1 if its payment ends without being settled.
    """
    settings = _settings(context, "A simulated reading")
    from services.sandbox.meter import energy_of
    from services.sandbox.record import Recording, parse_stage

    recording = Recording(settings, energy_of(value), parse_stage(until))
    console, lines = output.console(), []
    for line in recording.lines():
        lines.append(line)
        if not as_json:
            text = f"{when(line.at)}  {line.what:<10} {line.detail}"
            console.print(plain(text.rstrip()), soft_wrap=True)
    life = recording.life
    view = {
        "evidence": recording.evidence,
        "payment_id": life["payment_id"],
        "stage": life["stage"],
        "reason": life["reason"],
        "amount": life["amount"],
        "asset": life["asset"],
        "lines": [asdict(line) for line in lines],
    }
    output.show(view, as_json, lambda console: _render_end(console, view))
    raise typer.Exit(0 if recording.arrived else output.NO)


def _render_end(console: Any, view: dict[str, Any]) -> None:
    reason = f" ({view['reason']})" if view["reason"] else ""
    console.print(plain(f"{money(view)} {view['stage']}{reason}", "bold"))
    console.print(plain(f"next: proofrail trace {view['evidence'][:16]}"))


@bank_app.command()
def account(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="A short name, such as shop-1.")],
    balance: Annotated[str, typer.Option(help="Money on a new account, in euro.")] = "100000.00",
    as_json: Json = False,
) -> None:
    """Open an account at the simulated bank, or show the IBAN of an existing one."""
    settings = _settings(context, "An account at the simulated bank")
    from services.sandbox.parties import bank_accounts, name_account

    cents = _cents(balance, "--balance")
    is_new = name not in bank_accounts(settings)
    iban = name_account(settings, name)
    if is_new:
        _carried_out(_bank(settings).open_account, iban, name, cents)
    view = {"name": name, "iban": iban, "new": is_new}
    text = f"{name} {'was opened' if is_new else 'is there already'}: {iban}"
    output.show(view, as_json, lambda console: console.print(plain(text), soft_wrap=True))


@bank_app.command()
def accounts(context: typer.Context, as_json: Json = False) -> None:
    """List the named accounts at the simulated bank."""
    settings = _settings(context, "The simulated bank")
    from services.sandbox.parties import bank_accounts

    named = bank_accounts(settings)
    rows = list(named.items())
    output.show(
        named, as_json, lambda console: console.print(table("accounts", ("name", "IBAN"), rows))
    )


@bank_app.command()
def pay(
    context: typer.Context,
    debtor: Annotated[str, typer.Option("--from", help="Name of the paying account.")],
    amount: Annotated[str, typer.Option(help="Euro, such as 500.00.")],
    reference: Annotated[
        str, typer.Option(help="Funding reference (RF...); `proofrail agreement list` shows it.")
    ] = "",
    to: Annotated[
        str, typer.Option(help="Name of the receiving account; left out: the rail's own.")
    ] = "",
    text: Annotated[str, typer.Option(help="Text on the statement.")] = "",
    as_json: Json = False,
) -> None:
    """Make a bank transfer: into the rail, with the reference of an agreement."""
    settings = _settings(context, "A simulated payment")
    cents = _cents(amount, "--amount")
    sender, receiver = _iban(settings, debtor), _iban(settings, to) if to else ""
    _carried_out(_bank(settings).pay, sender, receiver, cents, reference, text)
    view = {"from": sender, "to": receiver or None, "cents": cents, "reference": reference}
    euro = output.decimal(cents, "EUR/2")
    about = f" with reference {reference}" if reference else ""
    sentence = f"The bank booked {euro} from {debtor} to {to or 'the rail'}{about}."
    output.show(view, as_json, lambda console: console.print(plain(sentence), soft_wrap=True))


@bank_app.command("close-day")
def close_day(context: typer.Context, as_json: Json = False) -> None:
    """End the bank's day: it writes its statement (camt.053) and begins the next day."""
    settings = _settings(context, "The simulated bank's day")
    _carried_out(_bank(settings).close_day)
    sentence = "The bank closed its day and wrote its statement."
    output.show({"closed": True}, as_json, lambda console: console.print(plain(sentence)))


def _bank(settings: Settings) -> BankClient:
    from services.bank import BankClient

    return BankClient(settings.home / "bank")


def _carried_out(order: Any, *arguments: Any) -> None:
    """Have the bank carry out an instruction; raise Halt with its reason if it refuses."""
    try:
        answer = order(*arguments)
    except TimeoutError as error:
        raise Retry(f"the simulated bank does not answer: {error}") from error
    if not answer["ok"]:
        reason = _REASONS.get(answer["reason"], answer["reason"])
        raise Halt(f"The bank refuses: {reason}. Nothing was booked. Correct it, and run it again.")


def _cents(text: str, what: str) -> int:
    micro = parse_euro(text, what)
    if micro % _MICRO_PER_CENT:
        raise Halt(f"{what} {text!r} has more than two decimals, and a bank books whole cents.")
    return micro // _MICRO_PER_CENT


def _iban(settings: Settings, name: str) -> str:
    from services.sandbox.parties import bank_accounts

    named = bank_accounts(settings)
    if name not in named:
        raise Halt(
            f"There is no account {name!r} at the simulated bank; there are "
            f"{', '.join(named)}. Nothing was booked. `proofrail sandbox bank account` opens one."
        )
    return named[name]
