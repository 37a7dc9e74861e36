"""`proofrail reconcile` and `reserves`: compares devices, chain, ledger and bank."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, decimal, plain, short, table, when
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.reconcile import Reconciliation
    from orchestrator.edges.store import Session
    from orchestrator.steps.breaks import Standing
    from orchestrator.steps.reconcile import TotalsReader

Account = Annotated[
    str | None, typer.Option(help="IBAN of the safeguarding account. Default: the rail's.")
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Ask no node: the stored blocks stand for the chain. What the rail never read of it "
        "stays unseen.",
    ),
]
_COUNTED = ("events", "entries")  # counted items, not money


def account_of(home: Home, account: str | None) -> str:
    """Return the safeguarding IBAN without spaces, in upper case; raises Halt if unknown."""
    from orchestrator.core.references import account_number

    _ = home.store  # a missing store gives a clearer error
    iban = account or home.rail_file.get("safeguarding", {}).get("iban")
    if not iban:
        raise Halt("rail.json names no safeguarding account. Give its IBAN with --account.")
    return account_number(iban)


def totals_reader(home: Home, offline: bool) -> TotalsReader | None:
    """Return what asks the rail's node for the contracts' totals; None if it must not be asked.

    Raises:
        Halt: no node is configured or answers.
    """
    from orchestrator.edges.chain.totals import contract_totals

    if offline:
        return None
    try:
        return partial(contract_totals, home.chain)
    except Halt as failure:
        raise Halt(
            f"{failure} To compare without the chain's own totals, give --offline."
        ) from failure


def reconcile_now(
    home: Home, session: Session, iban: str, offline: bool
) -> tuple[Reconciliation, list[Standing]]:
    """Reconcile now; return the result and the state of each break at the newest block."""
    from orchestrator.edges.store import blocks, breaks
    from orchestrator.steps.breaks import standing
    from orchestrator.steps.reconcile import reconcile_store

    newest = blocks.newest(session)
    reconciliation = reconcile_store(session, iban, read_totals=totals_reader(home, offline))
    has_open = any(row.executed_at is None for row in breaks.resolutions(session))
    office = home.office(online=has_open and not offline)
    return reconciliation, standing(
        session, office, reconciliation, newest.timestamp if newest else 0
    )


def reconcile(
    context: typer.Context,
    account: Account = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Compare devices, chain, ledger and bank.

    The contracts' own totals are read from the node at the newest final block.

    Exit code 1 if a break is open.
    """
    home = home_of(context)
    iban = account_of(home, account)
    with home.store.read() as session:
        reconciliation, standings = reconcile_now(home, session, iban, offline)
    by_state: dict[str, list[dict[str, Any]]] = {"open": [], "resolved": [], "closed": []}
    for standing in standings:
        by_state[standing.state].append(
            {"break_id": standing.break_id, **asdict(standing.difference)}
        )
    view = {
        "account": iban,
        **asdict(reconciliation),
        "asked_chain": not offline,
        "breaks": by_state["open"],
        "resolved": by_state["resolved"],
        "closed": by_state["closed"],
    }
    output.show(view, as_json, lambda console: _print_reconciled(console, view))
    raise typer.Exit(output.NO if view["breaks"] else 0)


def amount(minor: int, asset: str) -> str:
    """Format an amount of money, or a count of events or entries."""
    return f"{minor} {asset}" if asset in _COUNTED else decimal(minor, asset)


