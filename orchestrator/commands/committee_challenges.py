"""`proofrail committee`: which contract proves faults of payments, and so bars oracles."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.commands.committee import address_of
from orchestrator.commands.role_calls import (
    CallOptions,
    make_call,
    rail_of,
    role_command,
)

app = typer.Typer(
    name="committee",
    help="Seat, unseat and silence oracles on chain.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_NONE = "0x" + "00" * 20


@app.command()
@role_command
def challenges(
    context: typer.Context,
    options: CallOptions,
    contract: Annotated[
        str | None,
        typer.Argument(help="Address of a Challenges; left out: the one of this deployment."),
    ] = None,
) -> None:
    """Name the contract for challenges of this rail. The steward's call, after the delay.

    Warning: its code refunds payments and bars oracles. Check it before its time comes.
    """
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role
    from orchestrator.operations.challenges import CONTRACT, require_challenges

    home = rail_of(context)
    if contract is None:
        require_challenges(home.chain)
        contract = home.deployment.addresses[CONTRACT]
    wanted = address_of(contract, "`proofrail chain scheduled` shows what waits.")
    rail = home.deployment.addresses["PaymentRail"]
    is_done = home.chain.view("OracleCommittee", "challengesOf", rail) == wanted
    call = Call("OracleCommittee", "setChallenges", (rail, wanted))
    make_call(home, call, Role.STEWARD, options, is_done=is_done)


@app.command("stop-challenges")
@role_command
def stop_challenges(
    context: typer.Context,
    options: CallOptions,
) -> None:
    """End challenges of this rail's payments, at once. The guardian's call."""
    from orchestrator.edges.chain.calls import Call
    from orchestrator.edges.chain.plan import Role

    home = rail_of(context)
    rail = home.deployment.addresses["PaymentRail"]
    is_done = home.chain.view("OracleCommittee", "challengesOf", rail) == _NONE
    call = Call("OracleCommittee", "stopChallenges", (rail,))
    make_call(home, call, Role.GUARDIAN, options, is_done=is_done)
