"""`proofrail payments` and `reconcile`: what was paid, and whether the bank agrees."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, money, short, table, when
from orchestrator.errors import Halt


def register(root: typer.Typer) -> None:
    root.command()(payments)
    root.command()(reconcile)


def payments(
    context: typer.Context,
    stage: Annotated[str | None, typer.Option(help="Only those at this stage.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List payments with their stage, and what all of them come to."""
    from orchestrator.core.payment import Stage
    from orchestrator.edges.store import lookup

    if stage is not None and stage not in list(Stage):
        raise Halt(f"There is no stage {stage!r}; stages are {', '.join(Stage)}.")
    with home.of(context).store.read() as session:
        stages = lookup.count_by_stage(session)
        rows = lookup.newest_payments(session, stage, limit)
        told = {
            "stages": {
                name: {"payments": count, "amount": str(total), "asset": "tEUR/6"}
                for name, (count, total) in stages.items()
            },
            "payments": [
                {"payment_id": p.payment_id, "stage": p.stage, "device": a.device,
                 "sequence": p.sequence, "amount": str(p.amount_micro), "asset": "tEUR/6",
                 "reason": p.reason, "started_at": p.created_at}
                for p, a in rows
            ],
        }  # fmt: skip
    output.show(told, as_json, lambda console: _payments(console, told))


def _payments(console: Any, told: dict[str, Any]) -> None:
    rows = [
        (short(p["payment_id"], 18), p["device"], p["sequence"], p["stage"], money(p),
         when(p["started_at"]), p["reason"])
        for p in told["payments"]
    ]  # fmt: skip
    columns = ("payment", "device", ">sequence", "stage", ">amount", "started (UTC)", "reason")
    console.print(table("newest first", columns, rows))
    totals = [(name, item["payments"], money(item)) for name, item in told["stages"].items()]
    console.print(table("all, by stage", ("stage", ">payments", ">amount"), totals))


def reconcile(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Option(help="IBAN of the safeguarding account; default: the rail's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare chain, ledger and bank. Exit code 1 if anything differs without a name."""
    from orchestrator.steps.reconcile import reconcile_store

    here = home.of(context)
    store = here.store
    iban = account or here.town.get("safeguarding", {}).get("iban")
    if not iban:
        raise Halt("The rail's bank account is not known: rail.json names none. Give --account.")
    with store.read() as session:
        found = reconcile_store(session, "".join(iban.split()).upper())
    told = {"account": iban, **asdict(found)}
    output.show(told, as_json, lambda console: _reconciled(console, told))
    raise typer.Exit(output.NO if found.breaks else 0)


def _reconciled(console: Any, told: dict[str, Any]) -> None:
    rows = [
        (m["rule"], ", ".join(short(i) for i in m["ids"]), decimal(m["amount_cents"], "EUR/2"),
         m["explanation"])
        for m in told["matches"]
    ]  # fmt: skip
    console.print(table(f"{len(rows)} matches", ("rule", "ids", ">amount", "because"), rows))
    rows = [(i["name"], short(i["id"], 24), decimal(i["amount_micro"], "tEUR/6"))
            for i in told["in_flight"]]  # fmt: skip
    if rows:
        console.print(table("in flight, by name", ("item", "id", ">amount"), rows))
    rows = [
        (b["kind"], ", ".join(short(i) for i in b["ids"]),
         decimal(b["expected_minor"], b["asset"]), decimal(b["found_minor"], b["asset"]),
         f"since {when(b['since'])} UTC" if b["since"] else "-", b["detail"], b["action"])
        for b in told["breaks"]
    ]  # fmt: skip
    if rows:
        columns = ("break", "ids", ">expected", ">found", "open", "detail", "next step")
        console.print(table(f"{len(rows)} breaks", columns, rows))
    supply = decimal(told["supply_micro"], "tEUR/6")
    console.print(
        f"supply {supply}, bank {decimal(told['balance_cents'], 'EUR/2')}, unexplained "
        f"{decimal(told['difference_micro'], 'tEUR/6')}, breaks {len(rows)}"
    )