def _print_reconciled(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            m["rule"],
            output.one_per_line(map(short, m["ids"])),
            decimal(m["amount_cents"], "EUR/2"),
            m["explanation"],
        )
        for m in view["matches"]
    ]
    console.print(table(f"{len(rows)} matches", ("rule", "ids", ">amount", "because"), rows))
    rows = [
        (i["name"], short(i["id"], 24), decimal(i["amount_micro"], "tEUR/6"))
        for i in view["in_flight"]
    ]
    if rows:
        console.print(table("in flight", ("item", "id", ">amount"), rows))
    if view["waiting"]:
        rows = [(w["reason"], w["events"]) for w in view["waiting"]]
        console.print(table("events in no payment yet", ("because", ">events"), rows))
    rows = [
        (
            short(b["break_id"], 10),
            b["kind"],
            output.one_per_line(map(short, b["ids"])),
            amount(b["expected_minor"], b["asset"]),
            amount(b["found_minor"], b["asset"]),
            f"since {when(b['since'])} UTC" if b["since"] else "-",
            b["detail"],
            b["owner"],
            b["action"],
        )
        for b in view["breaks"]
    ]
    if rows:
        columns = (
            "id",
            "break",
            "about",
            ">expected",
            ">found",
            "open",
            "detail",
            "owner",
            "next step",
        )
        console.print(table(f"{len(rows)} breaks", columns, rows))
    supply = decimal(view["supply_micro"], "tEUR/6")
    console.print(
        f"supply {supply}, bank {decimal(view['balance_cents'], 'EUR/2')}, unexplained "
        f"{decimal(view['difference_micro'], 'tEUR/6')}, breaks {len(rows)} "
        f"(resolved {len(view['resolved'])}, closed {len(view['closed'])}: "
        "`proofrail breaks --all`)",
        soft_wrap=True,
    )
    if view["unswept_micro"]:
        console.print(
            f"{decimal(view['unswept_micro'], 'tEUR/6')} were sent to the rail's contract and "
            "belong to nobody there; the steward can send them back (PaymentRail.sweep)",
            soft_wrap=True,
        )
    if not view["asked_chain"]:
        console.print("No node was asked: what the rail never read of the chain stays unseen.")


def reserves(
    context: typer.Context,
    account: Account = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Prove the reserves. At each statement: supply = booked balance + items in flight.

    The supply is that of the token contract. Exit code 1 if a statement leaves a difference, the
    newest one leaves tokens without euro, or the contracts' totals are not those of the ledger.
    """
    from orchestrator.edges.store import blocks, ledger
    from orchestrator.steps.reconcile import reconcile_store

    home = home_of(context)
    with home.store.read() as session:
        iban = account_of(home, account)
        reconciliation = reconcile_store(session, iban, read_totals=totals_reader(home, offline))
        proofs = [
            {
                **asdict(proof),
                "block": blocks.final_before(session, proof.at)._asdict(),
                "journal": ledger.entry_before(session, proof.at)._asdict(),
            }
            for proof in reconciliation.reserves
        ]
    newest = reconciliation.reserves[-1] if reconciliation.reserves else None
    differing = [
        {"total": name, "on_chain": item.expected_minor, "found": item.found_minor}
        for item in reconciliation.breaks
        for name in item.ids
        if name.startswith("total:")
    ]
    holds = not (
        differing
        or any(proof.difference_micro for proof in reconciliation.reserves)
        or (newest is not None and newest.unbacked_micro)
    )
    view = {
        "holds": holds,
        "statements": proofs,
        "supply_micro": reconciliation.supply_micro,
        "asked_chain": not offline,
        "differing_totals": differing,
    }
    output.show(view, as_json, lambda console: _print_reserves(console, view))
    raise typer.Exit(0 if holds else output.NO)


def _print_reserves(console: Any, view: dict[str, Any]) -> None:
    rows = []
    for proof in view["statements"]:
        items: dict[str, int] = {}
        for item in proof["items"]:
            items[item["name"]] = items.get(item["name"], 0) + item["amount_micro"]
        named = "\n".join(f"{name} {decimal(total, 'tEUR/6')}" for name, total in items.items())
        rows.append(
            (
                proof["statement"],
                proof["day"],
                decimal(proof["supply_micro"], "tEUR/6"),
                decimal(proof["balance_cents"], "EUR/2"),
                named or "-",
                decimal(proof["difference_micro"], "tEUR/6"),
                proof["block"]["number"],
                f"{proof['journal']['number']}: {short(proof['journal']['hash'], 16)}",
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
        console.print("The bank has sent no statement yet; there is nothing to prove.")
    elif not view["holds"]:
        console.print(
            plain("Not proven: `proofrail reconcile` lists each break with its next step.", "red")
        )
