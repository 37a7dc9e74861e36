"""The file of a deployment: read in every version that was ever written, refused in later ones.

Deployment.load
├── given a file of 0.5.0, or of contracts 2 without a version: it should read it
├── given one saved by it: it should have the version and read as the same
└── given a later version, or no such file: it should refuse and say what to do
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from orchestrator.edges.chain.artifacts import load_artifacts
from orchestrator.edges.chain.deployment import Deployment
from orchestrator.edges.chain.journal_file import FILE_VERSION, read_journal
from orchestrator.errors import Halt
from tests.support.source_tree import ROOT

SAMPLES = {
    ROOT / "tests" / "data" / "released" / "0.5.0" / "deployment.json.gz": (1, "0.5.0"),
    ROOT / "tests" / "data" / "deployment_without_version.json.gz": (2, "0.6.0"),
}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_deployment__file_of_before_the_version__is_read_and_saved_with_one(sample, tmp_path):
    path = tmp_path / "deployment.json"
    path.write_bytes(gzip.decompress(sample.read_bytes()))
    assert "version" not in json.loads(path.read_bytes())
    deployment = Deployment.load(path)
    version, release = SAMPLES[sample]
    assert (deployment.version, deployment.release_of("PaymentRail")) == (version, release)
    assert deployment.rails == {} and deployment.named("EuroToken") == ("EuroToken",)
    saved = tmp_path / "saved.json"
    deployment.save(saved)
    assert json.loads(saved.read_bytes())["version"] == FILE_VERSION
    assert Deployment.load(saved) == deployment


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"version": 3}', "use the release that wrote it"),
        (b"[]", "is not a deployment journal"),
        (b"{", "is not a deployment journal"),
        (b'{"version": 2, "steps": {}}', "is unfinished"),
        (b"", "is not a deployment journal"),
    ],
)
def test_deployment__file_that_is_none_of_ours__is_refused(content: bytes, text: str, tmp_path):
    path: Path = tmp_path / "deployment.json"
    path.write_bytes(content)
    with pytest.raises(Halt, match=text):
        Deployment.load(path)
    assert path.read_bytes() == content


def test_journal__absent__is_empty(tmp_path):
    assert read_journal(tmp_path / "deployment.json") == {}


def test_artifacts__contract_of_a_former_release__has_the_interface_of_then():
    """A release whose interfaces did not change since has no folder."""
    artifacts = load_artifacts()
    token = artifacts["EuroToken@0.4.0"]
    assert token.abi == artifacts["EuroToken@0.5.0"].abi != artifacts["EuroToken"].abi
    energy = artifacts["MeteredEnergy@0.6.1"]
    assert energy.abi == artifacts["MeteredEnergy"].abi
    assert (energy.bytecode, energy.code_hash) == ("", "")
    for name in ("Nothing@0.5.0", "Nothing", "RailAccess@"):
        with pytest.raises(KeyError):
            artifacts[name]
