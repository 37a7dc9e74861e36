"""What a campaign reached is in its lines, and what it never tried is not ok."""

from __future__ import annotations

from collections import Counter

import pytest

from scripts.assurance import invariants
from scripts.assurance.forge import ForgeRun
from scripts.assurance.invariants import (
    NEVER_ACCEPTED,
    CampaignCounts,
    functions,
    lines_of,
    measure_campaign,
    merge_runs,
    rare_states,
    read_counts,
)
from scripts.assurance.pieces import KeptPieces

ROWS = (
    '{"call:Rail.open": 2, "refused:Rail.open": 1, "state:debt open": 3, "rule:paid once": 5}',
    '{"call:Rail.open": 3, "always:sums add up": 1, "rule:paid once": 1}',
)


def counts(rules: int = 20) -> CampaignCounts:
    read = read_counts(ROWS)
    return CampaignCounts(
        read.calls, read.refused, read.states, Counter({f"rule {n}": n for n in range(rules)})
    )


def test_read_counts__rows_of_two_runs__are_added_up():
    read = read_counts(ROWS)
    assert read.calls == {"Rail.open": 5}
    assert read.refused == {"Rail.open": 1}
    assert read.states == {"debt open": 3}
    assert read.rules == {"paid once": 6, "sums add up": 0}


def test_lines__everything_reached__are_ok():
    rules, tried, reached = lines_of(counts(), ["Rail.open"], ["debt open"])
    assert (rules.ok, tried.ok, reached.ok) == (True, True, True)
    assert tried.value == "1 of 1 called"
    assert "Rail.open: 5 accepted, 1 refused" in tried.note
    assert "debt open: 3" in reached.note


def test_lines__function_never_called_or_state_never_reached__are_not_ok():
    _, tried, reached = lines_of(counts(), ["Rail.close", "Rail.open"], ["debt open", "paused"])
    assert not tried.ok
    assert tried.note.startswith("never called: Rail.close")
    assert not reached.ok
    assert reached.note.startswith("never reached: paused")


def test_lines__function_that_all_are_refused__must_have_been_tried():
    name = "PaymentRail.freeze"
    assert name in NEVER_ACCEPTED
    untried = lines_of(counts(), [name], [])[1]
    knocked = counts()
    knocked.refused[name] = 1
    assert (untried.ok, lines_of(knocked, [name], [])[1].ok) == (False, True)


def test_lines__too_few_rules__are_not_ok():
    assert not lines_of(counts(19), [], [])[0].ok


def test_functions__of_the_shipped_contracts__hold_those_that_all_are_refused():
    assert set(functions()) >= NEVER_ACCEPTED


def test_rare_states__of_the_campaign__are_read_from_its_files():
    assert {"debt open", "dispute open", "paused", "key rotated", "member barred"} <= set(
        rare_states()
    )


def test_merge__campaigns_of_several_processes__are_one():
    sound = ForgeRun(True, 2, 1_000, "", (ROWS[0],))
    faulty = ForgeRun(False, 1, 300, "a rule broke", (ROWS[1],))
    assert merge_runs([sound, sound]) == ForgeRun(True, 4, 2_000, "", (ROWS[0], ROWS[0]))
    both = ForgeRun(False, 3, 1_300, "a rule broke", ROWS)
    assert merge_runs([sound, faulty]) == both
    assert not merge_runs([]).ok


def test_campaign__interrupted__goes_on_with_the_pieces_that_passed(tmp_path, monkeypatch):
    kept, asked = KeptPieces(tmp_path / "state"), list[int]()

    def campaign(calls: int, seed: int | None, replaced: object) -> ForgeRun:
        asked.append(calls)
        if len(asked) == 4:
            raise KeyboardInterrupt
        return ForgeRun(True, 1, calls, "", ROWS)

    monkeypatch.setattr(invariants, "PIECE", 10)
    monkeypatch.setattr(invariants, "_forge_campaign", campaign)
    with pytest.raises(KeyboardInterrupt):
        measure_campaign(40, kept=kept)
    line, *_ = measure_campaign(40, kept=kept)
    assert asked == [10] * 5  # three that passed, one that was cut off, and that one again
    assert line.value.startswith("40 calls in 4 runs")
    assert line.value.endswith("; 30 of them made before")


def test_kept_pieces__of_a_failed_run__are_none(tmp_path):
    kept = KeptPieces(tmp_path / "state")
    kept.put(0, 10, ForgeRun(False, 1, 10, "sums differ"))
    kept.put(1, 10, ForgeRun(True, 1, 10, "", ROWS))
    assert kept.get(0, 10) is None
    assert kept.get(1, 10) == ForgeRun(True, 1, 10, "", ROWS)
    assert kept.get(1, 20) is None


def test_kept_pieces__of_a_changed_campaign__are_others(tmp_path):
    folder = tmp_path / "tests" / "assurance"
    folder.mkdir(parents=True)
    (folder / "Rules.sol").write_text("one")
    before = KeptPieces.of(tmp_path)
    (folder / "Rules.sol").write_text("two")
    assert KeptPieces.of(tmp_path) != before
