"""`proofrail bank`: what a bank's file says, line by line, and what of it cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

app = typer.Typer(name="bank", help="Files of banks.", no_args_is_help=True, rich_markup_mode=None)
_SHOWN = 100  # lines and problems told to people; --json has them all


@app.callback()
def bank() -> None:
    """Files of banks."""


@app.command()
def parse(
    file: Annotated[
        str,
        typer.Argument(
            help="camt.052, 053, 054 or pain.002 in any version, MT940, MT942, or a ZIP of such; "
            "- reads standard input."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show account, balances and lines of a bank's file, and name what cannot be read.

    Nothing is stored or booked. Exit code 0: all of it was read and adds up. 1: some of it was
    not read, or does not add up; it is named. 2: it is not a bank file.
    """
    from orchestrator.edges.bank.reading import read

    reading = read(_bytes_of(file))
    told: dict[str, Any] = reading.as_json()
    if not reading.kind:
        why = "; ".join(f"{each.sentence()} ({each.reason})" for each in reading.problems)
        told["error"] = {
            "code": str(reading.problems[0].reason),
            "message": (
                f"{file} is not a file we know: {why}. Use the file as the bank sent it: camt, "
                "pain.002 or MT940."
            ),
        }
        if not as_json:
            raise Halt(told["error"]["message"])
    output.show(told, as_json, lambda console: _render(console, told))
    raise typer.Exit(output.CANNOT if not reading.kind else output.NO if reading.problems else 0)


def _bytes_of(file: str) -> bytes:
    from orchestrator.edges.bank.reading import MAX_FILE_BYTES

    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        with Path(file).open("rb") as opened:
            return opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        why = error.strerror or error
        raise Halt(f"{file} cannot be opened: {why}. Name a file that you may read.") from None


def _render(console: Any, told: dict[str, Any]) -> None:
    for statement in told["statements"]:
        page = statement["page"] or {}
        parts = [
            statement["kind"],
            f"account {statement['account'] or '-'}",
            f"statement {statement['id'] or '-'}",
            f"page {page['number']}" if page else "",
            statement["servicer"],
        ]
        console.print(plain(", ".join(part for part in parts if part), "bold"))
        balances = [(b["code"], b["date"] or "-", _amount(b)) for b in statement["balances"]]
        if balances:
            console.print(table("balances", ("code", "date", ">amount"), balances))
        _lines(console, statement["lines"])
    for report in told.get("status_reports", ()):
        rows = [(s["end_to_end_id"], s["code"], s["reason"]) for s in report["statuses"]]
        title = (
            f"{told['kind']} about {report['original_message_id']}: {report['code'] or '-'} "
            f"{report['reason'] or ''}"
        )
        console.print(table(title, ("EndToEndId", "status", "reason"), rows))
    for name, found in (("not read, or wrong", told["problems"]), ("noted", told["notes"])):
        if found:
            rows = [(p["line"] or "-", p["path"], p["reason"], p["detail"]) for p in found[:_SHOWN]]
            console.print(table(name, (">line", "path", "reason", "detail"), rows))
            _say_hidden(console, len(found))


def _lines(console: Any, lines: list[dict[str, Any]]) -> None:
    rows = [
        (
            line["booking_date"] or "-",
            line["value_date"] or "-",
            line["status"],
            _amount(line),
            line["references"]["end_to_end_id"] or line["references"]["batch"],
            line["references"]["reference"],
            line["counterparty"]["name"],
            line["return_reason"] or ("reversal" if line["is_reversal"] else ""),
            line["text"] or line["info"],
        )
        for line in lines[:_SHOWN]
    ]
    columns = (
        "booked",
        "value",
        "status",
        ">amount",
        "EndToEndId or batch",
        "reference",
        "counterparty",
        "return",
        "text",
    )
    console.print(table(f"{len(lines)} lines", columns, rows))
    _say_hidden(console, len(lines))


def _say_hidden(console: Any, count: int) -> None:
    if count > _SHOWN:
        console.print(f"... and {count - _SHOWN} more; --json shows all of them")


def _amount(told: dict[str, Any]) -> str:
    from orchestrator.edges.bank.money import from_minor

    minor, currency = told["amount_minor"], told["currency"]
    return f"{'-' if minor < 0 else ''}{from_minor(abs(minor), currency)} {currency}"
