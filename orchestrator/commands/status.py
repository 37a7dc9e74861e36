"""`proofrail status` and `holes`: shows totals per stage, problems, and missing records."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of, text_or_file
from orchestrator.commands.output import Json, decimal, plain, table, when


def status(
    context: typer.Context,
    api_key: Annotated[
        str | None, typer.Option(help="An auditor's or operator's key, or its file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show totals per stage. With --api-key also the state of the running rail.

    Exit code 1 if a step of the running rail halted.
    """
    from orchestrator.edges.totals import read_totals

    home = home_of(context)
    view = {"home": str(home.settings.home), **read_totals(home.database)}
    view["orchestrator"] = _orchestrator_view(home.rail_file.get("api_url"), api_key)
    output.show(view, as_json, lambda console: _render(console, view))
    raise typer.Exit(output.NO if view["orchestrator"].get("halted") else 0)


def _orchestrator_view(url: str | None, api_key: str | None) -> dict[str, Any]:
    """Return the running orchestrator's state: {"url", "answers", "halted" (with a key)}."""
    import requests

    view: dict[str, Any] = {"url": url, "answers": False, "halted": None}
    if url is None:
        return view
    try:
        view["answers"] = requests.get(f"{url}/health", timeout=5).status_code == 200
        if api_key:
            key = text_or_file(api_key).decode("ascii", "replace").strip()
            reply = requests.get(
                f"{url}/v1/status", headers={"Authorization": f"Bearer {key}"}, timeout=5
            )
            view["halted"] = reply.json().get("worker", {}).get("halted")
    except (requests.RequestException, ValueError):
        view["answers"] = False
    return view


def _render(console: Any, view: dict[str, Any]) -> None:
    rows = [(name, count) for name, count in view["events"].items()]
    rows += [("rejected", sum(view["rejected"].values())), ("holes", view["holes"])]
    console.print(table("records", ("", ">count"), rows))
    rows = [
        (stage, item["payments"], output.money(item)) for stage, item in view["payments"].items()
    ]
    console.print(table("payments", ("stage", ">count", ">amount"), rows))
    rows = [
        (stage, item["payouts"], decimal(int(item["amount"]), "EUR/2"))
        for stage, item in view["payouts"].items()
    ]
    console.print(table("payouts", ("stage", ">count", ">amount"), rows))
    for item in view["quarantined_devices"]:
        console.print(
            plain(
                f"CLONE of {item['device']}: {item['conflicts']} records with {item['reason']} "
                f"since {when(item['found_at'])}; "
                f"see `proofrail device show {item['device']}`",
                "bold red",
            )
        )
    for item in view["equivocating_oracles"]:
        barred = f"barred at {when(item['barred_at'])}" if item["barred_at"] else "not barred yet"
        console.print(
            plain(
                f"EQUIVOCATION: oracle {item['oracle']} signed two claims for sequence "
                f"{item['sequence']} of {output.short(item['agreement_id'])}; {barred}",
                "bold red",
            )
        )
    for item in view["stopped_agreements"]:
        console.print(
            plain(
                f"STOPPED {item['device']}: its payment {output.short(item['payment_id'])} is "
                f"{item['stage']} ({item['reason']}); see `proofrail trace "
                f"{item['payment_id'][:12]}`, then close the agreement and open another",
                "bold red",
            )
        )
    console.print(f"block {view['block']}, final up to {view['final_block']}")
    orchestrator = view["orchestrator"]
    if not orchestrator["answers"]:
        console.print("no orchestrator answers; `proofrail up` starts one")
    elif orchestrator["halted"] is None:
        console.print(
            plain(
                f"the orchestrator answers at {orchestrator['url']}; "
                "--api-key shows whether a step halted"
            )
        )
    else:
        for step, why in orchestrator["halted"].items():
            console.print(plain(f"HALTED {step}: {why}", "bold red"))
        if not orchestrator["halted"]:
            console.print(plain(f"the orchestrator at {orchestrator['url']} works; no step halted"))


def holes(context: typer.Context, as_json: Json = False) -> None:
    """List counters that never arrived. The rail no longer waits for them."""
    from orchestrator.edges.store import agreements, evidence

    with home_of(context).store.read() as session:
        hole_rows = evidence.all_holes(session)
        agreements_by_id = agreements.by_ids(session, {hole.agreement_id for hole in hole_rows})
        hole_views = [
            {
                "device": agreements_by_id[h.agreement_id].device,
                "agreement_id": h.agreement_id,
                "first_counter": h.first_counter,
                "last_counter": h.last_counter,
                "records": h.last_counter - h.first_counter + 1,
                "declared_at": h.declared_at,
            }
            for h in hole_rows
        ]
    rows = [
        (
            h["device"],
            output.short(h["agreement_id"]),
            h["first_counter"],
            h["last_counter"],
            h["records"],
            when(h["declared_at"]),
        )
        for h in hole_views
    ]
    columns = ("device", "agreement", ">first", ">last", ">records", "declared (UTC)")
    output.show(
        hole_views,
        as_json,
        lambda console: console.print(table(f"{len(hole_views)} holes", columns, rows)),
    )
