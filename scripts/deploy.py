"""Deploy the contracts on a chain, once: `python -m scripts.deploy` and `ape run deploy`.

A finished deployment grows by `proofrail product deploy` and `proofrail chain move`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts, product_contracts
from orchestrator.edges.chain.deployment import Deployment, deploy, finished
from orchestrator.edges.chain.plan import (
    DEFAULT_DELAY_S,
    HOUR_S,
    DeploymentPlan,
    checksum,
    refuse_unsafe,
)
from orchestrator.errors import Halt, Retry
from services.development import DEVELOPMENT_WARDEN, development_plan

__all__ = ["DEVELOPMENT_WARDEN", "ROOT", "development_plan", "main", "under_ape"]

ROOT = Path(__file__).resolve().parent.parent
_NAMED_ROLES = ("steward", "guardian", "minter", "registrar", "warden")


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy what is missing and print where the contracts are.

    Args:
        argv: the command line; None for `ape run deploy`, which uses the network of Ape.

    Returns:
        0 when everything is deployed (or with --dry-run shown), 1 after a message that says what
        to do next.
    """
    try:
        deployment = under_ape() if argv is None else _from_arguments(argv)
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1
    if deployment is not None:
        _print_deployment(deployment)
    return 0


def _print_deployment(deployment: Deployment) -> None:
    for name, address in deployment.addresses.items():
        print(f"{name:<16} {address}  block {deployment.blocks[name]}")
    check = "precompile" if deployment.p256_precompile else "Solidity fallback"
    print(f"chain {deployment.chain_id}, genesis {deployment.genesis[:18]}..., P-256 by {check}")


def _from_arguments(argv: Sequence[str]) -> Deployment | None:
    from services.node_plan import node_identity  # it needs more than Ape's environment holds

    parser = _parser()
    options = parser.parse_args(argv)
    missing = [f"--{role}" for role in _NAMED_ROLES if getattr(options, role) is None]
    if options.keys and missing:
        parser.error(f"with --keys every role has an address: {', '.join(missing)} is missing")
    plan = _plan(options) if options.keys else development_plan()
    chain_id, genesis = node_identity(options.rpc)
    refuse_unsafe(plan, chain_id)
    if not finished(options.journal):
        print(f"Plan for chain {chain_id} at {options.rpc}, genesis {genesis}:", file=sys.stderr)
        print("\n".join(plan.lines()), file=sys.stderr)
    if options.dry_run:
        print("Nothing was sent. Leave --dry-run out to deploy.")
        return None
    return deploy(options.rpc, load_artifacts(), plan, options.journal, _say)


def under_ape() -> Deployment:
    """Return the deployment on the chain that Ape is connected to, made where it is missing."""
    from ape import networks  # Ape is for people at a console, never for the running service

    provider = networks.provider
    genesis = provider.get_block(0).hash.hex().removeprefix("0x")
    journal = ROOT / ".build" / "deployments" / f"{genesis[:16]}.json"
    uri = provider.http_uri or provider.uri
    return deploy(uri, load_artifacts(), development_plan(), journal, _say)


def _plan(options: argparse.Namespace) -> DeploymentPlan:
    members = []
    for entry in options.oracle:
        address, _, domain = entry.partition(":")
        members.append((checksum(address), int(domain)))
    return DeploymentPlan(
        deployer=keystore.load(options.keys, "deployer"),
        **{role: checksum(getattr(options, role)) for role in _NAMED_ROLES},
        members=tuple(members),
        products=product_contracts(),
        min_domains=options.min_domains,
        officers=tuple(map(checksum, options.officer)),
        delay_s=options.delay_hours * HOUR_S,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.deploy", description=__doc__)
    parser.add_argument("--rpc", required=True, help="the node's address")
    parser.add_argument(
        "--journal",
        required=True,
        type=Path,
        help="file of the deployment's steps; a second run resumes from it",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        help="folder of the deployer's keystore; without it the public development keys "
        "are used (chain 31337 only)",
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan, send nothing")
    parser.add_argument("--steward", help="address that lists products and seats, with the delay")
    parser.add_argument("--guardian", help="address that pauses, silences and cancels at once")
    parser.add_argument("--minter", help="address that mints against bank credits")
    parser.add_argument("--registrar", help="address that enrols devices")
    parser.add_argument("--warden", help="address that suspends devices whose records clash")
    parser.add_argument("--oracle", action="append", default=[], metavar="ADDRESS:DOMAIN")
    parser.add_argument("--min-domains", type=int, default=2)
    parser.add_argument("--officer", action="append", default=[], metavar="ADDRESS")
    parser.add_argument(
        "--delay-hours",
        type=int,
        default=DEFAULT_DELAY_S // HOUR_S,
        help="how long each of the steward's actions waits; at least 24",
    )
    return parser


def _say(event: str) -> None:
    print(event, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
