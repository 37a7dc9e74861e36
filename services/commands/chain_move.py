"""`proofrail chain move`: puts the contracts of this release next to those of release 0.5.0."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home, home_of
from orchestrator.commands.output import Json, plain
from orchestrator.commands.role_calls import DryRun, PasswordFile, Yes
from orchestrator.errors import Halt, Retry
from services.commands.deployer import Payer, payer_account, sole_deployer

if TYPE_CHECKING:
    from orchestrator.edges.chain.deployment import Deployment
    from orchestrator.edges.chain.plan import DeploymentPlan
    from orchestrator.settings import Settings
    from services.node_plan import NodePlan

app = typer.Typer(rich_markup_mode=None)
_START_S = 120.0  # how long the local chain may take to serve
_NEXT = (
    "`proofrail down` and `proofrail up`, so that the service knows them",
    "`proofrail agreement list`, then `proofrail agreement move` for each",
)


@dataclass(frozen=True)
class _Move:
    """What would be deployed, where, and who pays; None where the rail moved already."""

    former: Deployment
    plan: DeploymentPlan | None
    node: NodePlan | None


@app.command("move")
def move(
    context: typer.Context,
    keystore: Payer = None,
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Deploy the contracts of this release next to those of release 0.5.0.

    Who has a role there has it here. The rail may run; it knows them from its next start. The
    token stays. What is on the former contracts is settled and paid out there; agreements move one
    by one (`proofrail agreement move`). A run that was killed goes on where it stopped.
    """
    home = home_of(context)
    with node_of(home.settings), sole_deployer(home):
        rail = _plan(home, keystore, password_file)
        view = _view(home.settings, rail, None)
        if rail.plan is not None and not dry_run:
            _ask(view, yes, as_json)
            view = _view(home.settings, rail, _carry_out(home, rail, as_json))
    output.show(view, as_json, lambda console: _print(console, view))


@contextmanager
def node_of(settings: Settings) -> Iterator[None]:
    """Serve the home's own chain within the block, where it has one and that is stopped."""
    from services import processes
    from services.node_plan import node_identity

    if not settings.chain_embedded:
        yield
        return
    try:
        node_identity(settings.rpc_url)
    except Retry:
        process = processes.chain_process(settings)
        child = processes.start(process, settings.logs)
        try:
            _wait(process, child, settings)
            yield
        finally:
            child.terminate()
            child.join()
    else:
        yield


def _wait(process: Any, child: Any, settings: Settings) -> None:
    deadline = time.monotonic() + _START_S
    while not process.serves():
        if child.exitcode is not None or time.monotonic() > deadline:
            raise Halt(
                "The local chain does not start. Nothing was sent. Next: see "
                f"{settings.logs / 'chain.log'}."
            )
        time.sleep(0.02)


def _plan(home: Home, keystore: Path | None, password_file: str | None) -> _Move:
    from orchestrator.edges.chain.artifacts import load_artifacts
    from orchestrator.edges.chain.client import Chain
    from orchestrator.edges.chain.rail_succession import succession_plan
    from services.node_plan import plan_deployment
    from services.set_up import plan_of_former_rail

    settings, former, artifacts = home.settings, home.deployment, load_artifacts()
    if former.version > 1:
        return _Move(former, None, None)
    chain = Chain(settings.rpc_url, former, artifacts_of(former, artifacts))
    chain.check_identity()
    account = payer_account(home, keystore, password_file)
    plan = succession_plan(plan_of_former_rail(settings, account, chain), former, artifacts)
    return _Move(former, plan, plan_deployment(settings, plan))


def artifacts_of(former: Deployment, artifacts: Any) -> dict[str, Any]:
    """Return {contract of a former deployment: its interface}, under the names that it has."""
    return {name: artifacts[f"{name}@{former.release_of(name)}"] for name in former.addresses}


def _ask(view: dict[str, Any], yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json:
        raise Halt("With --json nothing is asked. Nothing was sent. Add --yes to deploy.")
    _print(output.console(errors=True), view)
    typer.confirm("Deploy them?", abort=True, err=True)


def _carry_out(home: Home, rail: _Move, quiet: bool) -> Deployment:
    from orchestrator.edges.chain.artifacts import load_artifacts
    from orchestrator.edges.chain.extension import extend, pending_extension
    from orchestrator.edges.chain.keystore import write_private
    from orchestrator.edges.chain.rail_succession import RailSuccession
    from services.node_plan import refuse_unpaid

    path, copy = home.settings.deployment, backup_of(home.settings, rail.former)
    if pending_extension(path) is None:  # else some of it is paid already
        refuse_unpaid(rail.node)
    if not copy.exists():
        write_private(copy, path.read_bytes())

    def say(event: str) -> None:
        if not quiet:
            output.console(errors=True).print(plain(f"  {event}"))

    return extend(home.settings.rpc_url, load_artifacts(), RailSuccession(rail.plan), path, say)


def backup_of(settings: Settings, former: Deployment) -> Path:
    """Return where the file of the former contracts is kept."""
    release = former.release_of("PaymentRail")
    return settings.deployment.with_name(f"{settings.deployment.stem}-{release}.json")


def _view(settings: Settings, rail: _Move, became: Deployment | None) -> dict[str, Any]:
    """Return the JSON view of a move; amounts in wei."""
    if rail.plan is None or rail.node is None:
        return {
            "state": "moved",
            "sent": False,
            "chain_id": rail.former.chain_id,
            "genesis": rail.former.genesis,
            "contracts": rail.former.addresses,
            "next": list(_NEXT),
        }
    from orchestrator.edges.chain.extension import steps_done

    payer, needs, has = rail.node.signers["deployer"]
    return {
        "state": "to_move" if became is None else "moved",
        "sent": became is not None,
        "chain_id": rail.node.chain_id,
        "genesis": rail.node.genesis,
        "contracts": rail.node.contracts if became is None else became.addresses,
        "plan": list(rail.plan.lines()),
        "former": rail.former.addresses,
        "steps_done": steps_done(settings.deployment),
        "backup": str(backup_of(settings, rail.former)),
        "payer": {"address": payer, "needs_wei": str(needs), "has_wei": str(has)},
        "gas": rail.node.gas,
        "next": list(_NEXT),
    }


def _sent_before(steps: int) -> str:
    """Return what an earlier run sent."""
    if not steps:
        return "Nothing was sent yet."
    return f"A run that was cut off has done {steps} steps; the next run goes on behind them."


def _print(console: Any, view: dict[str, Any]) -> None:
    from services.node_plan import ether

    def line(text: str) -> None:
        console.print(plain(text), soft_wrap=True)

    line(f"chain {view['chain_id']}, genesis {view['genesis']}")
    if view["state"] == "to_move":
        for text in view["plan"]:
            line(text)
        payer = view["payer"]
        line(
            f"gas: at most {view['gas']:,}, {ether(int(payer['needs_wei']))} of the "
            f"{ether(int(payer['has_wei']))} of {payer['address']}"
        )
        line(f"The present file is kept as {view['backup']}. {_sent_before(view['steps_done'])}")
        return
    if not view["sent"]:
        line("The contracts are of this release's kind already. Nothing was sent.")
    for name, address in view["contracts"].items():
        line(f"{name:<24} {address}")
    for number, step in enumerate(view["next"], 1):
        line(f"Next {number}: {step}")
