"""rail.json: written with a version, private, and read as 0.3.0 wrote it too."""

from __future__ import annotations

import json

import pytest

from orchestrator.addresses import configured_addresses, read_addresses, write_addresses
from orchestrator.assembly import read_config
from orchestrator.errors import Halt
from orchestrator.settings import OracleSettings, Settings

NORTH = OracleSettings(name="north", domain=1, address=f"0x{'11' * 20}", url="http://a:1")


def test_addresses__written_from_a_configuration__are_read_again(tmp_path):
    settings = Settings(home=tmp_path, oracles=(NORTH,), api_port=81, broker_port=82)
    write_addresses(tmp_path, configured_addresses(settings))
    addresses = read_addresses(tmp_path)
    assert addresses["version"] == 1 and addresses["api_url"] == "http://127.0.0.1:81"
    assert addresses["broker"] == {"host": "127.0.0.1", "port": 82, "nats_port": 83}
    assert addresses["oracles"] == [
        {"name": "north", "domain": 1, "address": NORTH.address, "url": "http://a:1"}
    ]
    assert (tmp_path / "rail.json").stat().st_mode & 0o077 == 0


def test_addresses__file_without_a_version__is_of_an_earlier_release_and_is_read(tmp_path):
    (tmp_path / "rail.json").write_text(json.dumps({"rpc_url": "http://127.0.0.1:1"}))
    assert read_config(Settings(home=tmp_path)) == {"rpc_url": "http://127.0.0.1:1"}


def test_addresses__newer_or_damaged_file__is_a_halt_and_a_missing_one_is_empty(tmp_path):
    assert read_addresses(tmp_path) == {}
    with pytest.raises(Halt, match="`proofrail up` writes it"):
        read_config(Settings(home=tmp_path))
    (tmp_path / "rail.json").write_text('{"version": 2}')
    with pytest.raises(Halt, match="has version 2"):
        read_addresses(tmp_path)
    (tmp_path / "rail.json").write_text('{"rpc')
    with pytest.raises(Halt, match="cannot be read"):
        read_addresses(tmp_path)
