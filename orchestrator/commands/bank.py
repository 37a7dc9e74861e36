"""`proofrail bank`: shows a bank file line by line, with every part that cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.output import Json, plain, table
from orchestrator.errors import Halt

app = typer.Typer(name="bank", help="Bank files.", no_args_is_help=True, rich_markup_mode=None)
_SHOWN = 100  # lines and problems shown in tables; --json has all


@app.callback()
def bank() -> None:
    """Bank files."""


@app.command()
def parse(
    file: Annotated[
        str,
        typer.Argument(
            help="camt.052, 053, 054 or pain.002 in any version, MT940, MT942, or a ZIP of these; "
            "- reads standard input."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Show a bank file. Prints account, balances, lines and each problem.

    Nothing is stored or booked. Exit code 0: no problems. 1: some of the file cannot be read or
    its sums do not match; each problem is listed. 2: not a bank file.
    """
    from orchestrator.edges.bank.reading import read

    reading = read(_bytes_of(file))
    view: dict[str, Any] = reading.as_json()
    if not reading.kind:
        why = "; ".join(f"{problem.sentence()} ({problem.reason})" for problem in reading.problems)
        view["error"] = {
            "code": str(reading.problems[0].reason),
            "message": (
                f"{file} is not a known bank file: {why}. Use the file as the bank sent it: camt, "
                "pain.002 or MT940."
            ),
        }
        if not as_json:
            raise Halt(view["error"]["message"])
    output.show(view, as_json, lambda console: _render(console, view))
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
        raise Halt(f"{file} cannot be opened: {why}. Give a file that you may read.") from None


def _render(console: Any, view: dict[str, Any]) -> None:
    for statement in view["statements"]:
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
    for report in view.get("status_reports", ()):
        rows = [
            (s["end_to_end_id"] or s["instruction_id"] or s["uetr"], s["code"], s["reason"])
            for s in report["statuses"]
        ]
        title = (
            f"{view['kind']} about {report['original_message_id']}: {report['code'] or '-'} "
            f"{report['reason'] or ''}"
        )
        console.print(table(title, ("EndToEndId, InstrId or UETR", "status", "reason"), rows))
    for name, problems in (("problems", view["problems"]), ("notes", view["notes"])):
        if problems:
            rows = [
                (p["line"] or "-", p["path"], p["reason"], p["detail"]) for p in problems[:_SHOWN]
            ]
            console.print(table(name, (">line", "path", "reason", "detail"), rows))
            _print_hidden_count(console, len(problems))


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
    _print_hidden_count(console, len(lines))


def _print_hidden_count(console: Any, count: int) -> None:
    if count > _SHOWN:
        console.print(f"... and {count - _SHOWN} more; --json shows all of them")


def _amount(amount: dict[str, Any]) -> str:
    from orchestrator.edges.bank.money import amount_text

    return amount_text(amount["amount_minor"], amount["currency"])
