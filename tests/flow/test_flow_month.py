"""A small form of the month: the same days and the same troubles, in a smaller town."""

from __future__ import annotations

import json
import subprocess
import sys

from scripts.deploy import ROOT
from scripts.month.faults import FAULTS

_PATIENCE_S = 1_200  # two cores may be shared with the rest of the tests


def test_month__with_every_trouble__comes_out_as_planned_to_the_cent(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "scripts.month",
            "--scale",
            "0.04",
            "--json",
            "--home",
            str(tmp_path / "month"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
    )
    assert done.stdout, done.stderr[-2_000:]
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["ok"], told["wrong"]
    named = {kind: pair["named"] for kind, pair in told["breaks"].items()}
    injected = [kind for trouble in FAULTS for kind in trouble.breaks]
    assert named == {kind: injected.count(kind) for kind in injected}
    assert len(told["reserves"]) > 20  # a proof for each statement, but for the one never sent
    assert all(row["difference_micro"] == 0 for row in told["reserves"])
