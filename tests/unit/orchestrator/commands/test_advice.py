"""Every advice in a text of the program can be followed: it exists, and it harms no rail."""

from __future__ import annotations

import ast
import hashlib
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from orchestrator import cli
from tests.support.small_rail import has_anvil, lived
from tests.support.source_tree import ROOT, short, sources, tree

# commands that only read -> the arguments with which each one is run on a rail with data
READS = {
    "proofrail": "--version",
    "proofrail agreement list": "",
    "proofrail agreement terms": "metered_energy",
    "proofrail api-key list": "",
    "proofrail approval list": "--all",
    "proofrail bank parse": "{bank_file}",
    "proofrail breaks": "--all",
    "proofrail chain scheduled": "",
    "proofrail committee list": "",
    "proofrail waterfall list": "",
    "proofrail product list": "",
    "proofrail device list": "",
    "proofrail device risk": "cp-0001 --since 1700000000",
    "proofrail device show": "cp-0001",
    "proofrail effect list": "",
    "proofrail effect target list": "",
    "proofrail funding list": "",
    "proofrail ledger balances": "",
    "proofrail ledger chart": "",
    "proofrail ledger check": "",
    "proofrail logs": "-n 0",
    "proofrail officer list": "",
    "proofrail party list": "",
    "proofrail party money": "'Ladepunkt Nord eG'",
    "proofrail payments": "--stage held",
    "proofrail payout list": "",
    "proofrail ps": "",
    "proofrail rebuild": "",
    "proofrail reconcile": "",
    "proofrail rejected": "--body",
    "proofrail status": "",
    "proofrail trace": "{payment}",
}
# commands that are not run here, each with the reason why a person may follow the advice
CHANGES = {
    "proofrail device assign": "needs the owner's signature, and has a dry run",
    "proofrail audit export": "writes one file, which its reader names",
    "proofrail backup": "writes one new file, and never over another",
    "proofrail effect redeliver": "sends what its receiver knows by its id",
    "proofrail unlock device add": "keeps a key, and never replaces one",
    "proofrail effect target add": "adds a target, which `effect target remove` takes away",
    "proofrail key rotate": "asks before it does anything, and has a dry run",
    "proofrail restart": "stops one process, which starts again where it was",
    "proofrail restore": "refuses a home that holds anything",
    "proofrail resume": "needs a reason, and the step halts again if its rule is still broken",
    "proofrail tls authority": "makes an authority once, and changes nothing after that",
    "proofrail tls issue": "writes two new files",
    "proofrail upgrade": "makes a backup first",
    "proofrail agreement close": "is advised as a dry run, which shows what would end",
    "proofrail agreement consent": "stores what the device's owner signed, and has a dry run",
    "proofrail agreement skip": "needs the signatures of payer and payee, and has a dry run",
    "proofrail agreement move": "asks before it does anything, and has a dry run",
    "proofrail agreement open": "adds an agreement that its payer signs",
    "proofrail approval withdraw": "ends an approval, which moves nothing then",
    "proofrail chain cancel": "asks before it does anything, and has a dry run",
    "proofrail chain move": "asks before it does anything, and has a dry run",
    "proofrail chain pause": "asks before it does anything, and ends by itself after 7 days",
    "proofrail party payout-account": "sets where a payee is paid to, and has a dry run",
    "proofrail payment rule": "sends what a quorum of oracles signed, and has a dry run",
    "proofrail unlock show": "prints digits that are the same each time",
    "proofrail waterfall create": "adds a payee that nobody pays yet, and has a dry run",
    "proofrail waterfall deploy": "asks before it does anything, and has a dry run",
    "proofrail waterfall show": "reads; it needs the name of a waterfall",
    "proofrail committee seat": "asks before it does anything, and has a dry run",
    "proofrail committee unseat": "asks before it does anything, and has a dry run",
    "proofrail approval show": "reads; it needs the id of an approval",
    "proofrail device add": "adds a device",
    "proofrail device compromise": "is advised as a dry run, which only lists",
    "proofrail device digest": "prints what a key has to sign",
    "proofrail device resume": "undone by `device suspend`",
    "proofrail device rotate": "needs the signature of the device's old key",
    "proofrail device suspend": "undone by `device resume`",
    "proofrail doctor": "reads; it ends with 1 where it finds a problem",
    "proofrail down": "stops processes, which start again where they were",
    "proofrail sandbox bank account": "opens an account at the simulated bank",
    "proofrail init": "refuses a home that holds anything",
    "proofrail oracle list": "reads; it asks oracles, and the rail of this test has no processes",
    "proofrail funding allocate": "needs the approval of a second officer, and has a dry run",
    "proofrail party add": "adds a party, and refuses a name that exists",
    "proofrail party release": "sends the payee its own money, and has a dry run",
    "proofrail party repay": "pays what the payee owes, signed by it, and has a dry run",
    "proofrail api-key add": "issues a key that has to be handed out to be used",
    "proofrail payment dispute": "is signed by the payer, costs a bond, and has a dry run",
    "proofrail payment decide": "needs the approval of a second officer, and has a dry run",
    "proofrail payment concede": "is signed by the payee, who gives money back, and has a dry run",
    "proofrail payment retract": "is signed by who began the dispute, and has a dry run",
    "proofrail payout order-again": "needs the approval of two officers",
    "proofrail payout propose": "needs the approval of a second officer",
    "proofrail product add": "asks before it does anything, and has a dry run",
    "proofrail product deploy": "asks before it does anything, and has a dry run",
    "proofrail up": "starts what does not run",
}
_ADVICE = re.compile(r"`((?:proofrail|make|python -m) [^`]+)`")
_PLACEHOLDER = "X"


