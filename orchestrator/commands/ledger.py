"""`proofrail ledger`: accounting reports as tables, CSV or JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.ledger_check import check
from orchestrator.commands.output import Json, short, table, when
from orchestrator.errors import Halt

app = typer.Typer(
    name="ledger",
    help="The double-entry ledger and its reports.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("check")(check)

_DAY_S = 86_400
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV (RFC 4180) and nothing else.")]
AsOf = Annotated[
    str | None,
    typer.Option(
        help="Up to this time: a day (its end, UTC) or an instant, as in 2026-09-30T12:00:00Z."
    ),
]
From = Annotated[str | None, typer.Option("--from", help="From this day or instant on.")]
To = Annotated[
    str | None, typer.Option("--to", "--as-of", help="Up to this day or instant, inclusive.")
]
Detail = Annotated[
    bool, typer.Option("--detail", help="Show each account of a sub-ledger separately.")
]


def moment(text: str | None, end_of_day: bool) -> int | None:
    """Return the Unix seconds of a day (its first or last second, UTC) or of an instant."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        start = int(instant.replace(tzinfo=UTC).timestamp())
        return start + _DAY_S - 1 if end_of_day else start
    if instant is None or instant.tzinfo is None:
        raise Halt(
            f"{text!r} is neither a day such as 2026-09-30 nor an instant with its zone such as "
            "2026-09-30T12:00:00Z. Give one of the two."
        )
    return int(instant.timestamp())


def _period(first: str | None, last: str | None) -> tuple[int | None, int | None]:
    start, end = moment(first, False), moment(last, True)
    if start is not None and end is not None and end < start:
        raise Halt(f"--to {last} is before --from {first}. Exchange them.")
    return start, end


def _show(
    data: Any,
    as_json: bool,
    as_csv: bool,
    sheet: tuple[Sequence[str], Iterable[Sequence[Any]]],
    render: Callable[[Any], None],
) -> None:
    """Print as JSON, CSV or table; `sheet` has the columns and rows of the CSV."""
    from orchestrator.core.reports import csv_text

    if as_json and as_csv:
        raise Halt("Give --json or --csv, not both.")
    if as_csv:
        typer.echo(csv_text(*sheet), nl=False)
    else:
        output.show(data, as_json, render)


@app.command("chart")
def chart(as_json: Json = False, as_csv: Csv = False) -> None:
    """Show the chart of accounts. Lists code, name, kind and purpose of each account."""
    from orchestrator.core import reports

    columns, rows = reports.CHART_COLUMNS, reports.chart_table()
    accounts = [dict(zip(columns, row, strict=True)) for row in rows]
    _show(
        accounts,
        as_json,
        as_csv,
        (columns, rows),
        lambda console: console.print(table("chart of accounts", columns, rows)),
    )


