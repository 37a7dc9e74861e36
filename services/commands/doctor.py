"""`proofrail doctor`: checks a rail from outside, and says what to do about each problem."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain, table

if TYPE_CHECKING:
    from services.doctor import Finding

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check configuration, keys, ports, node, clock and disk.

    Exit code 1 if there is a problem.
    """
    from orchestrator.errors import Halt
    from services.doctor import CheckState, Finding, examine

    try:
        findings = examine(home_of(context).settings)
    except Halt as error:
        findings = [
            Finding(
                "configuration", CheckState.PROBLEM, str(error), "correct it, then run this again"
            )
        ]
    problems = sum(finding.severity is CheckState.PROBLEM for finding in findings)
    view = {"problems": problems, "findings": [asdict(finding) for finding in findings]}
    output.show(view, as_json, lambda console: _render(console, findings, problems))
    raise typer.Exit(output.NO if problems else 0)


def _render(console: Any, findings: list[Finding], problems: int) -> None:
    rows = [
        (plain(f.severity, _STYLES[f.severity]), f.check, f.observed, f.next_step) for f in findings
    ]
    console.print(table("", ("", "check", "found", "next step"), rows))
    console.print("no problem found" if not problems else f"{problems} problem(s) found")
