"""`proofrail audit`: writes a payment's proof to one file, and verifies such a file offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

app = typer.Typer(
    name="audit",
    help="Export the proof of a payment, or verify one offline.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_MAX_BYTES = 64 * 1024 * 1024


@app.command()
def export(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Any id of one payment.")],
    target: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")],
    as_json: Json = False,
) -> None:
    """Write the audit bundle of a payment. Uses only the database."""
    from orchestrator.core.audit import verify as check
    from orchestrator.products import products
    from orchestrator.views.audit_bundle import export as export_bundle

    home = home_of(context)
    with home.store.read() as session:
        payment = one_payment(session, identity)
        exported = export_bundle(session, payment, home.deployment)
    text = json.dumps(exported.bundle, indent=1)
    try:
        target.write_text(text)
    except OSError as error:
        raise Halt(
            f"{target} cannot be written ({error.strerror}). Choose another file."
        ) from error
    report = check(exported.bundle, products())
    view = {
        "payment": payment,
        "file": str(target),
        "bytes": len(text),
        "missing": exported.missing,
        "verified": report.ok,
        "complete": report.complete,
    }
    if report.failed is not None:
        view["failed"] = {"stage": report.failed.stage, "detail": report.failed.detail}
    output.show(view, as_json, lambda console: _exported(console, view))
    raise typer.Exit(0 if report.ok else output.NO)


def one_payment(session: Any, identity: str) -> str:
    """Return the id of the one payment that an id belongs to; raises Rejected otherwise."""
    from device_adapters.types import Rejected
    from orchestrator.views.trace import TraceReason, trace

    result = trace(session, identity)
    count = result["totals"]["payments"]
    if count == 0:
        what = f"no payment contains {result['kind']} {result['id']} yet; see `proofrail trace`"
        raise Rejected(TraceReason.NOT_FOUND, what)
    if count > 1:
        what = (
            f"{result['kind']} {result['id']} belongs to {count} payments; `proofrail trace` lists "
            "them; give the id of one"
        )
        raise Rejected(TraceReason.AMBIGUOUS, what)
    return result["payments"][0]["payment_id"]


def _exported(console: Any, view: dict[str, Any]) -> None:
    console.print(plain(f"payment {view['payment']}"))
    console.print(plain(f"written to {view['file']} ({view['bytes']} bytes)"))
    for part in view["missing"]:
        console.print(plain(f"missing: {part}", "yellow"))
    if view["verified"]:
        console.print(plain(f"next: proofrail audit verify {view['file']}"))
    else:
        failed = view["failed"]
        console.print(
            plain(f"Warning: verification fails at {failed['stage']}: {failed['detail']}", "red")
        )


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The audit bundle.")],
    anchor: Annotated[
        list[str] | None,
        typer.Option(
            help="Hash of a canonical block that you know; repeat for each block in the bundle."
        ),
    ] = None,
    bank_file: Annotated[
        list[str] | None,
        typer.Option(help="SHA-256 of a bank file that you have; repeat for each."),
    ] = None,
    rail: Annotated[
        str | None, typer.Option(help="Address of the PaymentRail that you expect.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify a bundle offline. Uses no database, chain or service.

    Exit code 0: every step is valid. 1: a step is invalid and is named. 2: not a bundle.
    """
    from orchestrator.core.audit import Anchors
    from orchestrator.core.audit import verify as check
    from orchestrator.products import products

    anchors = Anchors(blocks=frozenset(anchor or ()), files=frozenset(bank_file or ()), rail=rail)
    report = check(read_bundle(file), products(), anchors)
    view = {
        "file": str(file),
        "ok": report.ok,
        "complete": report.complete,
        "steps": [{"stage": s.stage, "ok": s.ok, "detail": s.detail} for s in report.steps],
        "failed": report.failed and {"stage": report.failed.stage, "detail": report.failed.detail},
        "trust": report.trust,
    }
    output.show(view, as_json, lambda console: _checklist(console, view))
    raise typer.Exit(0 if report.ok else output.NO)


def read_bundle(file: Path) -> Any:
    """Return the parsed JSON of a bundle file; raise Halt where it is none."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise Halt(
                f"{file} is larger than any bundle ({_MAX_BYTES} bytes). Check the file name."
            )
        return json.loads(file.read_bytes())
    except OSError as error:
        raise Halt(f"{file} cannot be read ({error.strerror}). Check the file name.") from error
    except (ValueError, RecursionError) as error:
        raise Halt(f"{file} is not a bundle: it is not JSON ({error}). Export it again.") from error


def _checklist(console: Any, view: dict[str, Any]) -> None:
    for step in view["steps"]:
        mark = plain("valid   ", "green") if step["ok"] else plain("INVALID ", "red")
        console.print(mark + plain(f"{step['stage']:<12} {step['detail']}"), soft_wrap=True)
    if view["failed"]:
        failed = view["failed"]
        console.print(plain(f"Invalid: {failed['stage']}: {failed['detail']}", "bold red"))
        return
    reach = (
        "up to the line of the bank statement" if view["complete"] else "up to its current stage"
    )
    console.print(plain(f"Every step is valid, {reach}.", "bold green"))
    trust = view["trust"]
    console.print("This relies on the following, which no bundle can prove by itself:")
    for name in ("chain_id", "rail", "registry", "committee", "token", "product"):
        console.print(plain(f"  {name:<10} {trust[name]}"))
    note = "known to you" if trust["blocks_anchored"] else "compare with a node, or use --anchor"
    for number, block in trust["blocks"].items():
        console.print(plain(f"  block {number:<6} {block} ({note})"), soft_wrap=True)
