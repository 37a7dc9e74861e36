"""`proofrail evidence`: checks any vendor's records offline, and replays files into the rail."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of, text_or_file
from orchestrator.commands.output import Json, plain, table

app = typer.Typer(
    name="evidence",
    help="Check records, or send a file of them to the rail.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_SHOWN = 50  # records shown in full; --json has all
_VERDICTS = ("genuine", "billable", "settleable")
_FIELDS = (
    ("device", "device"),
    ("counter", "counter"),
    ("pagination", "pagination"),
    ("evidence_sha256", "evidence"),
    ("transaction_id", "transaction"),
    ("context", "context"),
    ("subject", "subject"),
    ("register", "billed by register"),
    ("form", "envelope"),
    ("assurance", "assurance as claimed"),
    ("iss", "signed by"),
    ("sub", "about"),
    ("inner_protocol", "content"),
)


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(help="A file in any supported protocol; - reads standard input.")
    ],
    key: Annotated[
        str | None, typer.Option(help="The device's public key: PEM, hex or base64, or its file.")
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Name of the file's protocol; default: the one that recognises it.")
    ] = "",
    export: Annotated[
        bool, typer.Option("--export", help="Bill energy fed into the grid, not consumption.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check each record of a file. Is it genuine, billable, settleable, and why not?

    Exit code 0: all are genuine, or readable where the protocol has no signatures. 1: one is not,
    or its key is missing, or a session lacks its begin or end. 2: the file is unreadable, or of
    several protocols.
    """
    from device_adapters.evidence import check_file
    from device_adapters.registers import Direction

    source = sys.stdin.buffer.read() if file == "-" else Path(file)
    direction = Direction.EXPORT if export else Direction.IMPORT
    report = check_file(source, text_or_file(key) if key else None, protocol, direction)
    report.file = file
    view = report.as_json()
    output.show(view, as_json, lambda console: _render(console, view, report.records))
    raise typer.Exit(view["exit_code"])


def _render(console: Any, view: dict[str, Any], records: list[Any]) -> None:
    for record, reading in zip(view["records"][:_SHOWN], records, strict=False):
        console.print(_record(record))
        for title, columns, rows in reading.tables():
            console.print(table(title, columns, rows))
    hidden = len(view["records"]) - _SHOWN
    if hidden > 0:
        console.print(f"... and {hidden} more records; --json shows all of them")
    for transaction in view["transactions"]:
        _transaction(console, transaction)
    if view["error"]:
        error = view["error"]
        advice = "" if view["candidates"] else " Use the file as the vendor's software wrote it."
        problem = f"{view['file']} cannot be read: {error['detail']} ({error['code']}).{advice}"
        console.print(plain(problem))
        return
    summary = view["summary"]
    if summary["unsigned"]:
        console.print(f"{summary['unsigned']} of {view['protocol']}, which has no signatures")
        return
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


def _verdict(holds: bool | None, reasons: list[dict[str, str]]) -> Any:
    if holds is None:
        return plain("not known: there is no signature", "yellow")
    if holds:
        return plain("yes", "green")
    return plain("no: " + "; ".join(f"{r['code']} ({r['detail']})" for r in reasons), "red")


def _transaction(console: Any, transaction: dict[str, Any]) -> None:
    records = ", ".join(str(index + 1) for index in transaction["records"])
    reasons = "; ".join(f"{r['code']} ({r['detail']})" for r in transaction["billable_reasons"])
    verdict = "billable" if transaction["billable"] else f"not billable: {reasons}"
    if transaction.get("energy") is not None:  # mWh
        energy = Decimal(transaction["energy"]) / 1_000_000
        verdict += f", {energy:f} kWh by register {transaction['register']}"
    console.print(
        plain(f"transaction {transaction['transaction_id'] or '-'} ({records}): {verdict}")
    )


@app.command()
def send(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="Records, one per line or RS-framed."),
    ],
    device: Annotated[
        str, typer.Option(help="Send only records of this device; default: all.")
    ] = "",
    protocol: Annotated[
        str, typer.Option(help="Name of the protocol, as in device_adapters/protocols.")
    ] = "ocmf",
    as_json: Json = False,
) -> None:
    """Send a file to the rail. It takes the same intake as MQTT and HTTP; safe to repeat.

    Exit code 1 if a record was neither accepted nor a duplicate.
    """
    from device_adapters.replay import replay_file
    from orchestrator.ingest.intake import Intake
    from orchestrator.products import products

    home = home_of(context)
    registry, source = _registry(home)
    if not as_json:
        output.console(errors=True).print(plain(source), soft_wrap=True)
    intake = Intake(home.store, registry, products(), time.time)
    counts: Counter[str] = Counter()
    with _progress(file.stat().st_size, as_json) as advance:
        for messages in replay_file(file, protocol, device):
            for outcomes in intake.take(messages):
                counts.update(outcome.outcome for outcome in outcomes)
            advance(sum(len(message.body) for message in messages))
    view = {"file": str(file), "view": source, "records": counts.total(), "outcomes": dict(counts)}
    rows = sorted(counts.items(), key=lambda item: -item[1])
    output.show(
        view,
        as_json,
        lambda console: console.print(
            table(f"{file.name}: {counts.total()} records", ("outcome", ">records"), rows)
        ),
    )
    raise typer.Exit(output.NO if set(counts) - {"accepted", "duplicate"} else 0)


def _registry(home: Home) -> tuple[Any, str]:
    """Return the registry and its source: the chain, or the stored logs without a node."""
    from orchestrator.edges.chain.reader import Registry
    from orchestrator.edges.chain.stored import StoredLogs
    from orchestrator.errors import Halt
    from orchestrator.products import deployed

    addresses = home.deployment.addresses
    products, contracts = deployed(addresses), addresses.values()
    try:
        registry = Registry(home.chain, products, contracts=contracts)
        return registry, f"devices and agreements as on chain ({home.rpc_url})"
    except Halt:
        logs = StoredLogs(home.store)
        source = "devices and agreements as stored up to block {}, because no node answers"
        registry = Registry(logs, products, contracts=contracts)
        return registry, source.format(logs.newest().number)


@contextmanager
def _progress(total: int, silent: bool) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr at a terminal; otherwise nothing."""
    if silent or not sys.stderr.isatty():
        yield lambda size: None
        return
    from rich.progress import Progress

    with Progress(console=output.console(errors=True), transient=True) as bar:
        task = bar.add_task("bytes", total=total)
        yield lambda size: bar.advance(task, size)
