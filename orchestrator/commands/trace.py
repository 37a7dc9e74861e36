"""`proofrail trace ID`: shows one payment as a tree, or several as a list, for any id."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import (
    Json,
    money,
    number,
    plain,
    short,
    table,
    when,
)
from orchestrator.commands.trace_money import MONEY_PARTS, add_branch, add_leaves, party_name
from orchestrator.core.payment import Stage

_RECORDS_SHOWN, _DEVICES_NAMED = 6, 6


def trace(
    context: typer.Context,
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Event, evidence, payment, agreement, settlement, payout, EndToEndId, device, "
            "batch, credit or funding reference; complete, or its first 6 or more characters.",
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many payments.")] = 50,
    as_json: Json = False,
) -> None:
    """Show a payment from device to bank statement. Takes any id."""
    from orchestrator.views.trace import trace as read

    with home_of(context).store.read() as session:
        view = read(session, identity, limit)
    output.show(view, as_json, lambda console: render(console, view))


def render(console: Any, view: dict[str, Any]) -> None:
    """Print a result of `orchestrator.views.trace.trace`."""
    console.print(plain(f"{view['kind']} {view['id']}", "bold"))
    if view["life"] is not None:
        console.print(tree(view["life"]))
        return
    _print_about(console, view)
    _print_list(console, view)


def _print_about(console: Any, view: dict[str, Any]) -> None:
    about = view["about"] or {}
    rows = [
        (name, when(value) if name.endswith("_at") else value)
        for name, value in about.items()
        if value is not None and not isinstance(value, dict) and name != "outcomes"
    ]
    if rows:
        console.print(table("", ("field", "value"), rows))
    for line in _outcome_lines(about.get("outcomes", [])):
        console.print(plain(line, "yellow"))


def _print_list(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            short(p["payment_id"], 18),
            p["device"],
            p["sequence"],
            p["stage"],
            money(p),
            when(p["started_at"]),
        )
        for p in view["payments"]
    ]
    totals = view["totals"]
    if not totals["payments"]:
        console.print("no payment contains it yet")
        return
    stages = ", ".join(f"{count} {stage}" for stage, count in totals["by_stage"].items())
    columns = ("payment", "device", ">sequence", "stage", ">amount", "started (UTC)")
    console.print(table("", columns, rows))
    console.print(plain(f"{totals['payments']} payments, {money(totals)}: {stages}"))
    if len(rows) < totals["payments"]:
        console.print(f"only the newest {len(rows)} are shown; --limit shows more")
    console.print(f"next: proofrail trace {rows[0][0].rstrip('…')}")


# --- the tree of a payment

_AFTER_REFUND = (
    "its claim stays settled. If it was wrong, such as by its register, the contract may refuse "
    "the agreement's next claim; then payer and payee pass over that one with `proofrail "
    "agreement skip "
)
_BLOCKING = (Stage.REJECTED, Stage.REFUSED)  # no later claim of the agreement can settle


def tree(life: dict[str, Any]) -> Any:
    """Return the life of a payment as a tree, from the device to the bank."""
    from rich.tree import Tree

    root = Tree(plain(f"{money(life)}  {life['stage']}  payment {life['payment_id']}", "bold"))
    agreement = life["agreement"]["agreement_id"][:12]
    if life["reason"]:
        root.add(plain(f"reason: {_reason(life, life['reason'])}", "yellow"))
    if life["stage"] in _BLOCKING:
        sentence = "it blocks its agreement. Next: payer and payee pass over it with `proofrail "
        root.add(plain(f"{sentence}agreement skip {agreement}`", "yellow"))
    if life["stage"] == Stage.REFUNDED:
        root.add(plain(f"{_AFTER_REFUND}{agreement}`", "yellow"))
    for add_part in (
        _add_agreement,
        _add_events,
        _add_claim,
        _add_attestation,
        _add_holds,
        _add_settlement,
        _add_dispute,
        _add_challenges,
        *MONEY_PARTS,
        _add_facts,
    ):
        add_part(root, life)
    return root


def _reason(life: dict[str, Any], reason: str) -> str:
    """Return a reason, with its name where it is a product's own."""
    from orchestrator.products import refusal_text

    return refusal_text(life["agreement"]["product"], reason)


