"""`proofrail payment challenge`: proves on chain that a payment rests on a bad record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.chain_call import DryRun, print_calls
from orchestrator.commands.home import Home, home_of, patience
from orchestrator.commands.output import Json, plain, table
from orchestrator.commands.party import keystore_of, party_of
from orchestrator.core.challenge import RecordFault
from orchestrator.errors import Halt

if TYPE_CHECKING:
    from orchestrator.core.challenge import ProvenClaim
    from orchestrator.edges.chain.client import Call
    from orchestrator.operations.challenges import ChallengeCost, ChallengeFinding

app = typer.Typer(
    name="payment",
    help="Hold or dispute a payment, prove its fault, end disputes.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_LONG = 200  # characters of an argument that people read


@app.command()
def challenge(
    context: typer.Context,
    payment: Annotated[
        str | None,
        typer.Argument(metavar="[PAYMENT]", help="The payment's id, or its beginning."),
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Its audit bundle, where the payment is not in this home.")
    ] = None,
    fault: Annotated[
        RecordFault | None, typer.Option(help="Look for this fault only; left out: for every one.")
    ] = None,
    record: Annotated[
        int | None, typer.Option(min=1, help="Only the record at this position, from 1.")
    ] = None,
    other: Annotated[
        str | None,
        typer.Option(help="Another payment (id or bundle) that was paid for the same counter."),
    ] = None,
    party: Annotated[
        str | None, typer.Option(help="Who challenges, by name or address; else the payer.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Prove that a payment rests on a bad record: no oracle is asked.

    Every record of the payment is held against the registry and the claim. A proved fault refunds
    the payer and bars the oracles that attested it; the bond comes back at once. Once a dispute of
    the payment has ended, nothing is refunded, but who attested it is barred all the same, until 30
    days after the dispute window. A challenge that would fail is not sent, because it would cost
    the bond.

    Exit code 0: a fault is proved (or sent). 1: none can be proved.
    """
    from orchestrator.edges.chain.sender import Sender, send_in_turn
    from orchestrator.operations.challenges import (
        challenge_calls,
        challenge_cost,
        findings,
        refunds_payer,
        require_challenges,
    )

    home = home_of(context)
    require_challenges(home.chain)
    proven = _proven(home, payment, bundle)
    against = _other(home, other) if other else None
    faults = [fault] if fault else tuple(RecordFault)
    answers = findings(home.chain, proven, faults, record, against)
    best = next((item for item in answers if item.is_proven), None)
    caller = party_of(home, party).address if party else _payer(home, proven)
    cost = challenge_cost(home.chain, proven, caller)
    if best is None:
        _show(home, proven, answers, cost, caller, as_json)
        raise typer.Exit(output.NO)
    calls = challenge_calls(home.chain, best, cost, caller)
    gas, hashes = _gas(home, caller, best), None
    refunds = refunds_payer(home.chain, proven)
    if not dry_run:
        sender = Sender(home.store, home.chain, keystore_of(home, party_of(home, caller)))
        hashes = send_in_turn(sender, calls, int(time.time()), patience())
    _show(home, proven, answers, cost, caller, as_json, best, calls, hashes, gas, refunds)


def _proven(home: Home, payment: str | None, bundle: Path | None) -> ProvenClaim:
    from orchestrator.operations.challenges import proven_from_bundle, proven_from_store
    from orchestrator.views.trace import find

    if (payment is None) == (bundle is None):
        raise Halt(
            "A challenge is about one payment: give its id, or its audit bundle with --bundle. "
            "Nothing was sent."
        )
    if bundle is not None:
        return proven_from_bundle(home.chain, _read_bundle(bundle))
    with home.store.read() as session:
        match = find(session, payment)
        if match.kind != "payment":
            raise Halt(
                f"{payment!r} is the id of another thing ({match.kind} {match.id}), and a "
                "challenge is about one payment. Nothing was sent. Next: `proofrail trace` lists "
                "its payments."
            )
        return proven_from_store(session, home.chain, match.id)


