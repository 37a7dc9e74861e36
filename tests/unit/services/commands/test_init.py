"""`proofrail init`: asks or takes flags, and says what is there already."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.settings import read_settings
from services import anvil
from services.commands import init

FLAGS = (
    *("--oracle", f"north:1:0x{1:040x}:http://127.0.0.1:1", "--iban", "DE89370400440532013000"),
    *("--name", "Rail Ltd", "--street", "Weg", "--building", "1", "--post-code", "10115"),
    *("--town", "Berlin", "--country", "DE"),
)
SERVER = ("--profile", "server", "--yes", "--rpc", "http://x")


def run(home, *arguments: str, typed: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(app, ["init", "--home", str(home), *arguments], input=typed)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("init") / "home"
    assert "was made" in run(home, "--profile", "dev", "--yes")
    return home


def test_init__a_second_time__says_what_is_there_and_changes_nothing(home):
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert "is there already; nothing was changed" in run(home, "--profile", "dev", "--yes")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_init__another_profile_for_a_home__is_refused(home):
    text = run(home, "--profile", "server", "--yes", code=2)
    assert "is a home already" in text and "Nothing was changed" in text
    assert read_settings(home).profile == "dev"


def test_init__json__names_home_and_next_step(home):
    view = json.loads(run(home, "--yes", "--json"))
    assert view["profile"] == "dev" and not view["new"] and "proofrail up" in view["next"]


def test_init__no_flags__asks_for_the_profile(tmp_path):
    assert "Profile (dev or server)" in run(tmp_path / "home", typed="dev\n")
    assert read_settings(tmp_path / "home").profile == "dev"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--yes",), "is no profile"),
        (("--profile", "demo", "--yes"), "'demo' is no profile"),
        (("--profile", "server", "--yes", *FLAGS), "--rpc is missing"),
        ((*SERVER, *FLAGS[2:]), "--oracle is missing"),
        ((*SERVER, *FLAGS[:2]), "--name is missing"),
        (
            (
                "--profile",
                "server",
                "--yes",
                "--rpc",
                "http://x",
                "--oracle",
                "north:1",
                *FLAGS[2:],
            ),
            "'north:1' is not name:domain:address:url",
        ),
    ],
)
def test_init__an_answer_is_missing_or_wrong__nothing_is_written(tmp_path, arguments, text):
    answer = run(tmp_path / "home", *arguments, code=2)
    assert text in answer and "Nothing was written" in answer
    assert not (tmp_path / "home").exists()


def test_init__server_profile__asks_for_everything_that_no_flag_gives(tmp_path):
    typed = [
        *("http://127.0.0.1:1", f"north:1:0x{1:040x}:http://127.0.0.1:2", "", "Rail Ltd"),
        *("DE89370400440532013000", "Weg", "1", "10115", "Berlin", "DE"),
    ]
    text = run(tmp_path / "home", "--profile", "server", typed="\n".join(typed) + "\n", code=2)
    assert "the node at http://127.0.0.1:1 is not reached" in text  # nothing listens there
    settings = read_settings(tmp_path / "home")
    assert settings.safeguarding.town == "Berlin" and settings.oracles[0].name == "north"
    assert not settings.chain_embedded and not settings.bank_simulated


def test_init__server_profile__says_which_keys_must_leave_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(init, "_contracts", lambda *_: {})  # it needs a node
    home = tmp_path / "home"
    next_step = json.loads(run(home, *SERVER, *FLAGS, "--json"))["next"]
    folders = [home / "keys" / role for role in ("steward", "guardian")]
    assert f"move {folders[0]} and {folders[1]} (keystore and password) to machines" in next_step
    for folder in folders:
        assert {path.name for path in folder.iterdir()} == {f"{folder.name}.json", "password"}
        shutil.rmtree(folder)
    assert "move" not in json.loads(run(home, "--yes", "--json"))["next"]


def test_init__anvil_cannot_be_had__says_so_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(anvil, "find", lambda root=None: None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(anvil, "_has_pip", lambda: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = run(tmp_path / "home", "--profile", "dev", "--yes", code=2)
    assert "no npm, no pip and no uv" in text and not (tmp_path / "home").exists()
