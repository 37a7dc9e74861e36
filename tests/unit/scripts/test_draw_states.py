"""docs/STATES.md is what the tables say, for every state machine of the core."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from orchestrator import core
from orchestrator.core.machine import Machine
from scripts.draw_states import MACHINES, PAGE, page


def test_states__page__is_not_stale() -> None:
    assert PAGE.read_text() == page(), "run `python -m scripts.draw_states`"


def test_states__every_machine_of_the_core__is_drawn() -> None:
    modules = [
        import_module(f"orchestrator.core.{path.stem}")
        for path in sorted(Path(core.__file__).parent.glob("*.py"))
        if path.stem != "__init__"
    ]
    machines = {m for m in modules if isinstance(getattr(m, "MACHINE", None), Machine)}
    assert machines == set(MACHINES) and len(machines) == 6


@pytest.mark.parametrize("module", MACHINES, ids=lambda module: module.__name__)
def test_states__every_move_and_every_fact__is_on_the_page(module) -> None:
    section = page().split(f"\n## {module.MACHINE.name.capitalize()}\n")[1].split("\n## ")[0]
    for (stage, fact), after in module.MACHINE.moves.items():
        [arrow] = [a for a in section.splitlines() if a.startswith(f"    {stage} --> {after} ")]
        assert fact in arrow.partition(" : ")[2].split(", ")
    assert all(f"`{fact}`" in section or f"{fact}" in section for fact in module.Fact)
    assert all(f"| `{stage}` |" in section for stage in module.Stage)


def test_states__stages_without_an_end__lead_on() -> None:
    assert "    reconciled --> [*]" in page() and "    posted --> [*]" not in page()