def _other(home: Home, text: str) -> ProvenClaim:
    file = Path(text)
    return _proven(home, None, file) if file.is_file() else _proven(home, text, None)


def _read_bundle(file: Path) -> dict[str, Any]:
    from orchestrator.commands.audit import read_bundle
    from orchestrator.core.audit.bundle import check_shape

    bundle = read_bundle(file)
    check_shape(bundle)
    return bundle


def _payer(home: Home, proven: ProvenClaim) -> str:
    return home.chain.view("PaymentRail", "agreementTerms", proven.claim.agreement)[0]


def _show(
    home: Home,
    proven: ProvenClaim,
    answers: Sequence[ChallengeFinding],
    cost: ChallengeCost,
    caller: str,
    as_json: bool,
    best: ChallengeFinding | None = None,
    calls: Sequence[Call] = (),
    hashes: Sequence[str] | None = None,
    gas: int | None = None,
    refunds: bool = False,
) -> None:
    from orchestrator.edges.chain.call_text import call_view

    view: dict[str, Any] = {
        "payment": proven.payment,
        "records": len(proven.records),
        "findings": [_finding_view(item) for item in answers],
        "proven": best.case.fault if best else None,
        "refunds": refunds,
        "barred": best.barred if best else 0,
        "bond": _micro(cost.bond_micro),
        "balance": _micro(cost.balance_micro),
        "gas": gas,
        "sent": hashes is not None,
        "calls": [call_view(home.deployment, caller, call) for call in calls],
        "transactions": list(hashes or ()),
    }
    output.show(view, as_json, lambda console: _print(console, view))


def _gas(home: Home, caller: str, best: ChallengeFinding) -> int:
    """Return about what the proof costs: that of the contract's reading, without the payments."""
    from orchestrator.edges.chain.client import Call
    from orchestrator.operations.challenges import CONTRACT

    return home.chain.quote(caller, Call(CONTRACT, "judge", (best.case.arguments,))).gas


def _finding_view(finding: ChallengeFinding) -> dict[str, Any]:
    case = finding.case
    end = {True: "end", False: "begin"}[case.at_end] if case.fault is RecordFault.REGISTER else None
    return {
        "record": case.record,
        "fault": case.fault,
        "reading": end,
        "answer": finding.answer,
        "text": finding.text,
        "barred": finding.barred,
    }


def _print(console: Any, view: dict[str, Any]) -> None:
    rows = [
        (
            str(item["record"]),
            " ".join(filter(None, (item["fault"], item["reading"]))),
            item["answer"],
            item["text"],
        )
        for item in view["findings"]
    ]
    console.print(table("records", ("record", "fault", "answer", "in words"), rows))
    if view["proven"] is None:
        console.print(plain("no fault can be proved on chain; nothing was sent"))
        return
    console.print(
        plain(
            f"proved: {view['proven']}; it {_refund(view)}; it bars {view['barred']} oracles; the "
            f"bond of {output.money(view['bond'])} comes back at once; reading the proof takes "
            f"about {view['gas']:,} gas"
        ),
        soft_wrap=True,
    )
    print_calls(console, [_short(call) for call in view["calls"]], view["sent"])
    for tx_hash in view["transactions"]:
        console.print(plain(f"sent in {tx_hash}"), soft_wrap=True)


def _refund(view: dict[str, Any]) -> str:
    return "refunds the payer" if view["refunds"] else "refunds nothing, a dispute has ended"


def _short(call: dict[str, Any]) -> dict[str, Any]:
    """Return the view of a call with its records cut, which people cannot read in hex."""
    return {**call, "arguments": {name: _cut(value) for name, value in call["arguments"].items()}}


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_cut(item)}" for name, item in value.items())
    if isinstance(value, list):
        return f"[{', '.join(str(_cut(item)) for item in value)}]"
    text = str(value)
    return f"{text[:_LONG]}... ({len(text) // 2 - 1} bytes)" if len(text) > _LONG else value


def _micro(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "asset": "tEUR/6"}
