"""`proofrail rebuild`: recomputes the ledger from its sources and compares it with the database."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, short
from orchestrator.errors import Halt, Retry

_SHOWN = 20  # differences shown as text; --json has all


def rebuild(
    context: typer.Context,
    rpc_url: Annotated[
        str | None, typer.Option(help="The node to read. Default: the rail's node.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write both sides to this folder: stored.jsonl, rebuilt.jsonl."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute and compare every balance. Sources are evidence, blocks and bank files.

    The database is not changed. Exit code 1 if it differs.
    """
    from orchestrator.rebuild import rebuild as recompute

    home = home_of(context)
    store = home.store  # opened first: without a store there is nothing to rebuild
    url = rpc_url or home.rpc_url
    if url is None:
        raise Halt("No node is configured. Start the rail, or give its node with --rpc-url.")
    chain = home.chain_unchecked(url)
    try:
        with _progress() as progress:
            chain.check_identity()
            result = recompute(store, chain, progress)
    except Retry as delay:
        raise Halt(
            f"The blocks cannot be read: {delay}. Without them nothing can be recomputed. Give "
            "another node with --rpc-url."
        ) from delay
    if folder is not None:
        _write_sides(folder, result)
    stored, rebuilt = result.hashes
    view = {
        "same": result.same,
        "final_block": result.final,
        "read": result.read,
        "stored_sha256": stored,
        "rebuilt_sha256": rebuilt,
        "first_difference": _first_difference(result),
        "differences": [
            {
                "place": d.place,
                "name": d.name,
                "what": d.what,
                "stored": d.stored,
                "rebuilt": d.rebuilt,
            }
            for d in result.differences
        ],
    }
    output.show(view, as_json, lambda console: _print_result(console, result, view))
    raise typer.Exit(0 if result.same else output.NO)


def _first_difference(result: Any) -> dict[str, Any] | None:
    if result.first is None:
        return None
    return dict(zip(("line", "stored", "rebuilt"), result.first, strict=True))


def _write_sides(folder: Path, result: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("stored", result.stored), ("rebuilt", result.rebuilt)):
        (folder / f"{name}.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())


def _print_result(console: Any, result: Any, view: dict[str, Any]) -> None:
    read = ", ".join(f"{number} {what}" for what, number in result.read.items())
    console.print(plain(f"read up to block {result.final}: {read}"))
    for side in ("stored", "rebuilt"):
        console.print(plain(f"{side:8} {view[f'{side}_sha256']}"))
    if result.same:
        console.print(f"both sides are equal: {len(result.stored)} entries and balances")
        return
    for difference in result.differences[:_SHOWN]:
        console.print(
            plain(f"{difference.place} {difference.name}: {difference.what}", "red"), soft_wrap=True
        )
        for side in ("stored", "rebuilt") if difference.stored or difference.rebuilt else ():
            text = short(getattr(difference, side), 300)
            console.print(plain(f"    {side:8} {text}"), soft_wrap=True)
    more = len(result.differences) - _SHOWN
    console.print(
        plain(
            (f"and {more} more (--json has all). " if more > 0 else "")
            + f"{len(result.differences)} differences. Do not change the database; find out "
            "who changed it, and compare it with your newest backup."
        ),
        soft_wrap=True,
    )


@contextmanager
def _progress() -> Iterator[Any]:
    """Show progress bars on stderr at a terminal; otherwise nothing."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.progress import Progress

    with Progress(console=output.console(errors=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show
