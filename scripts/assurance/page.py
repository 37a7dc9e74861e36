"""The page that carries the table of the last long run, with the commit it was made from."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.assurance.run import PartResult
from scripts.assurance.table import as_markdown
from scripts.solidity.sources import ROOT

PAGE = ROOT / "docs" / "ASSURANCE.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def write_page(results: Sequence[PartResult], commit: str, page: Path = PAGE) -> Path:
    """Put the table between the two marks of the page and return the page's path."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{as_markdown(results, commit)}\n{END}{after}")
    return page


def commit_name() -> str:
    """Return the commit of the checkout; says so where files differ from it."""
    commit = _git("rev-parse", "HEAD")
    page = PAGE.relative_to(ROOT).as_posix()
    changed = _git("status", "--porcelain", "--", ".", f":!{page}")
    return f"{commit or 'unknown'}{' with changes' if changed else ''}"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
