"""`proofrail ledger`: the books as an accountant reads them, as tables, CSV or JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
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
        help="Up to this time: a day (its end, UTC) or an instant such as 2026-09-30T12:00:00Z."
    ),
]
From = Annotated[str | None, typer.Option("--from", help="From this day or instant on.")]
To = Annotated[
    str | None, typer.Option("--to", "--as-of", help="Up to this day or instant, inclusive.")
]
Detail = Annotated[bool, typer.Option("--detail", help="Each account of a sub-ledger by itself.")]


def moment(text: str | None, end_of_day: bool) -> int | None:
    """Unix seconds of a day (its first or last second, UTC) or of an instant with its zone."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is not None and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        start = int(found.replace(tzinfo=UTC).timestamp())
        return start + _DAY_S - 1 if end_of_day else start
    if found is None or found.tzinfo is None:
        raise Halt(
            f"{text!r} is no day such as 2026-09-30, and no instant with its zone such as "
            "2026-09-30T12:00:00Z."
        )
    return int(found.timestamp())


def _period(first: str | None, last: str | None) -> tuple[int | None, int | None]:
    start, end = moment(first, False), moment(last, True)
    if start is not None and end is not None and end < start:
        raise Halt(f"--to {last} is before --from {first}.")
    return start, end


def _show(
    data: Any,
    as_json: bool,
    as_csv: bool,
    sheet: tuple[Sequence[str], Iterable[Sequence[Any]]],
    render: Callable[[Any], None],
) -> None:
    """One answer in the form asked for; sheet: the CSV's columns and rows."""
    from orchestrator.core.reports import csv_text

    if as_json and as_csv:
        raise Halt("Ask for --json or for --csv, not for both.")
    if as_csv:
        typer.echo(csv_text(*sheet), nl=False)
    else:
        output.show(data, as_json, render)


@app.command("chart")
def chart(as_json: Json = False, as_csv: Csv = False) -> None:
    """Show the chart of accounts: codes, names, kinds, and what each account holds."""
    from orchestrator.core import reports

    columns, rows = reports.CHART_COLUMNS, reports.chart_table()
    told = [dict(zip(columns, row, strict=True)) for row in rows]
    _show(
        told,
        as_json,
        as_csv,
        (columns, rows),
        lambda console: console.print(table("chart of accounts", columns, rows)),
    )


@app.command("balances")
def balances(
    context: typer.Context, as_of: AsOf = None, as_json: Json = False, as_csv: Csv = False
) -> None:
    """Show the balance of each account; debits are positive, and each asset sums to zero."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    with home.of(context).store.read() as session:
        found = ledger.balances(session, moment(as_of, True))
    told = [
        {"account": account, "amount": str(amount), "asset": asset}
        for (account, asset), amount in found.items()
    ]
    rows = [(item["account"], output.money(item)) for item in told]
    sheet = reports.BALANCE_COLUMNS, reports.balance_table(found)
    _show(
        told,
        as_json,
        as_csv,
        sheet,
        lambda console: console.print(
            table(_until("balances", as_of), ("account", ">balance"), rows)
        ),
    )


def _until(title: str, as_of: str | None) -> str:
    return f"{title} as of {as_of}" if as_of else title


@app.command("trial-balance")
def trial_balance(
    context: typer.Context,
    as_of: AsOf = None,
    pending: Annotated[
        bool,
        typer.Option(
            "--pending", help="Also what entries of blocks that are not final yet would add."
        ),
    ] = False,
    detail: Detail = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show debits and credits of every account; exit code 1 if they are not equal."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    until = moment(as_of, True)
    with home.of(context).store.read() as session:
        found = ledger.balances(session, until)
        open_ones = ledger.pending_balances(session, until) if pending else {}
    rows = reports.trial_balance(found, open_ones, detail)
    sums = reports.totals(rows)
    balanced = all(debit == credit and not rest for debit, credit, rest in sums.values())
    told = {
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
        told,
        as_json,
        as_csv,
        sheet,
        lambda console: _trial(console, _until("trial balance", as_of), rows, sums, pending),
    )
    if not balanced:
        output.complain(
            "Debits and credits are not equal: the journal was changed by hand. Run "
            "`proofrail rebuild`, which says where.",
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
    from orchestrator.core.chart import decimal_text

    return decimal_text(minor, asset) if minor or always else ""


@app.command("statement")
def statement(
    context: typer.Context,
    account: Annotated[
        str,
        typer.Argument(
            help="An account, a code of the chart, or a sub-ledger such as escrow (all of it)."
        ),
    ],
    first: From = None,
    last: To = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show an account's movements with the balance after each: opening + movements = closing."""
    from orchestrator.core import reports
    from orchestrator.core.chart import find
    from orchestrator.edges.store import ledger

    start, end = _period(first, last)
    row = find(account.lower())
    name = row.pattern if row else account.lower()
    with home.of(context).store.read() as session:
        if row is None:
            row = _row_of(ledger.balances(session), name)
            moved = list(ledger.movements(session, account=name, until=end))
        else:
            moved = list(ledger.movements(session, row=row, until=end))
    found = reports.statement(row, name, moved, start, end)
    told = {"from": start, "to": end, **reports.json_view(found)}
    sheet = reports.STATEMENT_COLUMNS, reports.statement_table([found])
    _show(told, as_json, as_csv, sheet, lambda console: _statement(console, found))


def _row_of(known: Iterable[tuple[str, str]], name: str) -> Any:
    from orchestrator.core.chart import row_of

    for account, asset in known:
        if account == name:
            return row_of(account, asset)
    raise Halt(
        f"Nothing was ever posted to an account {name!r}. `proofrail ledger balances` lists "
        "the accounts, `proofrail ledger chart` what they are."
    )


def _statement(console: Any, found: Any) -> None:
    sub_ledger = found.account.endswith(":*")
    lines = [("", "", "opening", "", "", "", _amount(found.opening_minor, found.asset, True))]
    lines += [
        (
            line.number,
            when(line.at),
            line.kind,
            short(line.account if sub_ledger else line.ref, 24),
            _amount(line.debit_minor, found.asset),
            _amount(line.credit_minor, found.asset),
            _amount(line.balance_minor, found.asset, True),
        )
        for line in found.lines
    ]
    lines.append(("", "", "closing", "", "", "", _amount(found.closing_minor, found.asset, True)))
    about = "account" if sub_ledger else "reference"
    columns = (">entry", "at (UTC)", "kind", about, ">debit", ">credit", ">balance")
    title = f"{found.code} {found.name}, {found.account}, {found.asset.split('/')[0]}"
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
    """Show every account's statement, by code: all that the journal holds, account by account."""
    from orchestrator.core import reports
    from orchestrator.edges.store import ledger

    start, end = _period(first, last)
    with home.of(context).store.read() as session:
        moved = ledger.movements(session, until=end)
        found = reports.general_ledger(moved, start, end, detail)
    told = {"from": start, "to": end, "accounts": [reports.json_view(one) for one in found]}
    sheet = reports.STATEMENT_COLUMNS, reports.statement_table(found)
    _show(told, as_json, as_csv, sheet, lambda console: [_statement(console, f) for f in found])
