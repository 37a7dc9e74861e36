"""`proofrail waterfall deploy`: creates the factory of waterfalls for a running rail."""

from __future__ import annotations

import typer

from orchestrator.commands.output import Json
from orchestrator.commands.role_calls import DryRun, PasswordFile, Yes, rail_of
from services.commands.deployer import Payer
from services.commands.product_deploy import deploy_contract

app = typer.Typer(rich_markup_mode=None)


@app.command("deploy")
def deploy_(
    context: typer.Context,
    keystore: Payer = None,
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Create the factory of waterfalls for a rail of an earlier release. It has no power.

    A rail that was made by this release has it. A run that was killed goes on where it stopped; a
    second one sends nothing.
    """
    from orchestrator.edges.chain.plan import WATERFALLS

    options = (keystore, password_file, dry_run, yes, as_json)
    deploy_contract(rail_of(context), WATERFALLS, *options)
