"""Writes docs/STATES.md: a mermaid state diagram for each state machine of the core.

    python -m scripts.draw_states

A test fails when the file differs from what this script writes.
"""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from types import ModuleType

from orchestrator.core import agreement, bank_file, chain_send, funding, payment, payout

PAGE = Path(__file__).resolve().parent.parent / "docs" / "STATES.md"
# module -> the stages at which a record begins
MACHINES: dict[ModuleType, tuple[StrEnum, ...]] = {
    payment: (payment.Stage.RECEIVED,),
    payout: (payout.Stage.DUE,),
    funding: (funding.Stage.BOOKED, funding.Stage.SUSPENSE),
    agreement: (agreement.Stage.SIGNED,),
    chain_send: (chain_send.Stage.SIGNED,),
    bank_file: (bank_file.Stage.WRITTEN, bank_file.Stage.RECEIVED),
}
_INTRODUCTION = """\
# State machines

This page is generated from the tables in `orchestrator/core`; `python -m scripts.draw_states`
writes it again. An arrow is a move: the fact on it, recorded at the stage where it starts, leads to
the stage where it ends. A fact that is already known or comes too late changes nothing. Every other
pair of stage and fact is impossible: the worker's step halts, and nothing is changed.
"""
_MEMBER = re.compile(r'^ +\w+ = "(\w+)"(?:  # (.+))?$', re.MULTILINE)


def page() -> str:
    """Return the text of docs/STATES.md."""
    return "\n".join([_INTRODUCTION, *(_section(module) for module in MACHINES)])


def _section(module: ModuleType) -> str:
    machine = module.MACHINE
    name = module.__name__.rpartition(".")[2]
    lines = [f"## {machine.name.capitalize()}", "", f"Table: `orchestrator/core/{name}.py`.", ""]
    lines += ["```mermaid", "stateDiagram-v2", *_arrows(module), "```", ""]
    lines += _meanings("stage", module.Stage) + _meanings("fact", module.Fact)
    lines += ["| stage | facts that change nothing |", "|---|---|"]
    for stage in module.Stage:
        unchanged = [f"`{fact}`" for fact in module.Fact if machine.verdict(stage, fact) == "known"]
        lines.append(f"| `{stage}` | {', '.join(unchanged) or '-'} |")
    return "\n".join([*lines, ""])


def _arrows(module: ModuleType) -> list[str]:
    facts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (stage, fact), after in module.MACHINE.moves.items():
        facts[stage, after].append(fact)
    begins = [f"    [*] --> {stage}" for stage in MACHINES[module]]
    moves = [f"    {start} --> {end} : {', '.join(by)}" for (start, end), by in facts.items()]
    ends = [f"    {stage} --> [*]" for stage in module.Stage if _is_end(module, stage)]
    return begins + moves + ends


def _is_end(module: ModuleType, stage: StrEnum) -> bool:
    return not any(start == stage for start, _ in module.MACHINE.moves)


def _meanings(title: str, members: type[StrEnum]) -> list[str]:
    """Return a table of the comments behind the members; [] where the source has none."""
    rows = _MEMBER.findall(inspect.getsource(members))
    if not any(meaning for _, meaning in rows):
        return []
    lines = [f"| {title} | meaning |", "|---|---|"]
    return lines + [f"| `{name}` | {meaning} |" for name, meaning in rows] + [""]


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
