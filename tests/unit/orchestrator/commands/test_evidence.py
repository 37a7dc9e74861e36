"""`evidence check` on files of several kinds: exit codes, JSON and what people read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_adapters.protocols.ocmf.examples import BEGIN, PUBLIC_KEY, SESSION
from device_adapters.protocols.sealed.examples import BY_GATEWAY
from device_adapters.protocols.sealed.examples import PUBLIC_KEY as SEALED_KEY
from device_adapters.protocols.senml.examples import METER as SENML
from orchestrator import cli

CLI = CliRunner()


def check(*arguments: str, given: bytes | None = None):
    return CLI.invoke(cli.app, ["evidence", "check", *arguments], input=given)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "session.ocmf"
    path.write_bytes(SESSION)
    return path


def test_check__genuine_under_the_given_key__exits_0(record: Path) -> None:
    result = check(str(record), "--key", PUBLIC_KEY)
    assert result.exit_code == 0
    assert "EV-0001" in result.stdout
    assert "given: secp256r1" in result.stdout
    assert "2947.101000" in result.stdout


def test_check__key_from_a_file__is_read_from_it(record: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(PUBLIC_KEY)
    assert check(str(record), "--key", str(tmp_path / "key")).exit_code == 0


def test_check__no_key_known__exits_1_and_names_it(record: Path) -> None:
    result = check(str(record), "--json")
    assert result.exit_code == 1
    [view] = json.loads(result.stdout)["records"]
    assert [reason["code"] for reason in view["genuine_reasons"]] == ["no_key"]


def test_check__one_byte_changed__exits_1(tmp_path: Path) -> None:
    path = tmp_path / "forged"
    path.write_bytes(SESSION.replace(b"2935600", b"2935601"))
    result = check(str(path), "--key", PUBLIC_KEY)
    assert result.exit_code == 1
    assert "signature_forged" in result.stdout


def test_check__standard_input__is_read() -> None:
    result = check("-", "--key", PUBLIC_KEY, "--json", given=SESSION + b"\n" + BEGIN)
    view = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (view["file"], view["summary"]["genuine"]) == ("-", 2)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00\xff", None])
def test_check__unreadable_file__exits_2_with_a_sentence(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    result = check(str(path))
    assert result.exit_code == 2
    assert "cannot be read" in result.stdout
    view = json.loads(check(str(path), "--json").stdout)
    assert (view["exit_code"], view["records"]) == (2, [])


def test_check__escape_sequences_in_a_record__do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(SESSION.replace(b'"GI":"PROOFRAIL TEST"', rb'"GI":"\u001b[31mred"'))
    result = check(str(path))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert "\\x1b[31mred" in result.stdout


def test_check__file_without_signatures__shows_the_readings_to_people(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    path.write_bytes(SENML)
    result = check(str(path), "--protocol", "senml")
    assert result.exit_code == 0
    for words in ("1234.567", "kWh", "billed", "there is no signature", "1 of senml"):
        assert words in result.stdout
    assert json.loads(check(str(path), "--json").stdout)["records"][0]["genuine"] is None


def test_check__export__bills_the_register_of_energy_fed_in(tmp_path: Path) -> None:
    path = tmp_path / "meter.json"
    path.write_bytes(SENML)
    [record] = json.loads(check(str(path), "--export", "--json").stdout)["records"]
    assert record["registers"][0]["billed"] == "01-00:02.08.00*FF"


def test_check__sealed_record_in_bytes__shows_gateway_meter_and_content(tmp_path: Path) -> None:
    path = tmp_path / "record.cose"
    path.write_bytes(BY_GATEWAY)
    result = check(str(path), "--key", SEALED_KEY)
    assert result.exit_code == 0
    for words in ("GW-7", "urn:dev:mac:0024befffe804ff1", "senml", "gateway", "1234.567"):
        assert words in result.stdout
