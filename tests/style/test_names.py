"""One name, one thing: no class name stands twice, and no package is a shared bucket."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tests.support.source_tree import classes, files, offenders, short, sources

# names that stand more than once, each with its reason
REPEATED = {
    "Stage": "each state machine in orchestrator/core has its own, read as payout.Stage",
    "Fact": "each state machine in orchestrator/core has its own, read as payout.Fact",
}
BANNED_MODULES = {"utils", "util", "common", "helpers", "helper", "models", "misc", "shared"}


def test_classes__any_two__have_different_names() -> None:
    places = defaultdict(list)
    for path in files(".py"):
        for node in classes(path):
            places[node.name.lstrip("_")].append(f"{short(path)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not {name: where for name, where in twice.items() if name not in REPEATED}
    assert set(REPEATED) <= set(twice), "an exception that nothing needs any more"


def test_state_machines__repeat_stage_and_fact__in_core_alone() -> None:
    for path in files(".py"):
        for node in classes(path):
            if node.name in REPEATED:
                assert short(path).startswith("orchestrator/core/"), short(path)


def test_modules__any__have_a_home() -> None:
    def bucket(path: Path) -> set[str]:
        return {part.removesuffix(".py") for part in Path(short(path)).parts} & BANNED_MODULES

    assert not offenders(sources(), bucket)
