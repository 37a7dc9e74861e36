"""A deeply nested document is refused by every decoder and ends no process.

The limit on Python's recursion is what stops it. Importing the chain's libraries raises that limit
(orchestrator/edges/chain/ethereum.py), so all of this runs in a process that has imported them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from device_adapters.registry import protocols

ROOT = Path(__file__).resolve().parents[3]
REASONS = {"too_deep", "too_large", "malformed", "signature_missing", "not_xml", "refused"}


@pytest.fixture(scope="module")
def outcomes():
    answer = subprocess.run(
        [sys.executable, "-m", "tests.support.deep_documents"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, f"ended with {answer.returncode}: {answer.stderr[-2000:]}"
    view = json.loads(answer.stdout.splitlines()[-1])
    assert view["limit"] == 1_000
    return view["outcomes"]


@pytest.mark.long
def test_decoders__deeply_nested__refuse_with_a_reason(outcomes):
    decoders = ["strict_json", "oracle wire", "bank reading", "bank file", "bank order", "bundle"]
    decoders += [f"{name} {place}" for name in protocols() for place in ("bare", "inside")]
    for decoder in decoders:
        rows = {name: result for name, result in outcomes.items() if name.startswith(decoder)}
        assert rows and set(rows.values()) <= REASONS, rows
    assert outcomes["strict_json lists"] == outcomes["oracle wire objects"] == "too_deep"


def test_commands__deeply_nested_file__end_with_a_message(outcomes):
    for command in ("audit verify", "evidence check", "bank parse"):
        rows = {name: result for name, result in outcomes.items() if name.startswith(command)}
        assert rows and set(rows.values()) <= {"exit code 1", "exit code 2"}, rows


def test_http__deeply_nested_body__is_refused_and_the_server_lives(outcomes):
    rows = {name: result for name, result in outcomes.items() if name.startswith("/")}
    assert rows and all(result.startswith("status 4") for result in rows.values()), rows
    assert outcomes["the server afterwards"] == "status 200"
