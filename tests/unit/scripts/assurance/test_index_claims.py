"""The line about index claims, from what `make fuzz` prints."""

from __future__ import annotations

import pytest

from scripts.assurance.index_claims import read_line

GOOD = "seed 1\n   541 priced\n1,001 claims compared, 0 differences\n"


def test_line__of_claims_without_a_difference__is_ok_and_notes_what_was_reached():
    line = read_line(GOOD, "", 0)
    assert (line.ok, line.value) == (True, "1,001 claims compared, 0 differences")
    assert "541 priced" in line.note


@pytest.mark.parametrize(
    "output, status",
    [
        (GOOD.replace("0 diff", "1 diff"), 1),
        (GOOD.replace("0 diff", "10 diff"), 0),
        (f"{GOOD}never reached: TimeAhead\n", 1),
        ("seed 1\n", 1),
    ],
)
def test_line__of_anything_else__is_not_ok(output, status):
    assert not read_line(output, "", status).ok


def test_line__of_a_process_that_broke__says_why():
    line = read_line("", "ModuleNotFoundError: nothing", 1)
    assert (line.value, line.ok) == ("not measured", False)
    assert "ModuleNotFoundError" in line.note
