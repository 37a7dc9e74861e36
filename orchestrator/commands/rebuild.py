"""`proofrail rebuild`: recomputes the books from raw material, and compares them byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
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

    here = home.of(context)
    store = here.store  # first of all: without one there is nothing to rebuild
    url = rpc_url or here.rpc_url
    if url is None:
        raise Halt("No node is known. Start the rail, or name its node with --rpc-url.")
    chain = here.chain_unchecked(url)
    try:
        with _progress() as progress:
            chain.check_identity()
            found = recompute(store, chain, progress)
    except Retry as delay:
        raise Halt(
            f"The blocks cannot be read anew: {delay}. Nothing can be said of the books "
            "without them; name another node with --rpc-url."
        ) from delay
    if folder is not None:
        _keep(folder, found)
    stored, rebuilt = found.hashes
    told = {
        "same": found.same,
        "final_block": found.final,
        "read": found.read,
        "stored_sha256": stored,
        "rebuilt_sha256": rebuilt,
        "first_difference": _first(found),
        "differences": [
            {
                "place": d.place,
                "name": d.name,
                "what": d.what,
                "stored": d.stored,
                "rebuilt": d.rebuilt,
            }
            for d in found.differences
        ],
    }
    output.show(told, as_json, lambda console: _shown(console, found, told))
    raise typer.Exit(0 if found.same else output.NO)


def _first(found: Any) -> dict[str, Any] | None:
    if found.first is None:
        return None
    return dict(zip(("line", "stored", "rebuilt"), found.first, strict=True))


def _keep(folder: Path, found: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("stored", found.stored), ("rebuilt", found.rebuilt)):
        (folder / f"{name}.jsonl").write_bytes("".join(f"{one}\n" for one in lines).encode())


def _shown(console: Any, found: Any, told: dict[str, Any]) -> None:
    read = ", ".join(f"{number} {what}" for what, number in found.read.items())
    console.print(plain(f"read anew, up to block {found.final}: {read}"))
    for side in ("stored", "rebuilt"):
        console.print(plain(f"{side:8} {told[f'{side}_sha256']}"))
    if found.same:
        console.print(f"same bytes: {len(found.stored)} entries and balances")
        return
    for each in found.differences[:_SHOWN]:
        console.print(plain(f"{each.place} {each.name}: {each.what}", "red"), soft_wrap=True)
        for side in ("stored", "rebuilt") if each.stored or each.rebuilt else ():
            text = short(getattr(each, side), 300)
            console.print(plain(f"    {side:8} {text}"), soft_wrap=True)
    more = len(found.differences) - _SHOWN
    console.print(
        plain(
            (f"and {more} more (--json has all). " if more > 0 else "")
            + f"{len(found.differences)} differences. Keep the database as it is; find out who "
            "changed it, and compare it with the newest copy you have."
        ),
        soft_wrap=True,
    )


@contextmanager
def _progress() -> Iterator[Any]:
    """A bar on stderr where a person watches; silence otherwise."""
    if not sys.stderr.isatty():
        yield lambda what, done, of: None
        return
    from rich.progress import Progress

    with Progress(console=output.console(errors=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done, total=of)

        yield show
