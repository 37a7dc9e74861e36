"""`proofrail ledger check`: checks that the journal is unchanged and in balance."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Retry

if TYPE_CHECKING:
    from orchestrator.core.anchors import Compared
    from orchestrator.views.journal_check import JournalCheck

_KEEP = "Do not change the store; compare it with your newest backup."


def check(
    context: typer.Context,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use no node; skip the anchors on chain.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check the journal. Covers its hash chain, its balance and its anchors on chain.

    Exit code 1 if one of the checks fails.
    """
    from orchestrator.views.journal_check import check_journal

    home = home_of(context)
    result = check_journal(home.store)
    if offline:
        result = replace(result, not_compared="--offline was given")
    else:
        try:
            result = replace(result, anchors=_anchors(home))
        except Retry as failure:  # the offline checks are shown anyway
            result = replace(result, not_compared=str(failure))
    output.show(_check_view(result), as_json, lambda console: _print_check(console, result))
    raise typer.Exit(0 if result.ok else output.NO)


def _anchors(home: Home) -> Compared:
    url = home.rpc_url
    if url is None:
        raise Retry("no node is configured; start the rail or set PROOFRAIL_RPC_URL")
    from orchestrator.edges.chain import keystore
    from orchestrator.views.journal_check import check_anchors

    chain = home.chain_unchecked(url)
    chain.check_identity()
    sender = keystore.address(home.settings.keys, "sender")
    return check_anchors(home.store, chain, {sender} if sender else set())


def _check_view(result: JournalCheck) -> dict[str, Any]:
    view = {
        "ok": result.ok,
        "entries": result.entries,
        "first_broken_entry": result.broken,
        "stray_postings": result.stray,
        "sums": {asset: str(total) for asset, total in result.sums.items()},
        "anchors": None,
        "anchors_not_compared": result.not_compared or None,
    }
    if result.anchors is not None:
        anchors = result.anchors
        view["anchors"] = {
            "verdict": anchors.verdict.value,
            "compared": anchors.anchors,
            "entry": anchors.entry,
            "same_to": anchors.same_to,
            "journal_ends_at": anchors.ends_at,
            "said_by": anchors.tx_hash or None,
        }
    return view


def _print_check(console: Any, result: JournalCheck) -> None:
    if result.broken is None:
        console.print(f"the hash chain of {result.entries} entries is valid")
    else:
        console.print(
            plain(
                f"entry {result.broken} does not match the hash of the entry before it: the "
                f"journal was changed from there on. {_KEEP}",
                "red",
            )
        )
    if result.stray:
        console.print(
            plain(
                f"{result.stray} postings belong to no entry: they were added outside "
                f"proofrail. {_KEEP}",
                "red",
            )
        )
    for asset, total in result.sums.items():
        state = (
            f"debits minus credits: {output.decimal(total, asset)}"
            if total
            else "debits equal credits"
        )
        console.print(plain(f"{asset}: {state}", "red" if total else ""))
    if result.anchors is None:
        console.print(
            plain(
                f"anchors on chain were not compared ({result.not_compared}): a journal that was "
                "rewritten as a whole, or cut at its end, would not be detected.",
                "yellow",
            )
        )
    else:
        _print_anchors(console, result.anchors)


def _print_anchors(console: Any, result: Compared) -> None:
    from orchestrator.core.anchors import AnchorVerdict

    anchor = f"anchor in {result.tx_hash}"
    since = f"after entry {result.same_to}, which is unchanged"
    sentence = {
        AnchorVerdict.HOLDS: f"{result.anchors} anchors on chain match, the newest at entry "
        f"{result.same_to} of {result.ends_at}",
        AnchorVerdict.RECHAINED: f"rewritten: the {anchor} has another hash for entry "
        f"{result.entry}. The journal was changed {since}. {_KEEP}",
        AnchorVerdict.CUT: f"cut: the {anchor} covers {result.entry} entries, but the journal "
        f"ends at entry {result.ends_at}. {_KEEP}",
    }[result.verdict]
    console.print(plain(sentence, "" if result.verdict is AnchorVerdict.HOLDS else "red"))
