"""`proofrail audit`: writes a payment's proof into one file, and checks such a file offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

app = typer.Typer(
    name="audit",
    help="Export a payment's proof, or verify one offline.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_MAX_BYTES = 64 * 1024 * 1024


@app.command()
def export(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Anything of one payment.")],
    target: Annotated[Path, typer.Option("--output", "-o", help="The bundle's file.")],
    as_json: Json = False,
) -> None:
    """Write the bundle of a payment, as far as the payment has come; no service is asked."""
    from orchestrator.core.audit import verify as check
    from orchestrator.products import products
    from orchestrator.views.audit_bundle import export as gather

    here = home.of(context)
    with here.store.read() as session:
        payment = _one_payment(session, identity)
        found = gather(session, payment, here.deployment)
    text = json.dumps(found.bundle, indent=1)
    try:
        target.write_text(text)
    except OSError as error:
        raise Halt(
            f"{target} cannot be written ({error.strerror}). Choose another file."
        ) from error
    report = check(found.bundle, products())
    told = {
        "payment": payment,
        "file": str(target),
        "bytes": len(text),
        "missing": found.missing,
        "verified": report.ok,
        "complete": report.complete,
    }
    if report.failed is not None:
        told["failed"] = {"stage": report.failed.stage, "detail": report.failed.detail}
    output.show(told, as_json, lambda console: _exported(console, told))
    raise typer.Exit(0 if report.ok else output.NO)


def _one_payment(session: Any, identity: str) -> str:
    from device_adapters.types import Rejected
    from orchestrator.views.trace import TraceReason, trace

    told = trace(session, identity)
    count = told["totals"]["payments"]
    if count == 0:
        what = f"no payment holds {told['kind']} {told['id']} yet; `proofrail trace` shows why"
        raise Rejected(TraceReason.NOT_FOUND, what)
    if count > 1:
        what = (
            f"{told['kind']} {told['id']} leads to {count} payments; `proofrail trace` lists "
            "them, take the id of one"
        )
        raise Rejected(TraceReason.AMBIGUOUS, what)
    return told["payments"][0]["payment_id"]


def _exported(console: Any, told: dict[str, Any]) -> None:
    console.print(plain(f"payment {told['payment']}"))
    console.print(plain(f"written to {told['file']} ({told['bytes']} bytes)"))
    for part in told["missing"]:
        console.print(plain(f"not in it: {part}", "yellow"))
    if told["verified"]:
        console.print(plain(f"next: proofrail audit verify {told['file']}"))
    else:
        failed = told["failed"]
        console.print(
            plain(f"Warning: it does not verify at {failed['stage']}: {failed['detail']}", "red")
        )


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="A bundle.")],
    anchor: Annotated[
        list[str] | None,
        typer.Option(help="Hash of a block you know to be canonical, for each of the bundle's."),
    ] = None,
    bank_file: Annotated[
        list[str] | None, typer.Option(help="SHA-256 of a bank file you hold, for each.")
    ] = None,
    rail: Annotated[str | None, typer.Option(help="The PaymentRail you expect.")] = None,
    as_json: Json = False,
) -> None:
    """Check every step from the bundle alone: no database, no chain, no service of ours.

    Exit code 0: everything in it holds. 1: something does not, and it is named. 2: no bundle.
    """
    from orchestrator.core.audit import Anchors
    from orchestrator.core.audit import verify as check
    from orchestrator.products import products

    anchors = Anchors(blocks=frozenset(anchor or ()), files=frozenset(bank_file or ()), rail=rail)
    report = check(_read(file), products(), anchors)
    told = {
        "file": str(file),
        "ok": report.ok,
        "complete": report.complete,
        "steps": [{"stage": s.stage, "ok": s.ok, "detail": s.detail} for s in report.steps],
        "failed": report.failed and {"stage": report.failed.stage, "detail": report.failed.detail},
        "trust": report.trust,
    }
    output.show(told, as_json, lambda console: _checklist(console, told))
    raise typer.Exit(0 if report.ok else output.NO)


def _read(file: Path) -> Any:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise Halt(f"{file} is larger than any bundle ({_MAX_BYTES} bytes). Check the file.")
        return json.loads(file.read_bytes())
    except OSError as error:
        raise Halt(f"{file} cannot be read ({error.strerror}). Check its name.") from error
    except (ValueError, RecursionError) as error:
        raise Halt(f"{file} is not a bundle: it is not JSON ({error}). Export it again.") from error


def _checklist(console: Any, told: dict[str, Any]) -> None:
    for step in told["steps"]:
        mark = plain("holds ", "green") if step["ok"] else plain("FAILS ", "red")
        console.print(mark + plain(f"{step['stage']:<12} {step['detail']}"), soft_wrap=True)
    if told["failed"]:
        failed = told["failed"]
        console.print(plain(f"It does not hold: {failed['stage']}: {failed['detail']}", "bold red"))
        return
    reach = "up to the line of the bank statement" if told["complete"] else "as far as it goes"
    console.print(plain(f"Everything holds, {reach}.", "bold green"))
    trust = told["trust"]
    console.print("It rests on these, which no bundle can prove by itself:")
    for name in ("chain_id", "rail", "registry", "committee", "token", "product"):
        console.print(plain(f"  {name:<10} {trust[name]}"))
    known = "known to you" if trust["blocks_anchored"] else "compare with a node, or use --anchor"
    for number, block in trust["blocks"].items():
        console.print(plain(f"  block {number:<6} {block} ({known})"), soft_wrap=True)
