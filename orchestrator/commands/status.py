"""`proofrail status` and `holes`: shows problems, totals per stage, and missing records."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, decimal, plain, table, when
from orchestrator.errors import Retry

if TYPE_CHECKING:
    from orchestrator.core.health import HealthProblem

_WATCH_S = 2
_DID = {"rulings": "signed both rulings", "": "signed what another proved to be wrong"}


def status(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what is wrong.

    Each problem has its next step; then come totals per stage, and the processes.

    No API key is needed: it reads what the rail writes into its home. Exit code 1 if anything is
    wrong, or if no rail runs.
    """
    home = home_of(context)
    view = _look(home)
    output.show(view, as_json, lambda console: _render(console, view))
    with suppress(KeyboardInterrupt):
        while watch:
            time.sleep(_WATCH_S)
            view = _look(home)
            _show_again(view, as_json)
    raise typer.Exit(output.NO if view["problems"] else 0)


def _show_again(view: dict[str, Any], as_json: bool) -> None:
    def render(console: Any) -> None:
        console.clear()
        _render(console, view)

    output.show(view, as_json, render)


def _look(home: Home) -> dict[str, Any]:
    from orchestrator.core.health import problem_view
    from orchestrator.status_file import read_nodes, read_processes

    totals, problems = _totals_or_problem(home)
    problems += _problems(home)
    folder = home.settings.home
    return {
        "home": str(folder),
        "problems": [problem_view(problem) for problem in problems],
        "processes": read_processes(folder),
        "nodes": read_nodes(folder),
        **totals,
    }


def _problems(home: Home) -> list[HealthProblem]:
    """Return what the rail wrote about itself, and what can be seen without it."""
    from orchestrator.core.health import DiskState, HealthLimits
    from orchestrator.core.health_rules import disk_problem
    from orchestrator.status_file import read_status

    folder = home.settings.home
    usage = shutil.disk_usage(folder)
    limits = HealthLimits(free_bytes=home.settings.free_disk_mb << 20)
    disk = disk_problem(DiskState(str(folder), usage.free, usage.total), limits)
    return read_status(folder, int(time.time())) + ([disk] if disk else [])


def _totals_or_problem(home: Home) -> tuple[dict[str, Any], list[HealthProblem]]:
    from orchestrator.core.health import HealthProblem, Severity
    from orchestrator.edges.totals import read_totals

    try:
        return read_totals(home.database), []
    except Retry as error:
        problem = HealthProblem(
            "store_unreadable",
            "",
            f"The totals cannot be read: {error}",
            "Run the command again later; look at the disk and at who holds the database.",
            Severity.ERROR,
        )
        return {}, [problem]


def _render(console: Any, view: dict[str, Any]) -> None:
    if "events" in view:
        _render_totals(console, view)
    _render_processes(console, view["processes"])
    _render_nodes(console, view["nodes"])
    for problem in view["problems"]:
        since = f" (since {when(problem['since'])})" if problem["since"] else ""
        style = "bold red" if problem["severity"] == "error" else "bold yellow"
        console.print(plain(f"{problem['name']}: {problem['what']}{since}", style), soft_wrap=True)
        console.print(plain(f"  next: {problem['next_step']}"), soft_wrap=True)
    if not view["problems"]:
        console.print("the rail works; nothing is wrong")


def _render_processes(console: Any, processes: list[dict[str, Any]]) -> None:
    rows = [
        [process.get(name) for name in ("name", "pid", "state", "restarts", "last_exit")]
        for process in processes
    ]
    if rows:
        columns = ("process", ">pid", "state", ">restarts", ">last exit")
        console.print(table("processes", columns, rows))


def _render_nodes(console: Any, nodes: list[dict[str, Any]]) -> None:
    rows = [
        (
            node["name"],
            node["number"] or "-",
            when(node["answered_at"]) if node["answered_at"] else "never",
            node["error"] or "-",
        )
        for node in nodes
    ]
    if rows:
        columns = ("node", ">newest block", "last answer (UTC)", "error")
        console.print(table("nodes", columns, rows))


def _render_totals(console: Any, view: dict[str, Any]) -> None:
    from orchestrator.products import refusal_text

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
        did = _DID.get(item["first_digest"], "signed two claims")
        barred = f"barred at {when(item['barred_at'])}" if item["barred_at"] else "not barred yet"
        console.print(
            plain(
                f"EQUIVOCATION: oracle {item['oracle']} {did} for sequence "
                f"{item['sequence']} of {output.short(item['agreement_id'])}; {barred}",
                "bold red",
            )
        )
    for item in view["stopped_agreements"]:
        reason = refusal_text(item["product"], item["reason"] or "")
        console.print(
            plain(
                f"STOPPED {item['device']}: its payment {output.short(item['payment_id'])} is "
                f"{item['stage']}: {reason}; see `proofrail trace "
                f"{item['payment_id'][:12]}`. Next: payer and payee pass over it with `proofrail "
                f"agreement skip {item['agreement_id'][:12]}`",
                "bold red",
            )
        )
    console.print(f"block {view['block']}, final up to {view['final_block']}")


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