@app.command("balances")
def balances(
    context: typer.Context, as_of: AsOf = None, as_json: Json = False, as_csv: Csv = False
) -> None:
    """Show the balance of each account. Debits are positive; each asset sums to zero."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    with home_of(context).store.read() as session:
        balances_by_account = ledger.balances(session, moment(as_of, True))
        names = _names(session)
    balance_views = [
        {
            "account": account,
            "name": names.get(account.partition(":")[2]),
            "amount": str(amount),
            "asset": asset,
        }
        for (account, asset), amount in balances_by_account.items()
    ]
    rows = [(item["account"], item["name"], output.money(item)) for item in balance_views]
    sheet = reports.BALANCE_COLUMNS, reports.balance_table(balances_by_account)
    _show(
        balance_views,
        as_json,
        as_csv,
        sheet,
        lambda console: console.print(
            table(_until("balances", as_of), ("account", "of", ">balance"), rows)
        ),
    )


def _names(session: Any) -> dict[str, str]:
    """Return {address or agreement as accounts write it: the name that people typed}."""
    from orchestrator.edges.store import agreements

    names = {party.address.lower(): party.name for party in agreements.parties(session)}
    return names | {row.agreement_id: row.device for row in agreements.all_agreements(session)}


def _until(title: str, as_of: str | None) -> str:
    return f"{title} as of {as_of}" if as_of else title


@app.command("trial-balance")
def trial_balance(
    context: typer.Context,
    as_of: AsOf = None,
    pending: Annotated[
        bool,
        typer.Option("--pending", help="Include entries of blocks that are not final yet."),
    ] = False,
    detail: Detail = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show debits and credits of every account. Exit code 1 if they are not equal."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    until = moment(as_of, True)
    with home_of(context).store.read() as session:
        balances_by_account = ledger.balances(session, until)
        pending_amounts = ledger.pending_balances(session, until) if pending else {}
    rows = reports.trial_balance(balances_by_account, pending_amounts, detail)
    sums = reports.totals(rows)
    balanced = all(debit == credit and not rest for debit, credit, rest in sums.values())
    view = {
        "as_of": until,
        "balanced": balanced,
        "rows": [reports.json_view(row) for row in rows],
        "totals": {
            asset: dict(
                zip(
                    ("debit_minor", "credit_minor", "pending_minor"), map(str, amounts), strict=True
                )
            )
            for asset, amounts in sums.items()
        },
    }
    sheet = reports.TRIAL_COLUMNS, reports.trial_table(rows)
    _show(
        view,
        as_json,
        as_csv,
        sheet,
        lambda console: _trial(console, _until("trial balance", as_of), rows, sums, pending),
    )
    if not balanced:
        output.complain(
            "Debits and credits are not equal: the journal was changed outside proofrail. Run "
            "`proofrail rebuild` to find where.",
            "unbalanced",
            False,
        )
        raise typer.Exit(output.NO)


def _trial(console: Any, title: str, rows: Sequence[Any], sums: Any, pending: bool) -> None:
    columns = ["code", "account", "name", "kind", ">debit", ">credit"]
    columns += [">not final"] if pending else []
    for asset, totals in sums.items():
        lines = [
            (
                r.code,
                _named(r),
                r.name,
                r.kind,
                _amount(r.debit_minor, asset),
                _amount(r.credit_minor, asset),
                _amount(r.pending_minor, asset),
            )
            for r in rows
            if r.asset == asset
        ]
        lines.append(("", "", "total", "", *(_amount(amount, asset, True) for amount in totals)))
        shown = [line[: len(columns)] for line in lines]
        console.print(table(f"{title}, {asset.split('/')[0]}", columns, shown))


def _named(row: Any) -> str:
    return f"{row.account} ({row.accounts})" if row.account.endswith(":*") else row.account


def _amount(minor: int, asset: str, always: bool = False) -> str:
    return output.number(minor, asset) if minor or always else ""


@app.command("statement")
def statement(
    context: typer.Context,
    account: Annotated[
        str,
        typer.Argument(
            help="An account, a code of the chart, or a whole sub-ledger such as escrow."
        ),
    ],
    first: From = None,
    last: To = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show an account's movements. Each has the balance after it."""
    from orchestrator.core import reports
    from orchestrator.core.chart import find
    from orchestrator.edges.store import ledger

    start, end = _period(first, last)
    row = find(account.lower())
    account_name = row.pattern if row else account.lower()
    with home_of(context).store.read() as session:
        if row is None:
            row = _row_of(ledger.balances(session), account_name)
            movements = list(ledger.movements(session, account=account_name, until=end))
        else:
            movements = list(ledger.movements(session, row=row, until=end))
    account_statement = reports.statement(row, account_name, movements, start, end)
    view = {"from": start, "to": end, **reports.json_view(account_statement)}
    sheet = reports.STATEMENT_COLUMNS, reports.statement_table([account_statement])
    _show(view, as_json, as_csv, sheet, lambda console: _statement(console, account_statement))


def _row_of(balances: Iterable[tuple[str, str]], name: str) -> Any:
    from orchestrator.core.chart import row_of

    for account, asset in balances:
        if account == name:
            return row_of(account, asset)
    raise Halt(
        f"The account {name!r} has no postings. `proofrail ledger balances` lists the "
        "accounts, `proofrail ledger chart` explains them."
    )


def _statement(console: Any, statement: Any) -> None:
    sub_ledger = statement.account.endswith(":*")
    lines = [
        ("", "", "opening", "", "", "", _amount(statement.opening_minor, statement.asset, True))
    ]
    lines += [
        (
            line.number,
            when(line.at),
            line.kind,
            short(line.account if sub_ledger else line.ref, 24),
            _amount(line.debit_minor, statement.asset),
            _amount(line.credit_minor, statement.asset),
            _amount(line.balance_minor, statement.asset, True),
        )
        for line in statement.lines
    ]
    lines.append(
        ("", "", "closing", "", "", "", _amount(statement.closing_minor, statement.asset, True))
    )
    about = "account" if sub_ledger else "reference"
    columns = (">entry", "at (UTC)", "kind", about, ">debit", ">credit", ">balance")
    title = (
        f"{statement.code} {statement.name}, {statement.account}, {statement.asset.split('/')[0]}"
    )
    console.print(table(title, columns, lines))


@app.command("general-ledger")
def general_ledger(
    context: typer.Context,
    first: From = None,
    last: To = None,
    detail: Detail = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show the statements of all accounts. Ordered by code."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    start, end = _period(first, last)
    with home_of(context).store.read() as session:
        movements = ledger.movements(session, until=end)
        statements = reports.general_ledger(movements, start, end, detail)
    view = {
        "from": start,
        "to": end,
        "accounts": [reports.json_view(statement) for statement in statements],
    }
    sheet = reports.STATEMENT_COLUMNS, reports.statement_table(statements)
    _show(
        view,
        as_json,
        as_csv,
        sheet,
        lambda console: [
            _statement(console, account_statement) for account_statement in statements
        ],
    )
