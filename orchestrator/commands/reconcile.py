"""`proofrail reconcile` and `reserves`: whether devices, chain, ledger and bank agree."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.reconcile import Reconciliation
    from orchestrator.edges.store import Session
    from orchestrator.steps.breaks import Standing

Account = Annotated[
    str | None, typer.Option(help="IBAN of the safeguarding account; default: the rail's.")
]
_COUNTED = ("events", "entries")  # what is counted and is no money


def register(root: typer.Typer) -> None:
    root.command()(reconcile)
    root.command()(reserves)


def account_of(here: home.Home, account: str | None) -> str:
    """The safeguarding IBAN in its canonical form, of a rail that is there."""
    _ = here.store  # without one there is a plainer reason
    iban = account or here.town.get("safeguarding", {}).get("iban")
    if not iban:
        raise Halt("The rail's bank account is not known: rail.json names none. Give --account.")
    return "".join(iban.split()).upper()


def stood(here: home.Home, session: Session, iban: str) -> tuple[Reconciliation, list[Standing]]:
    """A reconciliation, and how each of its breaks stands at the newest block's time."""
    from orchestrator.edges.store import blocks, breaks
    from orchestrator.steps.breaks import standing
    from orchestrator.steps.reconcile import reconcile_store

    newest = blocks.newest(session)
    found = reconcile_store(session, iban)
    signed = breaks.resolutions(session)
    chain_id = here.deployment.chain_id if signed else 0  # nothing else asks for it
    return found, standing(session, chain_id, found, newest.timestamp if newest else 0)


def reconcile(context: typer.Context, account: Account = None, as_json: Json = False) -> None:
    """Compare devices, chain, ledger and bank. Exit code 1 if a break is open."""
    here = home.of(context)
    iban = account_of(here, account)
    with here.store.read() as session:
        found, stands = stood(here, session, iban)
    by_state: dict[str, list[dict[str, Any]]] = {"open": [], "resolved": [], "closed": []}
    for each in stands:
        by_state[each.state].append({"break_id": each.break_id, **asdict(each.found)})
    told = {
        "account": iban,
        **asdict(found),
        "breaks": by_state["open"],
        "resolved": by_state["resolved"],
        "closed": by_state["closed"],
    }
    output.show(told, as_json, lambda console: _reconciled(console, told))
    raise typer.Exit(output.NO if told["breaks"] else 0)


def amount(minor: int, asset: str) -> str:
    """An amount for people; events and entries are counted."""
    return f"{minor} {asset}" if asset in _COUNTED else decimal(minor, asset)


def _reconciled(console: Any, told: dict[str, Any]) -> None:
    rows = [
        (
            m["rule"],
            ", ".join(short(i) for i in m["ids"]),
            decimal(m["amount_cents"], "EUR/2"),
            m["explanation"],
        )
        for m in told["matches"]
    ]
    console.print(table(f"{len(rows)} matches", ("rule", "ids", ">amount", "because"), rows))
    rows = [
        (i["name"], short(i["id"], 24), decimal(i["amount_micro"], "tEUR/6"))
        for i in told["in_flight"]
    ]
    if rows:
        console.print(table("in flight, by name", ("item", "id", ">amount"), rows))
    if told["waiting"]:
        rows = [(w["reason"], w["events"]) for w in told["waiting"]]
        console.print(table("events in no payment yet", ("because", ">events"), rows))
    rows = [
        (
            short(b["break_id"], 10),
            b["kind"],
            ", ".join(short(i) for i in b["ids"]),
            amount(b["expected_minor"], b["asset"]),
            amount(b["found_minor"], b["asset"]),
            f"since {when(b['since'])} UTC" if b["since"] else "-",
            b["detail"],
            b["owner"],
            b["action"],
        )
        for b in told["breaks"]
    ]
    if rows:
        columns = (
            "id",
            "break",
            "of",
            ">expected",
            ">found",
            "open",
            "detail",
            "owner",
            "next step",
        )
        console.print(table(f"{len(rows)} breaks", columns, rows))
    supply = decimal(told["supply_micro"], "tEUR/6")
    console.print(
        f"supply {supply}, bank {decimal(told['balance_cents'], 'EUR/2')}, unexplained "
        f"{decimal(told['difference_micro'], 'tEUR/6')}, breaks {len(rows)} "
        f"(resolved {len(told['resolved'])}, explained since {len(told['closed'])}: "
        "`proofrail breaks --all`)",
        soft_wrap=True,
    )


def reserves(context: typer.Context, account: Account = None, as_json: Json = False) -> None:
    """Prove at every statement: token supply = booked balance + named items in flight.

    Exit code 1 if anything has no name at any statement, or tokens lack their euros at the newest.
    """
    from orchestrator.edges.store import blocks, ledger
    from orchestrator.steps.reconcile import reconcile_store

    here = home.of(context)
    with here.store.read() as session:
        found = reconcile_store(session, account_of(here, account))
        proofs = [
            {
                **asdict(each),
                "block": blocks.final_before(session, each.at)._asdict(),
                "journal": ledger.entry_before(session, each.at)._asdict(),
            }
            for each in found.reserves
        ]
    newest = found.reserves[-1] if found.reserves else None
    holds = not any(each.difference_micro for each in found.reserves) and (
        newest is None or newest.unbacked_micro == 0
    )
    told = {"holds": holds, "statements": proofs}
    output.show(told, as_json, lambda console: _proven(console, told))
    raise typer.Exit(0 if holds else output.NO)


def _proven(console: Any, told: dict[str, Any]) -> None:
    rows = []
    for each in told["statements"]:
        items: dict[str, int] = {}
        for item in each["items"]:
            items[item["name"]] = items.get(item["name"], 0) + item["amount_micro"]
        named = "\n".join(f"{name} {decimal(total, 'tEUR/6')}" for name, total in items.items())
        rows.append(
            (
                each["statement"],
                each["day"],
                decimal(each["supply_micro"], "tEUR/6"),
                decimal(each["balance_cents"], "EUR/2"),
                named or "-",
                decimal(each["difference_micro"], "tEUR/6"),
                each["block"]["number"],
                f"{each['journal']['number']}: {short(each['journal']['hash'], 16)}",
            )
        )
    columns = (
        "statement",
        "day",
        ">supply",
        ">balance",
        "named items",
        ">difference",
        ">block",
        "journal at",
    )
    console.print(table("supply = balance + named items + difference", columns, rows))
    if not rows:
        console.print("The bank has sent no statement yet, so there is nothing to prove.")
    elif not told["holds"]:
        console.print(
            plain("Not proven: `proofrail reconcile` names each break and its next step.", "red")
        )
