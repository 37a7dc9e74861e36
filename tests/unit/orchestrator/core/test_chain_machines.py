"""Agreements and chain sends: every pair of stage and fact, against tables written down by hand."""

from __future__ import annotations

from types import ModuleType

import pytest

from orchestrator.core import agreement, chain_send
from orchestrator.errors import Halt

# stage: what moves it (fact>stage), what changes nothing there, and what is impossible
EXPECTED = {
    agreement: {
        "signed": ("opened>live reclaimed>closed", "funded", ""),
        "live": ("reclaimed>closed", "opened funded", ""),
        "closed": ("funded>refund_due", "reclaimed", "opened"),
        "refund_due": ("reclaimed>closed", "funded", "opened"),
    },
    chain_send: {
        "signed": (
            "broadcast>sent succeeded>mined reverted>failed displaced>failed",
            "",
            "orphaned",
        ),
        "sent": (
            "broadcast>sent succeeded>mined reverted>failed displaced>failed",
            "",
            "orphaned",
        ),
        "mined": (
            "succeeded>mined reverted>failed orphaned>sent",
            "broadcast displaced",
            "",
        ),
        "failed": (
            "succeeded>mined reverted>failed orphaned>sent",
            "broadcast displaced",
            "",
        ),
    },
}
PAIRS = [
    (module, stage, fact) for module in EXPECTED for stage in module.Stage for fact in module.Fact
]


@pytest.mark.parametrize("module", EXPECTED, ids=lambda module: module.__name__)
def test_tables__written_by_hand__name_every_pair_once(module: ModuleType) -> None:
    assert set(EXPECTED[module]) == set(module.Stage)
    for moves, without_move, impossible in EXPECTED[module].values():
        facts = [move.split(">")[0] for move in moves.split()]
        facts += [*without_move.split(), *impossible.split()]
        assert sorted(facts) == sorted(module.Fact)


@pytest.mark.parametrize(("module", "stage", "fact"), PAIRS, ids=str)
def test_advance__every_pair__does_what_the_table_says(
    module: ModuleType, stage: str, fact: str
) -> None:
    moves, without_move, _ = EXPECTED[module][stage]
    after = dict(move.split(">") for move in moves.split()).get(fact)
    if after is not None:
        assert module.MACHINE.verdict(stage, fact) == "moves"
        assert module.MACHINE.advance("0x1", stage, fact) == after
    elif fact in without_move.split():
        assert module.MACHINE.verdict(stage, fact) == "known"
        assert module.MACHINE.advance("0x1", stage, fact) == stage
    else:
        assert module.MACHINE.verdict(stage, fact) == "impossible"
        with pytest.raises(Halt, match=f"0x1: the fact '{fact}' cannot occur at the stage"):
            module.MACHINE.advance("0x1", stage, fact)