def advice() -> dict[str, str]:
    """Return each command that a text advises -> the place of the text."""
    found = {}
    for path in sources():
        if short(path).startswith("scripts/"):
            continue
        for line, text in _texts(tree(path)):
            for command in _ADVICE.findall(text):
                found[command] = f"{short(path)}:{line}"
    return found


def _texts(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string but docstrings; variable parts are placeholders."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    skipped = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            parts = node.values
            skipped |= set(map(id, parts))
            constants = [
                part.value if isinstance(part, ast.Constant) else _PLACEHOLDER for part in parts
            ]
            yield node.lineno, "".join(map(str, constants))
        elif isinstance(getattr(node, "value", None), str) and id(node) not in skipped:
            yield node.lineno, node.value


def _resolved(advised: str) -> tuple[str, Any, list[str]]:
    """Return (name of the command, the command, the words that follow); raise if there is none."""
    words = shlex.split(advised.replace(f" --home {_PLACEHOLDER}", ""))[1:]
    command: Any = get_command(cli.app)
    context = command.make_context("proofrail", [], resilient_parsing=True)
    names = ["proofrail"]
    while words and hasattr(command, "resolve_command") and not words[0].startswith("-"):
        name, command, words = command.resolve_command(context, words)
        names.append(name)
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    return " ".join(names), command, words


def _judged_name(advised: str) -> str:
    return _resolved(advised)[0] if advised.startswith("proofrail ") else advised


ALL = advice()


@pytest.mark.parametrize("advised", sorted(ALL))
def test_advice__each_one__is_a_command_with_options_that_exist(advised: str) -> None:
    if advised.startswith("make "):
        target = advised.split()[1]
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), ALL
        return
    _, command, words = _resolved(advised)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options, ALL[advised]


def test_advice__each_one__is_known_to_be_safe() -> None:
    judged = {_judged_name(advised): place for advised, place in ALL.items()}
    assert len(judged) > 30
    assert {n: place for n, place in judged.items() if n not in READS | CHANGES} == {}
    assert (READS | CHANGES).keys() - judged.keys() == set(), "no text advises these any more"


def _content(home: Path) -> dict[str, str]:
    """Return the hash of each file; of a database that of its rows."""
    hashes = {}
    for path in sorted(home.rglob("*")):
        if path.suffix == ".sqlite3":
            with closing(sqlite3.connect(path)) as base:
                content = "\n".join(base.iterdump()).encode()
        elif path.is_file() and not path.name.endswith(("-wal", "-shm")):
            content = path.read_bytes()
        else:
            continue
        hashes[str(path.relative_to(home))] = hashlib.sha256(content).hexdigest()
    return hashes


@pytest.mark.skipif(not has_anvil(), reason="anvil is not installed")
def test_advice__that_reads__leaves_a_rail_with_data_as_it_is() -> None:
    rail = lived()
    before = _content(rail.home)
    assert len(before) > 5
    samples = {
        "payment": rail.payments()["cp-0001 reconciled"],
        "bank_file": next((rail.home / "bank").rglob("*camt.053*.xml")),
    }
    for name, arguments in READS.items():
        words = [*name.split()[1:], *shlex.split(arguments.format_map(samples))]
        result = CliRunner().invoke(cli.app, ["--home", str(rail.home), *words])
        assert result.exit_code in (0, 1), f"{name}: {result.output}"
        assert _content(rail.home) == before, name
