"""The contracts of an earlier release, with their code: tests deploy a rail of that release."""

from __future__ import annotations

import gzip
import json

from orchestrator.edges.chain.artifacts import Artifact
from tests.support.released import FOLDER

RELEASE = "0.5.0"


def former_artifacts(release: str = RELEASE) -> dict[str, Artifact]:
    """Return the contracts of a release by `name@release`."""
    raw = gzip.decompress((FOLDER / release / "contracts.json.gz").read_bytes())
    return {
        f"{name}@{release}": Artifact(name, part["abi"], part["bytecode"], 0, "", [])
        for name, part in json.loads(raw).items()
    }
