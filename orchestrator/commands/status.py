"""`proofrail status` and `holes`: how far everything is, what waits, and what never came."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, plain, table, when


def register(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(holes)


def status(
    context: typer.Context,
    api_key: Annotated[
        str | None, typer.Option(help="An auditor's or operator's key, or its file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show totals per stage. With --api-key also what the running rail says of itself.

    Exit code 1 if a step of the running rail halted.
    """
    here = home.of(context)
    told = _counted(here)
    told["orchestrator"] = _asked(here.town.get("api_url"), api_key)
    output.show(told, as_json, lambda console: _render(console, told))
    raise typer.Exit(output.NO if told["orchestrator"].get("halted") else 0)


def _counted(here: home.Home) -> dict[str, Any]:
    from orchestrator.edges.store import (
        agreements,
        blocks,
        conflicts,
        evidence,
        lookup,
        payments,
        payouts,
        rejections,
    )

    with here.store.read() as session:
        head = blocks.newest(session)
        return {
            "home": str(here.settings.home),
            "block": head.number if head else None,
            "final_block": blocks.newest_final(session),
            "events": evidence.event_counts(session),
            "rejected": rejections.count_by_reason(session),
            "payments": {
                stage: {"payments": count, "amount": str(total), "asset": "tEUR/6"}
                for stage, (count, total) in lookup.count_by_stage(session).items()
            },
            "payouts": {
                stage: {"payouts": count, "amount": str(cents), "asset": "EUR/2"}
                for stage, (count, cents) in payouts.count_by_stage(session).items()
            },
            "holes": len(evidence.all_holes(session)),
            "quarantined_devices": [
                {
                    "device": _name(agreements.device(session, device), device),
                    "device_id": device,
                    "reason": reason,
                    "conflicts": count,
                    "found_at": at,
                }
                for device, reason, count, at in conflicts.quarantined(session)
            ],
            "stopped_agreements": [
                {
                    "device": agreement.device,
                    "agreement_id": agreement.agreement_id,
                    "payment_id": row.payment_id,
                    "stage": row.stage,
                    "reason": row.reason,
                }
                for row, agreement in payments.stopping(session)
            ],
        }


def _name(known: Any, device_id: str) -> str:
    return known.name if known else device_id


def _asked(url: str | None, api_key: str | None) -> dict[str, Any]:
    """What the running orchestrator says: {"url", "answers", "halted" (with a key)}."""
    import requests

    told: dict[str, Any] = {"url": url, "answers": False, "halted": None}
    if url is None:
        return told
    try:
        told["answers"] = requests.get(f"{url}/health", timeout=5).status_code == 200
        if api_key:
            key = home.text_or_file(api_key).decode("ascii", "replace").strip()
            reply = requests.get(
                f"{url}/v1/status", headers={"Authorization": f"Bearer {key}"}, timeout=5
            )
            told["halted"] = reply.json().get("worker", {}).get("halted")
    except (requests.RequestException, ValueError):
        told["answers"] = False
    return told


def _render(console: Any, told: dict[str, Any]) -> None:
    rows = [(name, count) for name, count in told["events"].items()]
    rows += [("rejected", sum(told["rejected"].values())), ("holes", told["holes"])]
    console.print(table("records", ("", ">count"), rows))
    rows = [
        (stage, item["payments"], output.money(item)) for stage, item in told["payments"].items()
    ]
    console.print(table("payments", ("stage", ">count", ">amount"), rows))
    rows = [
        (stage, item["payouts"], decimal(int(item["amount"]), "EUR/2"))
        for stage, item in told["payouts"].items()
    ]
    console.print(table("payouts", ("stage", ">count", ">amount"), rows))
    for item in told["quarantined_devices"]:
        console.print(
            plain(
                f"CLONE of {item['device']}: {item['conflicts']} records say {item['reason']} "
                f"since {when(item['found_at'])}; "
                f"`proofrail device show {item['device']}` shows it",
                "bold red",
            )
        )
    for item in told["stopped_agreements"]:
        console.print(
            plain(
                f"STOPPED {item['device']}: its payment {output.short(item['payment_id'])} is "
                f"{item['stage']} ({item['reason']}); see `proofrail trace "
                f"{item['payment_id'][:12]}`, close the agreement and open another",
                "bold red",
            )
        )
    console.print(f"block {told['block']}, final up to {told['final_block']}")
    asked = told["orchestrator"]
    if not asked["answers"]:
        console.print("no orchestrator answers; `make demo KEEP=1` starts one")
    elif asked["halted"] is None:
        console.print(
            plain(
                f"the orchestrator answers at {asked['url']}; --api-key shows whether a step halted"
            )
        )
    else:
        for step, why in asked["halted"].items():
            console.print(plain(f"HALTED {step}: {why}", "bold red"))
        if not asked["halted"]:
            console.print(plain(f"the orchestrator at {asked['url']} works; nothing halted"))


def holes(context: typer.Context, as_json: Json = False) -> None:
    """List counters that never came: reported, and never waited for again."""
    from orchestrator.edges.store import agreements, evidence

    with home.of(context).store.read() as session:
        found = evidence.all_holes(session)
        known = agreements.by_ids(session, {hole.agreement_id for hole in found})
        told = [
            {
                "device": known[h.agreement_id].device,
                "agreement_id": h.agreement_id,
                "first_counter": h.first_counter,
                "last_counter": h.last_counter,
                "records": h.last_counter - h.first_counter + 1,
                "declared_at": h.declared_at,
            }
            for h in found
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
        for h in told
    ]
    columns = ("device", "agreement", ">first", ">last", ">records", "declared (UTC)")
    output.show(
        told, as_json, lambda console: console.print(table(f"{len(told)} holes", columns, rows))
    )
