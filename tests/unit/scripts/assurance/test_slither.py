"""A finding of slither is open unless the table names its place, as often as it has findings."""

from __future__ import annotations

import pytest

from scripts.assurance.slither import TRIAGE, compare, place_of

TABLE = """
[[justified]]
detector = "bad-math"
where = ["Rail.settle", "Rail.settle"]
reason = "It rounds down on purpose."
"""


def finding(function: str, impact: str = "High", check: str = "bad-math") -> dict:
    place = {"filename_relative": "contracts/Rail.sol", "lines": [7]}
    parent = {"name": "Rail", "type_specific_fields": {}}
    element = {"name": function, "type_specific_fields": {"parent": parent}}
    return {"impact": impact, "check": check, "elements": [element | {"source_mapping": place}]}


@pytest.mark.parametrize(
    ("findings", "values"),
    [
        ([finding("settle")] * 2, ["0 open, 2 justified", "0 open, 0 justified", "0"]),
        ([finding("settle")] * 3, ["1 open, 2 justified", "0 open, 0 justified", "0"]),
        ([finding("settle")], ["0 open, 1 justified", "0 open, 0 justified", "1"]),
        (
            [finding("settle")] * 2 + [finding("close", "Medium")],
            ["0 open, 2 justified", "1 open, 0 justified", "0"],
        ),
        (
            [finding("settle")] * 2 + [finding("settle", check="other")],
            ["1 open, 2 justified", "0 open, 0 justified", "0"],
        ),
        ([finding("settle")] * 2 + [finding("close", "Low")], ["0 open, 2 justified"]),
    ],
    ids=["all named", "one more", "one less", "another place", "another detector", "low impact"],
)
def test_findings__against_the_table__are_open_or_justified(findings, values) -> None:
    lines = compare(findings, TABLE)
    assert [line.value for line in lines][: len(values)] == values
    assert [line.ok for line in lines] == [line.value.startswith("0") for line in lines]


def test_findings__that_are_open__are_named_with_file_and_line() -> None:
    assert (
        "bad-math in Rail.close: contracts/Rail.sol:7" in compare([finding("close")], TABLE)[0].note
    )


def test_table__a_row_without_a_reason__fails() -> None:
    lines = compare([finding("settle")] * 2, TABLE.replace("It rounds down on purpose.", ""))
    assert not lines[-1].ok and "no reason: Rail.settle" in lines[-1].note


def test_table__of_the_project__has_a_reason_in_each_row() -> None:
    lines = compare([], TRIAGE.read_text())
    assert "no reason" not in lines[-1].note and int(lines[-1].value) > 30


def test_place__of_a_variable__names_contract_function_and_variable() -> None:
    function = finding("settle")["elements"][0]
    variable = {"name": "level", "type_specific_fields": {"parent": function}}
    assert place_of(variable) == "Rail.settle.level"
