"""`proofrail ledger check`: whether the journal is still what was written, and in balance."""

from __future__ import annotations

from typing import Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain


def check(context: typer.Context, as_json: Json = False) -> None:
    """Recompute the hash chain of the journal and the trial balance. Exit code 1 if one breaks."""
    from orchestrator.edges.store import books

    with home.of(context).store.read() as session:
        broken = books.first_broken_link(session)
        entries = books.count(session)
        sums: dict[str, int] = {}
        for (_, asset), amount in books.balances(session).items():
            sums[asset] = sums.get(asset, 0) + amount
    told = {
        "ok": broken is None and not any(sums.values()), "entries": entries,
        "first_broken_entry": broken, "sums": {asset: str(total) for asset, total in sums.items()},
    }  # fmt: skip
    output.show(told, as_json, lambda console: _checked(console, told))
    raise typer.Exit(0 if told["ok"] else output.NO)


def _checked(console: Any, told: dict[str, Any]) -> None:
    broken = told["first_broken_entry"]
    if broken is None:
        console.print(f"the hash chain of {told['entries']} entries holds")
    else:
        console.print(plain(f"entry {broken} does not follow from the one before it: the journal "
                            "was changed from there on. Keep the store as it is, and compare it "
                            "with the newest copy you have.", "red"))  # fmt: skip
    for asset, total in told["sums"].items():
        state = "debits equal credits" if total == "0" else f"debits less credits: {total}"
        console.print(plain(f"{asset}: {state}", "" if total == "0" else "red"))
