"""What all state machines share: a move, a fact that is known already, an impossible pair."""

from __future__ import annotations

import importlib
import pkgutil
from enum import StrEnum

import pytest

from orchestrator import core
from orchestrator.core.machine import Machine
from orchestrator.errors import Halt


class Light(StrEnum):
    """Where a lamp stands."""

    OFF = "off"
    ON = "on"


class Switch(StrEnum):
    """What can happen to a lamp."""

    PRESSED = "pressed"
    BROKEN = "broken"


LAMP = Machine(
    "lamp",
    {(Light.OFF, Switch.PRESSED): Light.ON},
    {Switch.PRESSED: (Light.ON,)},
    "look at the fuse.",
)


def test_advance__a_fact_that_moves__gives_the_next_stage():
    assert LAMP.advance("L1", Light.OFF, Switch.PRESSED) is Light.ON


def test_advance__a_fact_that_is_known__changes_nothing():
    assert LAMP.advance("L1", Light.ON, Switch.PRESSED) is Light.ON


@pytest.mark.parametrize("stage", Light)
def test_advance__an_impossible_pair__names_record_stage_fact_and_next_step(stage):
    with pytest.raises(Halt) as error:
        LAMP.advance("L1", stage, Switch.BROKEN)
    assert str(error.value) == (
        f"lamp L1: the fact 'broken' cannot occur at the stage '{stage}'. Nothing was changed. "
        "Next: look at the fuse."
    )


def test_machines__all_of_core__have_no_pair_that_is_both_a_move_and_known():
    modules = [
        importlib.import_module(f"{core.__name__}.{m.name}")
        for m in pkgutil.iter_modules(core.__path__)
    ]
    machines = [module.MACHINE for module in modules if hasattr(module, "MACHINE")]
    assert len(machines) >= 4
    for machine in machines:
        without_move = {(stage, fact) for fact, stages in machine.known.items() for stage in stages}
        assert not without_move & machine.moves.keys(), machine.name
        assert machine.name and machine.next_step.endswith(".")