def _add_agreement(root: Any, life: dict[str, Any]) -> None:
    agreement = life["agreement"]
    branch = add_branch(root, agreement["opened_at"], f"agreement {agreement['agreement_id']}")
    terms = output.words(agreement["terms"])
    add_leaves(
        branch,
        f"{party_name(agreement['payer'])} pays {party_name(life['payee'])} for "
        f"{agreement['product']} ({terms})",
        f"at most {money(agreement['cap'])} in {agreement['period_days']} days; "
        f"dispute window {agreement['window_s']} s; funding reference {agreement['reference']}",
    )


def _add_events(root: Any, life: dict[str, Any]) -> None:
    events, supporting, total = life["events"], life["supporting"], life["supporting_total"]
    _add_records(root, events, f"device {life['device']} signed {len(events)} records", len(events))
    names = list(dict.fromkeys(event["device"] for event in supporting))
    few = total["devices"] <= _DEVICES_NAMED
    devices = ", ".join(names) if few else f"{total['devices']} devices"
    title = f"cited or heard: {total['records']} records of {devices}"
    _add_records(root, supporting, title, total["records"])


def _add_records(root: Any, events: list[dict[str, Any]], title: str, count: int) -> None:
    if not events:
        return
    branch = add_branch(root, events[0]["observed_at"], title)
    half = _RECORDS_SHOWN // 2
    few = len(events) <= _RECORDS_SHOWN
    for event in events if few else events[:half]:
        _add_event(branch, event)
    if not few:
        where = "--json shows all of them"
        if count > len(events):
            where = f"--json shows {len(events)}, `proofrail audit export` all of them"
        add_leaves(branch, f"... {count - 2 * half} more; {where}")
        for event in events[-half:]:
            _add_event(branch, event)


def _add_event(branch: Any, event: dict[str, Any]) -> None:
    label = event["pagination"] or event["counter"]
    leaf = add_branch(branch, event["observed_at"], f"{label}  evidence {event['evidence']}")
    about = f"{event['kind']} about {event['subject']}" if event["subject"] else event["kind"]
    add_leaves(leaf, f"{_register_text(event) or about}, received {when(event['received_at'])}")
    signer = f", signed by {event['gateway']}" if event["gateway"] else ""
    add_leaves(leaf, f"assurance: {event['assurance']}{signer}")
    add_leaves(leaf, *_outcome_lines(event["outcomes"]))


def _outcome_lines(outcomes: list[dict[str, Any]]) -> list[str]:
    """Format what became of a record after its receipt, and whether its sender knows."""
    return [
        f"{when(outcome['at'])}  {outcome['outcome']}: {outcome['detail']} "
        + (
            f"(acknowledged by {outcome['sent_to']} {when(outcome['acknowledged_at'])})"
            if outcome["acknowledged_at"]
            else f"(not acknowledged by {outcome['sent_to']})"
        )
        for outcome in outcomes
    ]


def _register_text(event: dict[str, Any]) -> str:
    """Format a meter's register values; "" for records of other kinds."""
    readings = event["facts"].get("readings")
    if not readings or event["kind"] != "meter.reading":
        return ""
    values = dict.fromkeys(number(r["register"], "tEUR/6") for r in (readings[0], readings[-1]))
    return f"register {' to '.join(values)} kWh"


def _add_claim(root: Any, life: dict[str, Any]) -> None:
    claim = life["claim"]
    if claim is None:
        return
    branch = add_branch(
        root, life["started_at"], f"claim {claim['hash']}, number {life['sequence']}"
    )
    add_leaves(branch, output.words(claim["facts"]), f"evidence root {claim['evidence_root']}")


def _add_attestation(root: Any, life: dict[str, Any]) -> None:
    attestation = life["attestation"]
    if attestation is None:
        return
    signers = attestation["signatures"]
    domains = len({signer["domain"] for signer in signers})
    title = f"{len(signers)} oracles of {domains} trust domains signed batch {attestation['batch']}"
    branch = add_branch(root, attestation["at"], title)
    add_leaves(branch, *(f"{s['name']}  domain {s['domain']}  {s['oracle']}" for s in signers))
    used = {f"{signer['name']} signed" for signer in signers}
    others = [vote for vote in attestation["oracles"] if vote not in used]
    add_leaves(branch, *(f"other oracle: {vote}" for vote in others))


