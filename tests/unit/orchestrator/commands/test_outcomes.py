"""What a rule decided about an accepted record is shown with its sentence: trace and rejected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_adapters.types import Message
from orchestrator import cli
from orchestrator.edges.store import later_outcomes
from orchestrator.steps.collect import collect
from services.simulated_devices.record import Point, evidence_of, units_of
from tests.support.bare_rail import BareRail

CP = "cp-0001"


@pytest.fixture(scope="module")
def dropped(tmp_path_factory):
    """Give (rail, record): the record was accepted and dropped."""
    bare = BareRail(tmp_path_factory.mktemp("home"))
    device = bare.place.fleet[CP]
    begin, end = device.register, device.register + units_of(50_000)
    points = [Point("B", device.now, begin), Point("E", device.now + 60, end)]
    record = device.forge(points, 1, device.key)
    assert bare.place.answers(Message("ocmf", CP, record)) == ["accepted"]
    collect(bare.rail)
    (bare.rail.settings.home / "proofrail.sqlite3").symlink_to(bare.place.store.path)
    yield bare, record
    bare.close()


def run(home: Path, *arguments: str) -> str:
    result = CliRunner().invoke(
        cli.app, ["--home", str(home), *arguments], env={"COLUMNS": "300", "TERM": "dumb"}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_rejected__a_record_dropped_later__is_listed_with_its_sentence_and_its_receipt(dropped):
    bare, _ = dropped
    home = bare.rail.settings.home
    view = json.loads(run(home, "rejected", "--json"))
    (later,) = view["later"]
    assert (later["device"], later["counter"], later["outcome"]) == (CP, 1, "implausible_reading")
    assert "500000000" in later["detail"] and view["counts"] == {"implausible_reading": 1}
    text = " ".join(run(home, "rejected").split())
    assert later["detail"] in text and "not yet" in text
    assert json.loads(run(home, "rejected", "--reason", "incomplete", "--json"))["later"] == []
    assert json.loads(run(home, "rejected", "--device", "cp-0002", "--json"))["later"] == []
    assert len(json.loads(run(home, "rejected", "--device", CP, "--json"))["later"]) == 1


def test_trace__of_a_record_dropped_later__has_the_sentence_and_whether_the_device_knows(dropped):
    bare, record = dropped
    home, evidence = bare.rail.settings.home, evidence_of(record).hex()
    with bare.place.store.read() as session:
        (row,) = later_outcomes.newest(session, None, CP, 10)
    text = " ".join(run(home, "trace", evidence).split())
    assert f"implausible_reading: {row.detail} (not acknowledged by {CP})" in text
    with bare.place.store.write() as session:
        later_outcomes.acknowledge(session, CP, [row.outcome_id], bare.place.clock)
    text = " ".join(run(home, "trace", evidence).split())
    assert f"(acknowledged by {CP} 20" in text
