"""Whether the bank is reached, seen from the channel alone."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from orchestrator.edges.bank.channel import Folder
from orchestrator.edges.bank.reachable import ALIVE, bank_problem

NOW = 1_790_000_000


@pytest.fixture
def channel(tmp_path):
    channel = Folder(tmp_path / "to_bank", tmp_path / "from_bank")
    channel.outbox.mkdir()
    channel.inbox.mkdir()
    return channel


def aged(path, seconds):
    path.touch()
    os.utime(path, (NOW - seconds, NOW - seconds))


def problem(channel):
    return bank_problem(channel, NOW, 3_600)


def test_folders__both_there__are_well(channel):
    assert problem(channel) == ""


@pytest.mark.parametrize("name", ["outbox", "inbox"])
def test_folder__missing__is_named(channel, name):
    getattr(channel, name).rmdir()
    assert "is missing" in problem(channel)


def test_order__that_nobody_fetches__is_silence_after_the_limit(channel):
    aged(channel.outbox / "pain.001-a.xml", 3_600)
    assert problem(channel) == ""
    aged(channel.outbox / "pain.001-b.xml", 3_601)
    aged(channel.outbox / ".part", 9_000)
    assert problem(channel) == "it has not fetched pain.001-b.xml for 3601 s"


def test_simulated_bank__that_died__is_named(channel):
    aged(channel.inbox.parent / ALIVE, 60)
    assert problem(channel) == ""
    aged(channel.inbox.parent / ALIVE, 61)
    assert "silent for 61 s" in problem(channel)


def test_other_channel__has_the_failure_of_its_last_visit():
    assert problem(SimpleNamespace(failure="the server refuses the login")) != ""
    assert problem(SimpleNamespace(failure="")) == "" == problem(SimpleNamespace())
