"""The command line as a whole: its table, its help, --home anywhere, versions and completions."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator import __version__, cli

ROOT = Path(__file__).resolve().parents[3]
NAMES = [name for rows in cli.COMMANDS.values() for name in rows]
LINES = {name: line for rows in cli.COMMANDS.values() for name, (_, line) in rows.items()}


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


OF_ORACLES = ("oracle_ruling", "oracle_device_ruling")  # commands of `proofrail-oracle`


def root() -> cli.Guarded:
    return get_command(cli.app)


@pytest.mark.parametrize("name", NAMES)
def test_table__each_row__is_a_command_with_that_help_line(name: str) -> None:
    assert NAMES.count(name) == 1
    command = root().imported(name)
    assert command.get_short_help_str(limit=200) == LINES[name]
    assert command.name == name


def test_table__every_command_module__is_named() -> None:
    targets = " ".join(target for rows in cli.COMMANDS.values() for target, _ in rows.values())
    modules = {target.partition(":")[0] for target in targets.split()}
    files = {path.stem for path in (ROOT / "orchestrator" / "commands").glob("*.py")}
    others = {path.stem for path in (ROOT / "services" / "commands").glob("*.py")}
    files |= {f"services.commands.{name}" for name in others - {"__init__", *OF_ORACLES}}
    helpers = {"__init__", "gateway_consent", "home", "output", "ledger_check", "possession"}
    helpers |= {"chain_call", "role_calls", "signature", "signed_files", "trace_money"}
    helpers |= {"services.commands.deployer"}
    assert modules == files - helpers


def test_help__lists_every_command_with_its_line() -> None:
    shown = run("--help").stdout
    assert all(f"{name.ljust(10)}" in shown and line in shown for name, line in LINES.items())


def test_unknown_command__is_answered_with_a_close_name() -> None:
    done = run("stats")
    assert done.exit_code == 2 and "Did you mean 'status'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--home", "HOME", "status"),
        ("status", "--home", "HOME"),
        ("status", "--home=HOME", "--json"),
        ("--home", "elsewhere", "status", "--home", "HOME"),
        ("device", "--home", "HOME", "list"),
        ("device", "list", "--home", "HOME"),
        ("party", "--home", "elsewhere", "list", "--home", "HOME"),
    ],
)
def test_home__anywhere_on_the_line__names_the_rail(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    home = tmp_path / "here"
    done = run(*(word.replace("HOME", str(home)) for word in arguments))
    assert done.exit_code == 2
    assert f"There is no rail at {home}:" in (done.stderr + done.stdout).replace("\\n", "")


def test_home__every_command_and_group__accepts_it() -> None:
    def without(command: Any, path: str) -> list[str]:
        missing = [] if any(p.name == "home" for p in command.params) else [path]
        members = getattr(command, "commands", {})
        return missing + [m for n, c in members.items() for m in without(c, f"{path} {n}")]

    assert [m for name in NAMES for m in without(root().imported(name), name)] == []


def test_version__is_that_of_the_package() -> None:
    done = run("--version")
    assert (done.exit_code, done.stdout) == (0, f"proofrail {__version__}\n")


def complete(words: str) -> list[str]:
    """Return what the shell is offered for the last word of a line."""
    asked = {
        "_PROOFRAIL_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    code = "import sys; sys.argv = ['proofrail']; from orchestrator.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_completion__a_commands_beginning__is_completed() -> None:
    assert complete("proofrail re") == [
        "restart",
        "rejected",
        "resume",
        "restore",
        "reconcile",
        "reserves",
        "rebuild",
    ]


def test_completion__a_members_beginning_in_a_group__is_completed() -> None:
    assert complete("proofrail --home x device re") == ["resume", "retire"]


def test_completion__an_options_beginning__is_completed() -> None:
    assert complete("proofrail status --h") == ["--home", "--help"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__each_shell__gets_a_script_for_this_command(shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_PROOFRAIL_COMPLETE" in done.stdout and f"complete_{shell}" in done.stdout


def test_completion__bash_script__works_in_bash(tmp_path: Path) -> None:
    command = tmp_path / "proofrail"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m orchestrator.cli "$@"\n')
    command.chmod(0o755)
    script = run("completion", "bash").stdout.replace("$1", str(command))
    lines = (
        'COMP_WORDS=(proofrail aud); COMP_CWORD=1; _proofrail_completion; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{lines}"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["audit"], done.stderr


def test_missing_module__of_an_extra__is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_settings", None)
    monkeypatch.delitem(sys.modules, "orchestrator.settings", raising=False)
    done = run("payments")
    assert done.exit_code == 2
    assert "pip install 'proofrail-orchestrator[rail]'" in done.stderr.replace("\n", " ")


def test_missing_module__of_our_own__is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "orchestrator.commands.payments", None)
    done = run("payments")
    assert done.exit_code == 2 and "This is a bug in proofrail" in done.stderr.replace("\n", " ")


def test_full_disk__under_a_command__is_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("orchestrator.commands.payments.home_of", Mock(side_effect=full))
    done = run("payments")
    assert done.exit_code == 2 and "bug" not in done.stderr
    assert "This machine cannot do it now: [Errno 28] No space left" in done.stderr
