"""Deploy the contracts on a chain, once: `python -m scripts.deploy` and `ape run deploy`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.edges.chain import keystore
from orchestrator.edges.chain.artifacts import load_artifacts, product_contracts
from orchestrator.edges.chain.deployment import Deployment, deploy
from orchestrator.edges.chain.plan import DeploymentPlan
from orchestrator.errors import Halt, Retry

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT_DOMAINS = (1, 1, 2, 3)  # four oracles of three trust domains
_NAMED_ROLES = ("guardian", "minter", "registrar", "warden")
DEVELOPMENT_WARDEN = 30  # after the accounts that the demo's parties use


def development_plan(first: int = 0) -> DeploymentPlan:
    """Return the plan of a development chain, whose keys are public; other chains refuse them.

    Args:
        first: index of the deployer's account. Then follow steward, guardian, minter, registrar
            and four oracles; account `first` + 30 is the warden.
    """
    account = [keystore.development_account(first + index) for index in range(9)]
    oracles = [oracle.address for oracle in account[5:9]]
    return DeploymentPlan(
        deployer=account[0],
        steward=account[1],
        guardian=account[2].address,
        minter=account[3].address,
        registrar=account[4].address,
        warden=keystore.development_account(first + DEVELOPMENT_WARDEN).address,
        members=tuple(zip(oracles, DEVELOPMENT_DOMAINS, strict=True)),
        products=product_contracts(),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Deploy what is missing and print where the contracts are.

    Args:
        argv: the command line; None for `ape run deploy`, which uses the network of Ape.

    Returns:
        0 when everything is deployed, 1 after a message that says what to do next.
    """
    try:
        deployment = under_ape() if argv is None else _from_arguments(argv)
    except (Halt, Retry) as error:
        print(error, file=sys.stderr)
        return 1
    for name, address in deployment.addresses.items():
        print(f"{name:<16} {address}  block {deployment.blocks[name]}")
    check = "precompile" if deployment.p256_precompile else "Solidity fallback"
    print(f"chain {deployment.chain_id}, genesis {deployment.genesis[:18]}..., P-256 by {check}")
    return 0


def _from_arguments(argv: Sequence[str]) -> Deployment:
    parser = _parser()
    options = parser.parse_args(argv)
    missing = [f"--{role}" for role in _NAMED_ROLES if getattr(options, role) is None]
    if options.keys and missing:
        parser.error(f"with --keys every role has an address: {', '.join(missing)} is missing")
    plan = _plan(options) if options.keys else development_plan()
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
        members.append((address, int(domain)))
    return DeploymentPlan(
        deployer=keystore.load(options.keys, "deployer"),
        steward=keystore.load(options.keys, "steward"),
        guardian=options.guardian,
        minter=options.minter,
        registrar=options.registrar,
        warden=options.warden,
        members=tuple(members),
        products=product_contracts(),
        min_domains=options.min_domains,
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
        help="folder of the keystores deployer and steward; "
        "without it the public development keys are used (chain 31337 only)",
    )
    parser.add_argument("--guardian", help="address that may pause")
    parser.add_argument("--minter", help="address that mints against bank credits")
    parser.add_argument("--registrar", help="address that enrols devices")
    parser.add_argument("--warden", help="address that suspends devices whose records clash")
    parser.add_argument("--oracle", action="append", default=[], metavar="ADDRESS:DOMAIN")
    parser.add_argument("--min-domains", type=int, default=2)
    return parser


def _say(event: str) -> None:
    print(event, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
