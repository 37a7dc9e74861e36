"""The bundle of a real payment verifies offline, and no leaf of it can be changed unnoticed."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from typing import Any

import pytest

from orchestrator.core.audit import verify
from orchestrator.core.audit.bundle import sealed
from orchestrator.products import products
from tests.support.audit_changes import STAGES, changed, leaves, stage_of
from tests.support.store_queries import newest_booked
from tests.support.whole_rail import WholeRail

# the bundle of a meter has no supporting records and no effects: other tests change those
_ELSEWHERE = ("supporting", "effects")
TOPS = [
    top
    for top in dict.fromkeys(start.split(".")[0] for start, _ in STAGES)
    if top not in _ELSEWHERE
]
BASE64 = ("record", "content")


@pytest.fixture(scope="module")
def bundle(paid_rail: WholeRail, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Export a bundle and verify it by command, without the rail's home."""
    rail = paid_rail
    with rail.store.read() as session:
        payment = newest_booked(session)
    elsewhere = tmp_path_factory.mktemp("auditor")
    file = elsewhere / "bundle.json"
    (exported,) = rail.commands(["audit", "export", payment, "-o", str(file), "--json"])
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["missing"] == []
    (checked,) = rail.commands(["audit", "verify", str(file), "--json"], home=elsewhere / "none")
    assert checked.returncode == 0, checked.stderr
    result = json.loads(checked.stdout)
    assert result["ok"] and result["complete"]
    assert not (elsewhere / "none").exists()
    return json.loads(file.read_bytes())


def altered(path: tuple, value: Any) -> Any:
    """Return a value of the same form with one bit, digit or character changed."""
    if isinstance(value, int):
        return value + 1
    if path[-1] in BASE64:
        data = bytearray(b64decode(value))
        data[len(data) // 2] ^= 1
        return b64encode(data).decode()
    at = max(len(value) // 2, len(value) - 1 if len(value) < 4 else 2)
    if value.startswith("0x") and ":" not in value:
        return f"{value[:at]}{int(value[at], 16) ^ 1:x}{value[at + 1 :]}"
    return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]


@pytest.mark.parametrize("top", TOPS)
def test_bundle__of_a_real_payment_with_any_leaf_changed__fails_at_its_stage(bundle, top):
    """The changed bundle is sealed again, so that its digest does not reveal the change."""
    own = bundle["batch"]["position"]
    values = [(path, value) for path, value in leaves(bundle) if path[0] == top]
    assert values, f"the bundle has nothing under {top}"
    for path, value in values:
        tampered = changed(bundle, path, altered(path, value))
        failed = verify(tampered if top == "digest" else sealed(tampered), products()).failed
        assert failed is not None, path
        assert failed.stage is stage_of(path, own), (path, value, failed)
