"""The table of lines: as text, as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from scripts.assurance.run import PartResult

VERSION = 1  # of the JSON


def as_text(results: Sequence[PartResult], commit: str) -> str:
    """Return the table for a terminal: a mark, name and value of each line, notes below them."""
    lines = [line for result in results for line in result.lines]
    width = max((len(line.name) for line in lines), default=0)
    rows = [f"assurance of {commit}", ""]
    for line in lines:
        rows.append(f"  {'✓' if line.ok else '✗'} {line.name:<{width}}  {line.value}")
        rows += [f"    {'':<{width}}  {text}" for text in line.note.splitlines()]
    wrong = sum(not line.ok for line in lines)
    seconds = sum(result.seconds for result in results)
    rows += ["", f"{len(lines)} lines, {wrong} not ok, {seconds:.0f} s of work"]
    return "\n".join(rows)


def as_markdown(results: Sequence[PartResult], commit: str) -> str:
    """Return the table for a page."""
    rows = [
        f"Made from commit `{commit}`.",
        "",
        "| line | value | ok | note |",
        "|---|---|---|---|",
    ]
    for result in results:
        for line in result.lines:
            cells = (line.name, line.value, "yes" if line.ok else "**no**", line.note)
            rows.append("| " + " | ".join(_cell(text) for text in cells) + " |")
    return "\n".join(rows)


def as_json(results: Sequence[PartResult], commit: str) -> str:
    """Return the lines as JSON: version, commit, and the parts with their lines."""
    parts = [
        {
            "part": result.part,
            "seconds": round(result.seconds, 1),
            "lines": [asdict(line) for line in result.lines],
        }
        for result in results
    ]
    return json.dumps({"version": VERSION, "commit": commit, "parts": parts}, indent=1)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
