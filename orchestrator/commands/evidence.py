"""`proofrail evidence`: checks any vendor's records offline, and replays files into the rail."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain, table

app = typer.Typer(
    name="evidence",
    help="Check records, or hand a file of them to the rail.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SHOWN = 50  # records told in full; --json has them all
_VERDICTS = ("genuine", "billable", "settleable")
_FIELDS = (
    ("device", "device"),
    ("counter", "counter"),
    ("pagination", "pagination"),
    ("evidence_sha256", "evidence"),
    ("transaction_id", "transaction"),
    ("context", "context"),
    ("subject", "subject"),
)


@app.command()
def check(
    file: Annotated[str, typer.Argument(help="Any known protocol; - reads standard input.")],
    key: Annotated[
        str | None, typer.Option(help="The device's public key: PEM, hex or base64, or its file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say of each record whether it is genuine, billable and settleable, and why not.

    Exit code 0: all are genuine. 1: one is not, or no key is known. 2: the file cannot be read.
    """
    from device_adapters.evidence import check_file

    source = sys.stdin.buffer.read() if file == "-" else Path(file)
    report = check_file(source, home.text_or_file(key) if key else None)
    report.file = file
    told = report.as_json()
    output.show(told, as_json, lambda console: _render(console, told, report.records))
    raise typer.Exit(told["exit_code"])


def _render(console: Any, told: dict[str, Any], records: list[Any]) -> None:
    for record, found in zip(told["records"][:_SHOWN], records, strict=False):
        console.print(_record(record))
        for title, columns, rows in found.tables():
            console.print(table(title, columns, rows))
    hidden = len(told["records"]) - _SHOWN
    if hidden > 0:
        console.print(f"... and {hidden} more records; --json shows all of them")
    for transaction in told["transactions"]:
        _transaction(console, transaction)
    if told["error"]:
        error = told["error"]
        console.print(
            plain(
                f"{told['file']} cannot be read: {error['detail']} ({error['code']}). "
                "Hand over the file as the vendor's software wrote it."
            )
        )
        return
    summary = told["summary"]
    console.print(
        f"{summary['records']} records: {summary['genuine']} genuine, "
        f"{summary['not_genuine']} not, {summary['billable']} billable, "
        f"{summary['settleable']} settleable"
    )


def _record(record: dict[str, Any]) -> Any:
    rows = [(name, record[field]) for field, name in _FIELDS if record.get(field) is not None]
    rows += [
        (name, value)
        for name, value in record.get("fields", {}).items()
        if isinstance(value, str | int | bool)
    ]
    if record["key"]:
        key = record["key"]
        rows.append(("key", f"{key['source']}: {key['curve']}, SHA-256 {key['fingerprint']}"))
    if record.get("signature"):
        rows.append(("signature", ", ".join(f"{k} {v}" for k, v in record["signature"].items())))
    for verdict in _VERDICTS:
        rows.append((verdict, _verdict(record[verdict], record[f"{verdict}_reasons"])))
    rows += [("warning", f"{item['code']}: {item['detail']}") for item in record["warnings"]]
    return table(f"record {record['index'] + 1}", ("field", "value"), rows)


def _verdict(holds: bool, reasons: list[dict[str, str]]) -> Any:
    if holds:
        return plain("yes", "green")
    return plain("no: " + "; ".join(f"{r['code']} ({r['detail']})" for r in reasons), "red")


def _transaction(console: Any, told: dict[str, Any]) -> None:
    records = ", ".join(str(index + 1) for index in told["records"])
    reasons = "; ".join(f"{r['code']} ({r['detail']})" for r in told["billable_reasons"])
    verdict = "billable" if told["billable"] else f"not billable: {reasons}"
    console.print(plain(f"transaction {told['transaction_id'] or '-'} ({records}): {verdict}"))


@app.command()
def send(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Lines, or RS-framed.")],
    device: Annotated[
        str, typer.Option(help="Take only records of this device; default: any.")
    ] = "",
    protocol: Annotated[str, typer.Option(help="The file in device_adapters/protocols.")] = "ocmf",
    as_json: Json = False,
) -> None:
    """Replay a file through the one path that MQTT and HTTP take. It is safe to repeat.

    Exit code 1 if a record was neither taken nor there already.
    """
    from device_adapters.replay import replay_file
    from orchestrator.ingest.intake import Intake
    from orchestrator.products import products

    here = home.of(context)
    registry, view = _registry(here)
    if not as_json:
        output.console(errors=True).print(plain(view), soft_wrap=True)
    intake = Intake(here.store, registry, products(), time.time)
    counts: Counter[str] = Counter()
    with _progress(file.stat().st_size, as_json) as advance:
        for messages in replay_file(file, protocol, device):
            for found in intake.take(messages):
                counts.update(outcome.outcome for outcome in found)
            advance(sum(len(message.body) for message in messages))
    told = {"file": str(file), "view": view, "records": counts.total(), "outcomes": dict(counts)}
    rows = sorted(counts.items(), key=lambda item: -item[1])
    output.show(
        told,
        as_json,
        lambda console: console.print(
            table(f"{file.name}: {counts.total()} records", ("outcome", ">records"), rows)
        ),
    )
    raise typer.Exit(output.NO if set(counts) - {"accepted", "duplicate"} else 0)


def _registry(here: home.Home) -> tuple[Any, str]:
    """Devices and agreements as the chain has them; else as the store last saw them."""
    from orchestrator.edges.chain.reader import Registry
    from orchestrator.edges.chain.stored import StoredLogs
    from orchestrator.errors import Halt
    from orchestrator.products import deployed

    known = deployed(here.deployment.addresses)
    try:
        return Registry(here.chain, known), f"devices and agreements as on chain ({here.rpc_url})"
    except Halt:
        logs = StoredLogs(here.store)
        told = "devices and agreements as the store last saw them (block {}): no node answers"
        return Registry(logs, known), told.format(logs.head())


@contextmanager
def _progress(total: int, silent: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for people at a terminal; nothing otherwise."""
    if silent or not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich.progress import Progress

    with Progress(console=output.console(errors=True), transient=True) as bar:
        task = bar.add_task("bytes", total=total)
        yield lambda size: bar.advance(task, size)
