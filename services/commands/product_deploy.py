"""`proofrail product deploy`: creates a product's contract for a running rail."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import Home
from orchestrator.commands.output import Json, plain, when
from orchestrator.commands.role_calls import DryRun, PasswordFile, Yes, rail_of
from orchestrator.errors import Halt
from services.commands.deployer import Payer, payer_account, payer_address, sole_deployer

if TYPE_CHECKING:
    from orchestrator.edges.chain.product_addition import ProductAddition
    from services.node_plan import NodePlan

app = typer.Typer(rich_markup_mode=None)
_Contract = Annotated[
    str, typer.Argument(metavar="PRODUCT", help="Name of a product's contract of this release.")
]
_PARTS = {"PaymentRail": "rail", "DeviceRegistry": "registry", "EuroToken": "token"}
_RESTART = "`proofrail down` and `proofrail up`, so that the service knows the contract"


@dataclass(frozen=True)
class _Addition:
    """What would be added, and what the chain says about it.

    Attributes:
        is_there: Whether the deployment has the product with this very code.
        stewards: The addresses that may list it.
        delay_s: How long their calls wait.
    """

    product: ProductAddition
    node: NodePlan
    is_there: bool
    stewards: list[str]
    delay_s: int


@app.command("deploy")
def deploy_(
    context: typer.Context,
    product: _Contract,
    keystore: Payer = None,
    password_file: PasswordFile = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Create a product's contract for this rail. A former version stays, and settles on.

    It gets no power: `proofrail product add` lists it for new agreements, after the steward's
    delay. A run that was killed goes on where it stopped; a second one sends nothing.
    """
    from orchestrator.edges.chain.artifacts import product_contracts

    if product not in product_contracts():
        raise Halt(
            f"{product} is no product of this release. Nothing was sent. Next: name one of "
            f"{', '.join(product_contracts())}; docs/ADDING.md says how to make another one."
        )
    options = (keystore, password_file, dry_run, yes, as_json)
    deploy_contract(rail_of(context), product, *options)


