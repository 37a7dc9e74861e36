"""Adds contracts to a finished deployment, with the guarantees of its first steps.

The file keeps the deployment as it was, and the new steps next to it, until all of them are done
and checked; then both change at once. So the rail runs on in between, and a run that was killed
goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import requests
from web3 import Web3
from web3.exceptions import Web3Exception

from orchestrator.edges.chain.artifacts import Artifact
from orchestrator.edges.chain.deployment import Deployment, chain_identity, refuse_other_chain
from orchestrator.edges.chain.deployment_steps import (
    DeploymentRun,
    DeploymentStep,
    take,
    wait_until_final,
)
from orchestrator.edges.chain.ethereum import LocalAccount
from orchestrator.edges.chain.journal_file import read_journal, write_journal
from orchestrator.edges.chain.plan import public_keys
from orchestrator.errors import Halt, Retry


class Extension(Protocol):
    """What a finished deployment gets."""

    @property
    def title(self) -> str:
        """Return what it is, in words that the file keeps."""

    @property
    def deployer(self) -> LocalAccount:
        """Return who signs and pays."""

    def addresses(self) -> list[str]:
        """Return every address that gets a role or pays."""

    def meaning(self, artifacts: Mapping[str, Artifact]) -> Any:
        """Return as JSON what must be the same when a killed run goes on."""

    def begin(self, run: DeploymentRun, deployment: Deployment) -> None:
        """Look at the chain before the first step, and refuse what cannot be."""

    def steps(self, at: Mapping[str, str]) -> Iterator[DeploymentStep]:
        """Yield the steps in order."""

    def finish(self, run: DeploymentRun, deployment: Deployment) -> Deployment:
        """Check what was made, and return what the deployment becomes."""


def pending_extension(path: Path) -> str | None:
    """Return the title of what is being added to a deployment; None if nothing is."""
    entry = read_journal(path).get("extension")
    return entry["title"] if entry else None


def steps_done(path: Path) -> int:
    """Return how many steps of what is being added to a deployment were done."""
    steps = read_journal(path).get("extension", {}).get("steps", {})
    return sum("block" in step for step in steps.values())


def extend(
    url: str,
    artifacts: Mapping[str, Artifact],
    extension: Extension,
    path: Path,
    watch: Callable[[str], None] = lambda event: None,
) -> Deployment:
    """Add to the deployment in a file what the extension names, and return what it became.

    Args:
        url: The node.
        artifacts: The compiled contracts by name.
        extension: What is added.
        path: The deployment's file.
        watch: Called with "signed NAME", "sent NAME" and "done NAME".

    Raises:
        Halt: The file is of another chain, something else is half added, the keys are public, a
            step reverted, or the contracts are not what they should be at the end.
        Retry: The node does not answer.
    """
    web3 = Web3(Web3.HTTPProvider(url, cache_allowed_requests=True))
    try:
        deployment = Deployment.load(path)
        run = _begin(web3, artifacts, extension, path, watch)
        extension.begin(run, deployment)
        for step in extension.steps(run.addresses):
            take(run, step)
        return _finish(run, extension, deployment)
    except (Web3Exception, requests.RequestException) as error:
        raise Retry(f"the node at {url} gave no usable answer: {error}") from error


def _begin(
    web3: Web3,
    artifacts: Mapping[str, Artifact],
    extension: Extension,
    path: Path,
    watch: Callable[[str], None],
) -> DeploymentRun:
    chain_id, genesis = chain_identity(web3)
    journal = read_journal(path)
    refuse_other_chain(path, journal["deployment"], chain_id, genesis)
    if problem := next(public_keys(extension.addresses(), chain_id), None):
        raise Halt(f"Nothing is added to the deployment: {problem} Nothing was sent.")
    meaning = json.dumps(extension.meaning(artifacts))
    digest = hashlib.sha256(meaning.encode()).hexdigest()
    fresh = {"title": extension.title, "plan": digest, "steps": {}}
    entry = journal.setdefault("extension", fresh)
    if entry["title"] != extension.title:
        raise Halt(
            f"{path} has {entry['title']} half added. Nothing was sent. Next: finish that with the "
            "command that began it."
        )
    if entry["plan"] != digest:
        raise Halt(
            f"{path} has {entry['title']} half added, of other contracts or other roles. Nothing "
            "was sent. Next: finish it with the release and the settings that began it."
        )
    return DeploymentRun(web3, artifacts, path, journal, entry, watch)


def _finish(run: DeploymentRun, extension: Extension, deployment: Deployment) -> Deployment:
    became = extension.finish(run, deployment)
    wait_until_final(run)
    run.journal["deployment"] = asdict(became)
    run.journal.setdefault("extensions", []).append(run.journal.pop("extension"))
    write_journal(run.path, run.journal)
    return became
