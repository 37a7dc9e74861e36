"""A small month: the same days and the same faults, with fewer devices."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scripts.deploy import ROOT
from scripts.month.faults import FAULTS

_PATIENCE_S = 1_200  # other tests may share the machine
_MEASURED = {
    "usage_premium": 7,
    "service_level": 4,
    "energy_savings": 1,
    "parametric_cover": 1,
    "maintenance_escrow": 1,
    "payg_unlock": 12,
}  # product -> periods that are paid


@pytest.mark.extended
def test_month__with_every_fault__is_as_planned_to_the_cent(tmp_path):
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
    verdict = json.loads(done.stdout)
    assert done.returncode == 0 and verdict["ok"], verdict["wrong"]
    reported = {kind: pair["named"] for kind, pair in verdict["breaks"].items()}
    injected = [kind for fault in FAULTS for kind in fault.breaks]
    assert reported == {kind: injected.count(kind) for kind in injected}
    assert len(verdict["reserves"]) > 20  # one for each statement that was sent
    assert all(row["difference_micro"] == 0 for row in verdict["reserves"])
    planned = {check["what"]: check["planned"] for check in verdict["checks"]}
    for product, periods in _MEASURED.items():
        listed = [json.loads(text) for what, text in planned.items() if what.startswith(product)]
        assert sum(map(len, listed)) == periods, product
        assert all(amount for amounts in listed for amount in amounts), product
    assert len([what for what in planned if what.endswith("no trace or audit shows")]) == 9
    assert len([what for what in planned if what.startswith("revenue share of")]) == 3
    assert len([what for what in planned if what.startswith("days that tokens unlock")]) == 3
