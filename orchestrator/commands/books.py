"""`proofrail payments`, `ledger` and `reconcile`: the books, and whether the bank agrees."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, money, plain, short, table, when
from orchestrator.errors import Halt

app = typer.Typer(name="ledger", help="The double-entry ledger.", no_args_is_help=True,
                  rich_markup_mode=None)  # fmt: skip


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


@app.command("balances")
def balances(context: typer.Context, as_json: Json = False) -> None:
    """Show the balance of each account; debits are positive, and each asset sums to zero."""
    from orchestrator.edges.store import books

    with home.of(context).store.read() as session:
        found = books.balances(session)
    told = [
        {"account": account, "amount": str(amount), "asset": asset}
        for (account, asset), amount in found.items()
    ]
    rows = [(item["account"], money(item)) for item in told]
    output.show(told, as_json, lambda console: console.print(
        table("balances", ("account", ">balance"), rows)
    ))  # fmt: skip


@app.command("check")
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
