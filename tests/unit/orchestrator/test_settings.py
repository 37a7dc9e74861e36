"""Settings: the environment, then proofrail.toml, then defaults; a mistake names its line's key."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import Halt
from orchestrator.settings import Settings, read_settings

FILE = """\
version = 1
profile = "server"
rpc_url = "http://10.0.0.1:8545"
finality_blocks = 7

[chain]
embedded = false

[api]
host = "0.0.0.0"
port = 9000

[safeguarding]
name = "Rail"
iban = "DE87900000000000000001"
street = "Am Kanal"
building = "1"
post_code = "14467"
town = "Potsdam"
country = "DE"

[[oracles]]
name = "north"
domain = 1
address = "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"
url = "http://127.0.0.1:9001"

[[oracles]]
name = "south"
domain = 2
address = "0x976EA74026E726554dB657fA54763abd0C3a0aa9"
url = "https://oracle.example:443"
embedded = false
"""


def home_with(folder: Path, text: str) -> Path:
    (folder / "proofrail.toml").write_text(text)
    return folder


def test_settings__file_of_the_home__is_read_with_its_sections_and_blocks(tmp_path):
    settings = read_settings(home_with(tmp_path, FILE))
    assert (settings.profile, settings.rpc_url) == ("server", "http://10.0.0.1:8545")
    assert (settings.api_host, settings.api_port, settings.finality_blocks) == ("0.0.0.0", 9000, 7)
    assert settings.chain_embedded is False and settings.broker_port == 1883
    assert [(o.name, o.domain, o.embedded) for o in settings.oracles] == [
        ("north", 1, True),
        ("south", 2, False),
    ]
    account = settings.safeguarding.account()
    assert account["iban"] == "DE87900000000000000001" and account["address"]["town"] == "Potsdam"


def test_settings__environment_and_arguments__go_before_the_file(tmp_path, monkeypatch):
    home_with(tmp_path, FILE)
    monkeypatch.setenv("PROOFRAIL_API_PORT", "9999")
    monkeypatch.setenv("PROOFRAIL_HOME", str(tmp_path))
    assert read_settings().api_port == 9999
    assert Settings(api_port=1).api_port == 1
    assert read_settings().finality_blocks == 7


def test_rpc_urls__as_a_list_in_the_file_or_with_commas_in_the_environment__are_the_same(
    tmp_path, monkeypatch
):
    urls = ("https://a.example/v1", "https://b.example")
    home = home_with(tmp_path, f'version = 1\nrpc_urls = ["{urls[0]}", "{urls[1]}"]\n')
    assert read_settings(home).rpc_urls == urls
    monkeypatch.setenv("PROOFRAIL_RPC_URLS", " https://c.example , https://d.example,")
    assert read_settings(home).rpc_urls == ("https://c.example", "https://d.example")


@pytest.mark.parametrize(
    ("lines", "hours"),
    [
        ('profile = "dev"', 0),  # as 0.5.0 wrote it: after a move a developer waited two days
        ('profile = "dev"\nsteward_delay_hours = 24', 24),
        ('profile = "server"', 48),
    ],
)
def test_steward_delay__of_a_file_without_it__is_none_in_profile_dev_alone(tmp_path, lines, hours):
    (tmp_path / "proofrail.toml").write_text(f"version = 1\n{lines}\n")
    assert read_settings(tmp_path).steward_delay_hours == hours


def test_settings__no_file__are_the_defaults_with_a_fixed_port(tmp_path):
    settings = read_settings(tmp_path)
    assert (settings.api_port, settings.broker_port, settings.oracles) == (8420, 1883, ())


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("version = 1\n[api]\nprot = 1\n", "api.prot"),
        ("version = 1\nhome = 'elsewhere'\n", "home"),
        ("version = 1\n[api.deeper]\nport = 1\n", "api.deeper.port"),
        ("version = 1\n[api]\nport = 'many'\n", "PROOFRAIL_API_PORT"),
        (FILE.replace("country =", "land ="), "safeguarding.country"),
        (FILE.replace("domain = 2", "domain = 300"), "oracles.1.domain"),
        (FILE.replace("embedded = false\n", "embeded = false\n"), "chain.embeded"),
        (FILE.replace("version = 1", "version = 2"), "version 2"),
        (FILE.replace("version = 1\n", ""), "version None"),
        ("version = \n", "line 1"),
    ],
)
def test_settings__mistake_in_the_file__is_a_halt_that_names_its_place(tmp_path, text, names):
    with pytest.raises(Halt) as refusal:
        read_settings(home_with(tmp_path, text))
    assert names in str(refusal.value) and "proofrail.toml" in str(refusal.value)


def test_settings__mistake_in_the_environment__names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("PROOFRAIL_FINALITY_BLOCKS", "soon")
    with pytest.raises(Halt, match="PROOFRAIL_FINALITY_BLOCKS"):
        read_settings(tmp_path)