def _add_holds(root: Any, life: dict[str, Any]) -> None:
    for hold in life["holds"]:
        by = hold["held_by"]
        who = f"{'officer ' if by['officer'] else ''}{by['name'] or by['address']}"
        branch = add_branch(root, hold["held_at"], f"held by {who}, when {hold['stage_before']}")
        add_leaves(branch, f"reason: {hold['reason']}")
        if hold["decision"]:
            decided = f"{when(hold['decided_at'])}  two officers: {hold['decision']}"
            add_leaves(branch, f"{decided} (approval {hold['approval']})")
        if hold["next"]:
            branch.add(plain(f"next: {hold['next']}", "yellow"))


def _add_settlement(root: Any, life: dict[str, Any]) -> None:
    settlement = life["settlement"]
    if settlement is None:
        return
    depth = "final" if settlement["final"] else "not final yet"
    title = f"settlement {settlement['transaction']}, block {settlement['block']} ({depth})"
    branch = add_branch(root, settlement["at"], title)
    refusal = settlement["refusal"]
    outcome = f"refused: {_reason(life, refusal)}" if refusal else _moved(settlement)
    release = (
        f"; can be paid out from {when(settlement['release_at'])}"
        if settlement["release_at"]
        else ""
    )
    gas = f", {settlement['gas_used']} gas" if settlement["gas_used"] else ""
    add_leaves(
        branch, outcome + release, f"number {settlement['number']}, root {settlement['root']}{gas}"
    )


def _moved(settlement: dict[str, Any]) -> str:
    if int(settlement["amount"]) < 0:
        return f"{money(settlement)}: a debt of the payee to the agreement"
    return f"{money(settlement)} moved from escrow"


def _add_dispute(root: Any, life: dict[str, Any]) -> None:
    dispute = life["dispute"]
    if dispute is None:
        return
    title = (
        f"disputed by {party_name(dispute['challenger'])} with a bond of {money(dispute['bond'])}"
    )
    branch = add_branch(root, dispute["opened_at"], title)
    add_leaves(
        branch,
        *(
            f"{ruling['oracle']} rules {ruling['answer']}, decided by {ruling['decided_by']}"
            for ruling in dispute["rulings"]
        ),
    )
    if dispute["ended_at"]:
        add_branch(root, dispute["ended_at"], _dispute_end(dispute))
        return
    for move in dispute["next"]:
        who = party_name(move["who"]) if move["who"] else "anyone"
        times = [f"{word} {when(move[word])}" for word in ("until", "after") if word in move]
        add_leaves(branch, ", ".join([f"next: {who} may `{move['command']}`", *times]))


def _add_challenges(root: Any, life: dict[str, Any]) -> None:
    for item in life["challenges"]:
        who, bond = party_name(item["challenger"]), money(item["bond"])
        if item["verdict"] == "proven":
            title = f"{who} proved on chain that its {item['fault']} is bad; the bond came back"
        else:
            title = f"{who} called its {item['fault']} bad and lost {bond}: {item['verdict']}"
        add_branch(root, item["at"], title)


def _dispute_end(dispute: dict[str, Any]) -> str:
    """Format how a dispute ended, and what became of its bond."""
    kept = f", {money(dispute['kept'])} of it kept" if int(dispute["kept"]["amount"]) else ""
    end = f"refunded to the escrow{kept}" if dispute["refunded"] else "the payment stands"
    if dispute["bond_to"] is None:
        return f"dispute ended: {end}"
    fate = "returned to" if dispute["bond_returned"] else "forfeited to"
    return f"dispute ended: {end}; the bond was {fate} {party_name(dispute['bond_to'])}"


def _add_facts(root: Any, life: dict[str, Any]) -> None:
    branch = add_branch(root, None, "facts, in order")
    for fact in life["facts"]:
        add_leaves(branch, f"{when(fact['at'])}  {fact['fact']}  {fact['detail']}".rstrip())
