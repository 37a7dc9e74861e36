"""A table of a state machine written down by hand, and the comparison with the machine itself."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import pytest

from orchestrator.core.machine import Machine
from orchestrator.errors import Halt

# stage: (facts that move it, as "fact>stage"; facts it knows; facts that can never occur at it)
MachineTable = Mapping[str, tuple[str, str, str]]


def expected_move(table: MachineTable, stage: str, fact: str) -> tuple[str, str]:
    """Return (verdict, next stage) by a table; a fact must be in a row exactly once."""
    moves, without_move, never = (part.split() for part in table[stage])
    arrows = {name: after for name, _, after in (word.partition(">") for word in moves)}
    assert (fact in arrows) + (fact in without_move) + (fact in never) == 1, (stage, fact)
    if fact in arrows:
        return "moves", arrows[fact]
    return ("known" if fact in without_move else "impossible"), stage


def assert_as_written(
    machine: Machine, table: MachineTable, stages: type[StrEnum], facts: type[StrEnum]
) -> None:
    """Assert that each pair of stage and fact does what the table says."""
    assert set(table) == set(stages)
    for stage in stages:
        for fact in facts:
            verdict, after = expected_move(table, stage, fact)
            assert machine.verdict(stage, fact) == verdict, (stage, fact)
            if verdict == "impossible":
                with pytest.raises(Halt) as error:
                    machine.advance("0x01", stage, fact)
                message = str(error.value)
                assert message.startswith(f"{machine.name} 0x01: the fact '{fact}' cannot occur")
                assert f"'{stage}'" in message and message.endswith(f"Next: {machine.next_step}")
            else:
                assert machine.advance("0x01", stage, fact) == after, (stage, fact)


def reached_from(machine: Machine, *starts: StrEnum) -> set[StrEnum]:
    """Return every stage that moves lead to from these."""
    reached, waiting = set(starts), list(starts)
    while waiting:
        stage = waiting.pop()
        after = {to for (at, _), to in machine.moves.items() if at == stage} - reached
        reached |= after
        waiting += after
    return reached
