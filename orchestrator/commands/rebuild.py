"""`proofrail rebuild`: recomputes the books from raw material, and compares them byte for byte."""

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

_SHOWN = 20  # differences that a person is shown; JSON has all


def register(root: typer.Typer) -> None:
    root.command("rebuild")(rebuild)


def rebuild(
    context: typer.Context,
    rpc_url: Annotated[
        str | None, typer.Option(help="The node to read; default: the rail's.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Keep both sides here, as stored.jsonl and rebuilt.jsonl."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute every balance from evidence, blocks and bank files; exit code 1 if the database
    says anything else. Nothing is written to it."""
    from orchestrator.rebuild import rebuild as recompute

    home = home_of(context)
    store = home.store  # first of all: without one there is nothing to rebuild
    url = rpc_url or home.rpc_url
    if url is None:
        raise Halt("No node is known. Start the rail, or name its node with --rpc-url.")
    chain = home.chain_unchecked(url)
    try:
        with _progress() as progress:
            chain.check_identity()
            result = recompute(store, chain, progress)
    except Retry as delay:
        raise Halt(
            f"The blocks cannot be read anew: {delay}. Nothing can be said of the books "
            "without them; name another node with --rpc-url."
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
    console.print(plain(f"read anew, up to block {result.final}: {read}"))
    for side in ("stored", "rebuilt"):
        console.print(plain(f"{side:8} {view[f'{side}_sha256']}"))
    if result.same:
        console.print(f"same bytes: {len(result.stored)} entries and balances")
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
            + f"{len(result.differences)} differences. Keep the database as it is; find out who "
            "changed it, and compare it with the newest copy you have."
        ),
        soft_wrap=True,
    )


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on stderr where a person watches; silence otherwise."""
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
