"""`proofrail ledger check`: whether the journal is still what was written, and in balance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Retry

if TYPE_CHECKING:
    from orchestrator.core.anchors import Compared
    from orchestrator.views.journal_check import JournalCheck

_KEEP = "Keep the store as it is, and compare it with the newest copy you have."


def check(
    context: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no node: compare no anchors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Recompute the journal's hash chain and trial balance, and hold it against the anchors that
    its rail left on chain. Exit code 1 if one of them breaks."""
    from orchestrator.views.journal_check import check_journal

    here = home.of(context)
    found = check_journal(here.store)
    if offline:
        found = replace(found, silence="--offline was asked for")
    else:
        try:
            found = replace(found, anchors=_anchors(here))
        except Retry as silence:  # what the store says of itself is told all the same
            found = replace(found, silence=str(silence))
    output.show(_told(found), as_json, lambda console: _checked(console, found))
    raise typer.Exit(0 if found.ok else output.NO)


def _anchors(here: home.Home) -> Compared:
    url = here.rpc_url
    if url is None:
        raise Retry("no node is known; start the rail or set PROOFRAIL_RPC_URL")
    from orchestrator.edges.chain import keystore
    from orchestrator.views.journal_check import check_anchors

    chain = here.chain_unchecked(url)
    chain.check_identity()
    own = keystore.address(here.settings.keys, "sender")
    return check_anchors(here.store, chain, {own} if own else set())


def _told(found: JournalCheck) -> dict[str, Any]:
    told = {
        "ok": found.ok,
        "entries": found.entries,
        "first_broken_entry": found.broken,
        "stray_postings": found.stray,
        "sums": {asset: str(total) for asset, total in found.sums.items()},
        "anchors": None,
        "anchors_not_compared": found.silence or None,
    }
    if found.anchors is not None:
        at = found.anchors
        told["anchors"] = {
            "verdict": at.verdict.value,
            "compared": at.anchors,
            "entry": at.entry,
            "same_to": at.same_to,
            "journal_ends_at": at.ends_at,
            "said_by": at.tx_hash or None,
        }
    return told


def _checked(console: Any, found: JournalCheck) -> None:
    if found.broken is None:
        console.print(f"the hash chain of {found.entries} entries holds")
    else:
        console.print(
            plain(
                f"entry {found.broken} does not follow from the one before it: the "
                f"journal was changed from there on. {_KEEP}",
                "red",
            )
        )
    if found.stray:
        console.print(
            plain(
                f"{found.stray} postings belong to no entry: somebody added them to "
                f"the balances. {_KEEP}",
                "red",
            )
        )
    for asset, total in found.sums.items():
        state = f"debits less credits: {total}" if total else "debits equal credits"
        console.print(plain(f"{asset}: {state}", "red" if total else ""))
    if found.anchors is None:
        console.print(
            plain(
                f"anchors on chain were not compared ({found.silence}): a journal that "
                "was chained anew as a whole, or cut at its end, would not be seen.",
                "yellow",
            )
        )
    else:
        _compared(console, found.anchors)


def _compared(console: Any, found: Compared) -> None:
    from orchestrator.core.anchors import AnchorVerdict

    said = f"anchor in {found.tx_hash}"
    since = f"after entry {found.same_to}, which is as it was"
    told = {
        AnchorVerdict.HOLDS: f"{found.anchors} anchors on chain hold, the newest at entry "
        f"{found.same_to} of {found.ends_at}",
        AnchorVerdict.RECHAINED: f"re-chained: by the {said}, entry {found.entry} had another "
        f"hash. The journal was changed {since}. {_KEEP}",
        AnchorVerdict.CUT: f"cut: the {said} says {found.entry} entries, and the journal ends at "
        f"entry {found.ends_at}. {_KEEP}",
    }[found.verdict]
    console.print(plain(told, "" if found.verdict is AnchorVerdict.HOLDS else "red"))
