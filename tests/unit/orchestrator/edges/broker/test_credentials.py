"""Passwords of the broker: names, files and what they hold."""

from __future__ import annotations

import json

import pytest

from device_adapters.types import Rejected
from orchestrator.edges.broker import credentials
from orchestrator.edges.broker.access import CredentialRole


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "a b", "$SYS", "a:b", "x" * 65, "a\n"])
def test_issue__a_name_that_is_no_topic_level__refused_by_name(tmp_path, name):
    with pytest.raises(Rejected) as refused:
        credentials.issue(tmp_path, name, "device")
    assert refused.value.reason == "name_malformed"


def test_issue__a_name_of_another_role__refused_by_name(tmp_path):
    credentials.issue(tmp_path, "rail", "rail")
    with pytest.raises(Rejected) as refused:
        credentials.issue(tmp_path, "rail", "device")
    assert refused.value.reason == "name_taken"


def test_credentials__on_disk__hold_no_password_and_only_the_owner_reads_them(tmp_path):
    password = credentials.issue(tmp_path, "a", "device")
    path = credentials.path(tmp_path)
    assert password not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    row = json.loads(path.read_text())["a"]
    assert row["role"] == "device"
    stored = credentials.load(tmp_path)
    assert credentials.verify(stored, "a", password) is CredentialRole.DEVICE
    assert credentials.verify(stored, "a", password + "x") is None
    assert credentials.verify(stored, None, None) is None
