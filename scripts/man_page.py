"""Write the man page of the `proofrail` command from its table of commands: `make man`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from orchestrator import __version__
from orchestrator.cli import COMMANDS, app

PAGE = Path(__file__).resolve().parent.parent / "packaging" / "proofrail.1"
_EVERYWHERE = ("--home", "--help")  # accepted by every command, described once
_ENDING = """\
.SH EXIT STATUS
.TP
.B 0
Success, or the answer is yes.
.TP
.B 1
The answer is no: not found, invalid, a difference.
.TP
.B 2
The command failed. The error says what happened, why, and what to do next.
.SH ENVIRONMENT
.TP
.B PROOFRAIL_HOME
The rail's folder where \\-\\-home is not given. Default: .proofrail.
.TP
.B PROOFRAIL_DEBUG
With 1, a bug in proofrail prints its traceback.
"""


def main() -> int:
    """Rewrite the page; return 0."""
    PAGE.write_text(page())
    print(f"wrote {PAGE.name}")
    return 0


def page() -> str:
    """Return the page in the language of man(7). The same commands give the same text."""
    root: Any = get_command(app)
    context = typer.Context(root, info_name="proofrail")
    lines = [
        f'.TH PROOFRAIL 1 "" "proofrail {__version__}" "User Commands"',
        ".SH NAME",
        f"proofrail \\- {_escape(root.help[0].lower() + root.help[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        ".B proofrail",
        "[OPTIONS] COMMAND [ARGUMENTS]",
        ".SH OPTIONS",
        "Every command accepts \\-\\-home and \\-\\-help too.",
        *_parameters(root, context, ()),
    ]
    for title, rows in COMMANDS.items():
        lines.append(f".SH {title.upper()}")
        for name in rows:
            lines += _described(root.imported(name), context, name)
    return "\n".join(lines) + "\n" + _ENDING


def _described(command: Any, parent: typer.Context, name: str) -> Iterator[str]:
    """Yield the lines of a command, or of each command in a group."""
    context = typer.Context(command, parent=parent, info_name=name)
    members = getattr(command, "commands", {})
    for member in members:
        yield from _described(members[member], context, member)
    if members:
        return
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f".SS {_escape(usage)}"
    yield from _paragraphs(command.help or "")
    yield from _parameters(command, context, _EVERYWHERE)


def _parameters(command: Any, context: typer.Context, hidden: tuple[str, ...]) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[0].split()[0] not in hidden:
            yield from (".TP", f".B {_escape(record[0])}", _escape(record[1] or ""))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _escape(" ".join(paragraph.split()))


def _escape(text: str) -> str:
    """Return text that man prints as it is: no macros, real hyphens."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    raise SystemExit(main())
