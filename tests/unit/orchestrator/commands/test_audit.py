"""`audit export` and `audit verify` end to end: services stopped, one byte changed, not settled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from tests.support.small_rail import has_anvil, lived

pytestmark = pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
CLI = CliRunner()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the store and the deployment, and nothing else of the rail."""
    rail, home = lived(), tmp_path_factory.mktemp("alone")
    with rail.store.write() as session:
        session.connection().exec_driver_sql("SELECT 1")
    for file in rail.home.glob("proofrail.sqlite3*"):
        shutil.copy(file, home / file.name)
    shutil.copy(rail.settings.deployment, home / "deployment.json")
    return home


def export(home: Path, identity: str, target: Path, *more: str):
    arguments = ["--home", str(home), "audit", "export", identity, "-o", str(target), *more]
    return CLI.invoke(cli.app, arguments)


def verify(*arguments: str):
    return CLI.invoke(cli.app, ["audit", "verify", *arguments])


@pytest.fixture(scope="module")
def bundle(alone: Path) -> Path:
    target = alone / "bundle.json"
    result = export(alone, lived().payments()["cp-0001 reconciled"], target)
    assert result.exit_code == 0, result.output
    return target


def test_export__services_stopped__writes_a_bundle_that_verifies(bundle: Path) -> None:
    result = verify(str(bundle), "--json")
    view = json.loads(result.stdout)
    assert result.exit_code == 0
    assert view["complete"]
    assert {step["ok"] for step in view["steps"]} == {True}


def test_verify__for_people__is_a_checklist_and_names_its_roots(bundle: Path) -> None:
    result = verify(str(bundle))
    assert result.exit_code == 0
    assert result.stdout.count("valid") >= 13
    assert "Every step is valid, up to the line of the bank statement." in result.stdout
    assert "compare with a node" in result.stdout


def test_verify__amount_changed__exits_1_and_names_the_stage(bundle: Path, tmp_path: Path) -> None:
    view = json.loads(bundle.read_text())
    view["settlement"]["amount_micro"] += 1
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(view))
    result = verify(str(path))
    assert result.exit_code == 1
    assert "Invalid: settlement:" in result.stdout


def test_verify__anchors__hold_each_block_against_what_the_auditor_knows(bundle: Path) -> None:
    blocks = json.loads(verify(str(bundle), "--json").stdout)["trust"]["blocks"].values()
    anchors = [part for block in blocks for part in ("--anchor", block)]
    assert verify(str(bundle), *anchors).exit_code == 0
    assert verify(str(bundle), *anchors[:-2]).exit_code == 1
    assert verify(str(bundle), "--anchor", "0x" + "11" * 32).exit_code == 1


def test_verify__other_rail_than_expected__exits_1(bundle: Path) -> None:
    assert verify(str(bundle), "--rail", "0x" + "11" * 20).exit_code == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, None])
def test_verify__no_bundle__exits_2_with_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    result = verify(str(path))
    assert result.exit_code == 2
    assert "bundle" in result.stderr or "cannot be read" in result.stderr


@pytest.mark.parametrize("content", ["{}", "[]", "null", "1", '{"version": 1}'])
def test_verify__json_of_another_shape__exits_1_at_the_format(tmp_path: Path, content: str) -> None:
    path = tmp_path / "file"
    path.write_text(content)
    result = verify(str(path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["failed"]["stage"] == "format"


def test_export__paid_but_not_yet_out__says_what_is_missing(alone: Path, tmp_path: Path) -> None:
    result = export(alone, lived().payments()["cp-0001 posted"], tmp_path / "b.json")
    assert result.exit_code == 0
    assert "missing: payout: the payment is 'posted'" in result.stdout
    assert verify(str(tmp_path / "b.json")).exit_code == 0


def test_export__event_of_one_payment__is_enough(alone: Path, tmp_path: Path) -> None:
    view = json.loads(
        CLI.invoke(
            cli.app,
            [
                "--home",
                str(alone),
                "trace",
                lived().payments()["meter-0001 reconciled"],
                "--json",
            ],
        ).stdout
    )
    event = view["life"]["events"][0]["event_id"]
    result = export(alone, event, tmp_path / "b.json", "--json")
    assert json.loads(result.stdout)["payment"] == view["id"]


@pytest.mark.parametrize(
    ("which", "code", "message"),
    [
        ("cp-0001", 2, "2 payments"),
        ("nobody-here", 1, "nothing has the id"),
    ],
)
def test_export__not_exactly_one_payment__is_refused(
    alone: Path, tmp_path: Path, which: str, code: int, message: str
) -> None:
    result = export(alone, which, tmp_path / "b.json")
    assert result.exit_code == code
    assert message in result.stderr
    assert not (tmp_path / "b.json").exists()


def test_export__not_settled__exits_1_and_writes_nothing(alone: Path, tmp_path: Path) -> None:
    result = export(alone, lived().payments()["meter-0001 verified"], tmp_path / "b.json")
    assert result.exit_code == 1
    assert "not_settled" in result.stderr
    assert not (tmp_path / "b.json").exists()


def test_export__folder_that_is_not_there__exits_2(alone: Path, tmp_path: Path) -> None:
    payment = lived().payments()["cp-0001 reconciled"]
    result = export(alone, payment, tmp_path / "none" / "b.json")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
