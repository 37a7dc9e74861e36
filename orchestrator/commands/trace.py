"""`proofrail trace ID`: one payment's life as a tree, several as a list; any id will do."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import home, output
from orchestrator.commands.output import Json, decimal, money, plain, short, table, when

_RECORDS_SHOWN = 6


def register(app: typer.Typer) -> None:
    app.command()(trace)


def trace(
    context: typer.Context,
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Event, evidence, payment, agreement, settlement, payout, EndToEndId, device, "
            "batch, credit or funding reference; whole, or from 6 characters on.",
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, help="Payments in a list.")] = 50,
    as_json: Json = False,
) -> None:
    """Follow a payment from the device's signature to the line on the bank statement."""
    from orchestrator.views.trace import trace as read

    with home.of(context).store.read() as session:
        told = read(session, identity, limit)
    output.show(told, as_json, lambda console: render(console, told))


def render(console: Any, told: dict[str, Any]) -> None:
    """A trace as `orchestrator.views.trace.trace` gives it, for people."""
    console.print(plain(f"{told['kind']} {told['id']}", "bold"))
    if told["life"] is not None:
        console.print(tree(told["life"]))
        return
    _about(console, told)
    _list(console, told)


def _about(console: Any, told: dict[str, Any]) -> None:
    about = told["about"] or {}
    rows = [
        (name, when(value) if name.endswith("_at") else value)
        for name, value in about.items()
        if value is not None and not isinstance(value, dict)
    ]
    if rows:
        console.print(table("", ("field", "value"), rows))


def _list(console: Any, told: dict[str, Any]) -> None:
    rows = [
        (
            short(p["payment_id"], 18),
            p["device"],
            p["sequence"],
            p["stage"],
            money(p),
            when(p["started_at"]),
        )
        for p in told["payments"]
    ]
    totals = told["totals"]
    if not totals["payments"]:
        console.print("no payment holds it yet")
        return
    stages = ", ".join(f"{count} {stage}" for stage, count in totals["by_stage"].items())
    columns = ("payment", "device", ">sequence", "stage", ">amount", "started (UTC)")
    console.print(table("", columns, rows))
    console.print(plain(f"{totals['payments']} payments, {money(totals)}: {stages}"))
    if len(rows) < totals["payments"]:
        console.print(f"shown are the newest {len(rows)}; --limit shows more")
    console.print(f"next: proofrail trace {rows[0][0].rstrip('…')}")


# --- one payment


def tree(life: dict[str, Any]) -> Any:
    """The stations of a payment, device first."""
    from rich.tree import Tree

    made = Tree(plain(f"{money(life)}  {life['stage']}  payment {life['payment_id']}", "bold"))
    if life["reason"]:
        made.add(plain(f"reason: {life['reason']}", "yellow"))
    for station in (
        _agreement,
        _events,
        _claim,
        _attestation,
        _settlement,
        _credit,
        _ledger,
        _payout,
        _bank,
        _facts,
    ):
        station(made, life)
    return made


def _branch(made: Any, at: int | None, title: str) -> Any:
    return made.add(plain(f"{when(at)}  {title}" if at else title, "cyan"))


def _leaves(branch: Any, *lines: str) -> None:
    for line in lines:
        branch.add(plain(line))


def _agreement(made: Any, life: dict[str, Any]) -> None:
    told = life["agreement"]
    branch = _branch(made, told["opened_at"], f"agreement {told['agreement_id']}")
    terms = ", ".join(f"{name} {value}" for name, value in told["terms"].items())
    _leaves(
        branch,
        f"{_name(told['payer'])} pays {_name(life['payee'])} for {told['product']} ({terms})",
        f"at most {money(told['cap'])} in {told['period_days']} days; "
        f"dispute window {told['window_s']} s; funding reference {told['reference']}",
    )


def _name(party: dict[str, Any] | None) -> str:
    return (party["name"] or party["address"]) if party else "whom each claim names"


def _events(made: Any, life: dict[str, Any]) -> None:
    _records(made, life["events"], f"device {life['device']} signed {len(life['events'])} records")
    beside = life["supporting"]
    devices = ", ".join(dict.fromkeys(event["device"] for event in beside))
    _records(made, beside, f"they cite {len(beside)} records of {devices}")


def _records(made: Any, events: list[dict[str, Any]], title: str) -> None:
    if not events:
        return
    branch = _branch(made, events[0]["observed_at"], title)
    half = _RECORDS_SHOWN // 2
    few = len(events) <= _RECORDS_SHOWN
    for event in events if few else events[:half]:
        _event(branch, event)
    if not few:
        _leaves(branch, f"... {len(events) - 2 * half} more; --json shows all of them")
        for event in events[-half:]:
            _event(branch, event)


