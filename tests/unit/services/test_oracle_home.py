"""Two organisations set up an oracle: `proofrail-oracle init`, and `proofrail oracle admit`."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import cli
from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.errors import Halt
from services import oracle
from services.oracle_home import app, arguments_of

CLI = CliRunner()


def init(home: Path, *extra: str):
    deployment = home.parent / "deployment.json"
    deployment.write_text("{}")
    options = {
        "--name": "north",
        "--domain": "4",
        "--rpc": "http://127.0.0.1:1",
        "--deployment": str(deployment),
        "--broker": "127.0.0.1:1883",
        "--host": "127.0.0.2",
        "--home": str(home),
    }
    words = [word for pair in options.items() for word in pair]
    return CLI.invoke(app, ["init", *words, *extra])


def test_init__in_an_empty_folder__makes_what_up_needs_and_keeps_secrets_private(tmp_path):
    home = tmp_path / "oracle"
    result = init(home)
    assert result.exit_code == 0, result.output
    options = oracle.parser().parse_args(arguments_of(home))
    assert (options.name, options.domain, options.http_host) == ("north", 4, "127.0.0.2")
    assert options.tls_cert.exists() and options.deployment.read_text() == "{}"
    card = json.loads((home / "card.json").read_text())
    assert card["address"] == keystore.load(home, "key").address
    secret = (home / "token").read_text()
    for name in ("token", "key.json", "password", "tls/server.key", "tls/ca.key"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600, name
    assert secret not in result.output and secret not in json.dumps(card)


def test_init__again__changes_nothing(tmp_path):
    home = tmp_path / "oracle"
    init(home)
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    again = init(home, "--port", "9")
    assert again.exit_code == 0 and "nothing was changed" in again.output
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_init__with_a_key_from_elsewhere__signs_with_it(tmp_path):
    account = keystore.create(tmp_path / "old", "key")
    home = tmp_path / "oracle"
    assert init(home, "--key", str(tmp_path / "old" / "key.json")).exit_code == 0
    assert keystore.load(home, "key").address == account.address


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no oracle"), ("version = [", "cannot be read"), ("version = 9", "another version")],
)
def test_up__with_a_configuration_that_is_none__says_what_to_do(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "oracle.toml").write_text(content)
    with pytest.raises(Halt, match=reason):
        arguments_of(tmp_path)


def admit(rail: Path, card: Path, token: Path, out: Path):
    words = ["--home", str(rail), "oracle", "admit", str(card), "--token-file", str(token)]
    return CLI.invoke(cli.app, [*words, "--password-out", str(out)])


def test_admit__a_card__gives_the_rail_all_it_needs(tmp_path):
    home, rail = tmp_path / "oracle", tmp_path / "rail"
    init(home)
    result = admit(rail, home / "card.json", home / "token", tmp_path / "north.password")
    assert result.exit_code == 0, result.output
    assert (rail / "keys" / "north.token").read_text() == (home / "token").read_text()
    password = (tmp_path / "north.password").read_text()
    stored = credentials.load(rail)
    assert credentials.verify(stored, "north", password) is credentials.CredentialRole.ORACLE
    assert password not in result.output
    block = result.output[result.output.index("[[oracles]]") : result.output.index("send ")]
    shown = tomllib.loads(block)
    assert shown["oracles"][0]["url"] == "https://127.0.0.2:7443"
    authority = json.loads((home / "card.json").read_text())["certificate_authority"]
    assert Path(shown["oracle"]["tls_ca"]).read_text() == authority
    assert admit(rail, home / "card.json", home / "token", tmp_path / "again").exit_code == 0
    assert Path(shown["oracle"]["tls_ca"]).read_text() == authority  # once


@pytest.mark.parametrize("change", [{"version": 2}, {"name": "../x"}, {"extra": 1}])
def test_admit__a_card_that_is_none__changes_nothing(tmp_path, change):
    home, rail = tmp_path / "oracle", tmp_path / "rail"
    init(home)
    card = json.loads((home / "card.json").read_text()) | change
    (home / "card.json").write_text(json.dumps(card))
    result = admit(rail, home / "card.json", home / "token", tmp_path / "north.password")
    assert result.exit_code == 2 and "Nothing was changed" in result.output
    assert not rail.exists()