def deploy_contract(
    home: Home,
    name: str,
    keystore: Path | None,
    password_file: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Show the creation of one contract of this release, and carry it out unless it is there.

    Args:
        home: The rail's home.
        name: The contract: a product, or the factory of waterfalls.
        keystore: Who pays; None: the home's deployer.
        password_file: Of that keystore.
        dry_run: Whether to show it only.
        yes: Whether to leave the question out.
        as_json: Whether to print JSON.
    """
    with sole_deployer(home):
        addition = _plan(home, name, payer_address(home, keystore))
        view = _view(addition, sent=False)
        if not (dry_run or addition.is_there):
            _ask(view, yes, as_json)
            view = _carry_out(home, addition, keystore, password_file, as_json)
    output.show(view, as_json, lambda console: _print(console, view))


def _plan(home: Home, name: str, payer: str) -> _Addition:
    from orchestrator.edges.chain.artifacts import load_artifacts
    from orchestrator.edges.chain.deployment_check import DeployedContracts, role_holders
    from orchestrator.edges.chain.plan import Role
    from orchestrator.edges.chain.product_addition import (
        ProductAddition,
        is_there,
        refuse_former_contracts,
    )
    from services.node_plan import NodePlan, creation_gas, gas_money

    deployment, artifacts, url = home.deployment, load_artifacts(), home.chain.url
    refuse_former_contracts(deployment)
    deployed = DeployedContracts(home.chain.web3, artifacts, deployment.addresses)
    roles = role_holders(deployed, deployment.block_number)
    gas = creation_gas(artifacts[name])
    signers = {"payer": (payer, *gas_money(url, payer, gas))}
    node = NodePlan(url, deployment.chain_id, deployment.genesis, {name: ""}, signers, gas)
    return _Addition(
        ProductAddition(name, deployment),
        node,
        is_there(home.chain.web3, artifacts[name], deployment),
        [account for role, account, _ in roles if role == Role.STEWARD],
        deployed.view("RailAccess", "delay"),
    )


def _ask(view: dict[str, Any], yes: bool, as_json: bool) -> None:
    if yes:
        return
    if as_json:
        raise Halt("With --json nothing is asked. Nothing was sent. Add --yes to deploy.")
    _print(output.console(errors=True), view)
    typer.confirm("Deploy it?", abort=True, err=True)


def _carry_out(
    home: Home, addition: _Addition, keystore: Path | None, password_file: str | None, quiet: bool
) -> dict[str, Any]:
    """Deploy the product; return the view of it."""
    from dataclasses import replace

    from orchestrator.edges.chain.artifacts import load_artifacts
    from orchestrator.edges.chain.extension import extend, pending_extension
    from services.node_plan import refuse_unpaid

    path = home.settings.deployment
    if pending_extension(path) is None:  # else it may be paid already
        refuse_unpaid(addition.node)
    account = payer_account(home, keystore, password_file)
    product = replace(addition.product, deployer=account)

    def say(event: str) -> None:
        if not quiet:
            output.console(errors=True).print(plain(f"  {event}"))

    deployment = extend(addition.node.url, load_artifacts(), product, path, say)
    done = replace(product, deployment=deployment)
    view = _view(replace(addition, is_there=True), sent=True)
    return view | {
        "address": deployment.addresses[done.contract],
        "block": deployment.blocks[done.contract],
    }


def _view(addition: _Addition, *, sent: bool) -> dict[str, Any]:
    """Return the JSON view of an addition: amounts in wei, times in Unix seconds."""
    product, node = addition.product, addition.node
    at = product.deployment.addresses
    payer, needs, has = node.signers["payer"]
    there = addition.is_there and not sent
    former = None if there or product.former is None else product.former
    return {
        "product": product.contract,
        "state": "deployed" if addition.is_there else "to_deploy",
        "sent": sent,
        "address": at[product.contract] if there else None,
        "block": product.deployment.blocks[product.contract] if there else None,
        "chain_id": node.chain_id,
        "genesis": node.genesis,
        "constructor": dict(zip(map(_PARTS.get, product.parts), product.arguments(), strict=True)),
        "former": former and {"name": former, "address": at[product.contract]},
        "payer": {"address": payer, "needs_wei": str(needs), "has_wei": str(has)},
        "gas": node.gas,
        **_after(addition),
    }


def _after(addition: _Addition) -> dict[str, Any]:
    """Return what comes after the creation: a product is listed, a factory is used at once."""
    from orchestrator.edges.chain.plan import WATERFALLS

    name = addition.product.contract
    if name == WATERFALLS:
        return {"next": [_RESTART, "`proofrail waterfall create`"]}
    return {
        "listed_by": addition.stewards,
        "delay_s": addition.delay_s,
        "listed_from": int(time.time()) + addition.delay_s,
        "next": [_RESTART, f"`proofrail product add {name}` (the steward)"],
    }


def _print(console: Any, view: dict[str, Any]) -> None:
    from services.node_plan import ether

    def line(text: str) -> None:
        console.print(plain(text), soft_wrap=True)

    name, is_there = view["product"], view["state"] == "deployed"
    line(f"chain {view['chain_id']}, genesis {view['genesis']}")
    if is_there:
        done = "is deployed" if view["sent"] else "is deployed already, with this very code,"
        line(f"{name} {done} at {view['address']}, block {view['block']}")
    else:
        arguments = ", ".join(f"{key}: {value}" for key, value in view["constructor"].items())
        line(f"create {name}({arguments})")
        payer = view["payer"]
        line(
            f"paid by {payer['address']}: at most {view['gas']:,} gas, "
            f"{ether(int(payer['needs_wei']))} of its {ether(int(payer['has_wei']))}"
        )
    if view["former"]:
        line(f"{view['former']['address']} is called {view['former']['name']}, and settles on")
    if "listed_by" in view:
        line(_listing(view))
    if not is_there:
        line("Nothing was sent yet.")
        return
    for number, step in enumerate(view["next"], 1):
        line(f"Next {number}: {step}")


def _listing(view: dict[str, Any]) -> str:
    return (
        f"listed by the steward {', '.join(view['listed_by'])}; scheduled now, that can be made "
        f"from {when(view['listed_from'])} UTC on"
    )