def _event(branch: Any, event: dict[str, Any]) -> None:
    number = event["pagination"] or event["counter"]
    leaf = _branch(branch, event["observed_at"], f"{number}  evidence {event['evidence']}")
    about = f"{event['kind']} about {event['subject']}" if event["subject"] else event["kind"]
    _leaves(leaf, f"{_register(event) or about}, received {when(event['received_at'])}")


def _register(event: dict[str, Any]) -> str:
    """What a meter's record says; "" for records of other kinds."""
    readings = event["facts"].get("readings")
    if not readings:
        return ""
    told = dict.fromkeys(
        decimal(r["register"], "tEUR/6").split()[0] for r in (readings[0], readings[-1])
    )
    return f"register {' to '.join(told)} kWh"


def _claim(made: Any, life: dict[str, Any]) -> None:
    claim = life["claim"]
    if claim is None:
        return
    branch = _branch(made, life["started_at"], f"claim {claim['hash']}, number {life['sequence']}")
    facts = ", ".join(f"{name} {value}" for name, value in claim["facts"].items())
    _leaves(branch, facts, f"evidence root {claim['evidence_root']}")


def _attestation(made: Any, life: dict[str, Any]) -> None:
    told = life["attestation"]
    if told is None:
        return
    signers = told["signatures"]
    domains = len({signer["domain"] for signer in signers})
    title = f"{len(signers)} oracles of {domains} trust domains signed batch {told['batch']}"
    branch = _branch(made, told["at"], title)
    _leaves(branch, *(f"{s['name']}  domain {s['domain']}  {s['oracle']}" for s in signers))
    used = {f"{signer['name']} signed" for signer in signers}
    others = [said for said in told["oracles"] if said not in used]
    _leaves(branch, *(f"beside them: {said}" for said in others))


def _settlement(made: Any, life: dict[str, Any]) -> None:
    told = life["settlement"]
    if told is None:
        return
    depth = "final" if told["final"] else "not final yet"
    title = f"settlement {told['transaction']}, block {told['block']} ({depth})"
    branch = _branch(made, told["at"], title)
    said = f"refused: {told['refusal']}" if told["refusal"] else _moved(told)
    release = f"; free to go from {when(told['release_at'])}" if told["release_at"] else ""
    gas = f", {told['gas_used']} gas" if told["gas_used"] else ""
    _leaves(branch, said + release, f"number {told['number']}, root {told['root']}{gas}")


def _moved(told: dict[str, Any]) -> str:
    if int(told["amount"]) < 0:
        return f"{money(told)}: a credit, which the payee owes to the escrow"
    return f"{money(told)} moved from escrow"


def _credit(made: Any, life: dict[str, Any]) -> None:
    told = life["credit"]
    if told is not None:
        title = f"credit of {money(told['owed'])}, {money(told['paid'])} of it paid back"
        _branch(made, told["noted_at"], title)


def _ledger(made: Any, life: dict[str, Any]) -> None:
    for entry in life["ledger"]:
        branch = _branch(made, entry["at"], f"ledger entry {entry['number']}: {entry['kind']}")
        for posting in entry["postings"]:
            side = "debit " if int(posting["amount"]) > 0 else "credit"
            amount = decimal(abs(int(posting["amount"])), posting["asset"])
            _leaves(branch, f"{side} {amount}  {posting['account']}")


def _payout(made: Any, life: dict[str, Any]) -> None:
    told = life["payout"]
    if told is None:
        return
    title = f"payout {told['payout_id']}: {money(told)}, {told['stage']}"
    branch = _branch(made, told["ordered_at"], title)
    _leaves(
        branch,
        f"to {_name(told['payee'])}, with {told['payments']} payments in it; "
        f"EndToEndId {told['end_to_end_id']}",
    )
    if told["reason"]:
        _leaves(branch, f"reason: {told['reason']}")


def _bank(made: Any, life: dict[str, Any]) -> None:
    file = life["bank_file"]
    if file is not None:
        branch = _branch(made, file["at"], f"order to the bank: {file['name']}")
        _leaves(branch, f"SHA-256 {file['sha256']}")
    for line in life["statement_lines"]:
        kind = "return" if line["return"] else "statement line"
        title = f"{kind} of {line['booked_on']}: {money(line)} ({line['kind']})"
        branch = _branch(made, line["at"], title)
        _leaves(branch, f"{line['file']}, {line['path']}", f"SHA-256 {line['sha256']}")


def _facts(made: Any, life: dict[str, Any]) -> None:
    branch = _branch(made, None, "what became known, in order")
    for fact in life["facts"]:
        _leaves(branch, f"{when(fact['at'])}  {fact['fact']}  {fact['detail']}".rstrip())
