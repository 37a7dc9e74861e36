"""Mutants are chosen evenly and repeatably; a survivor without a reason fails the line."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.assurance.mutants import CORE, choose, mutant_of
from scripts.assurance.mutation import (
    _FIRST,
    INVALID,
    KILLED,
    REASONS,
    SURVIVED,
    TESTS,
    MutantVerdict,
    summarise,
)
from scripts.solidity.sources import ROOT

ORIGINAL = "a = 1;\n    b = 2;\nc = 3;\n"


def mutant(operator: str = "CR", source: str = "contracts/rail/RailState.sol", line: str = "//"):
    return mutant_of(source, operator, ORIGINAL, ORIGINAL.replace("    b = 2;", f"    {line}"))


REASON = (
    '[[survivor]]\nsource = "contracts/rail/RailState.sol"\n'
    'before = "b = 2;"\nafter = "//"\nreason = "b is never read."\n'
)


def test_mutant__its_key__is_the_changed_lines_without_indentation():
    assert mutant().key == ("contracts/rail/RailState.sol", "b = 2;", "//")


def test_choice__of_a_seed__is_the_same_and_takes_from_each_group():
    many = [mutant(operator, line=f"{n};") for operator in ("CR", "ROR") for n in range(50)]
    few = [mutant("MIA", "contracts/Disputes.sol", line=f"{n};") for n in range(2)]
    chosen = choose([*many, *few], 12, 1)
    assert choose([*many, *few], 12, 1) == chosen != choose([*many, *few], 12, 2)
    assert Counter(each.operator for each in chosen) == {"CR": 5, "ROR": 5, "MIA": 2}


@pytest.mark.parametrize(
    ("outcomes", "reasons", "value", "ok"),
    [
        ([KILLED] * 3, "survivor = []", "3 of 3 killed, 0 survive with a reason, 0 without", True),
        (
            [KILLED, SURVIVED],
            "survivor = []",
            "1 of 2 killed, 0 survive with a reason, 1 without",
            False,
        ),
        ([KILLED, SURVIVED], REASON, "1 of 2 killed, 1 survive with a reason, 0 without", True),
        (
            [KILLED, INVALID],
            "survivor = []",
            "1 of 1 killed, 0 survive with a reason, 0 without",
            0,
        ),
    ],
    ids=["all killed", "one survives", "with a reason", "too few compile"],
)
def test_line__of_mutants__fails_on_a_survivor_without_a_reason(outcomes, reasons, value, ok):
    line = summarise([MutantVerdict(mutant(), outcome) for outcome in outcomes], reasons, least=2)
    assert line.value == value and line.ok is bool(ok)


def test_reasons__of_the_project__can_be_read():
    assert summarise([], REASONS.read_text(), 0).ok


def test_core__each_file__exists_and_has_tests_that_run_first():
    for source in CORE:
        assert (ROOT / source).exists()
        names = _FIRST[source.rsplit("/")[-1].removesuffix(".sol")]
        assert all((ROOT / TESTS / f"test_{name}.py").exists() for name in names), source
