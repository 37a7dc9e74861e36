"""The formats of values in tables and sentences."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands import output


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (["a", "b"], "a, b"),
        (("first", 2), "first, 2"),
        ([["dock", 50], ["home", 100]], "dock, 50; home, 100"),
        ({"price": 3, "caps": ["a", "b"]}, "price 3, caps a, b"),
        ([], ""),
    ],
)
def test_words__values_of_python__read_like_text(value: Any, shown: str) -> None:
    assert output.words(value) == shown and output.plain(value).plain == shown


def test_cell__of_several_items__has_one_on_each_line() -> None:
    cell = output.one_per_line(["0xaaaa", "0xbb\x1b"])
    stream = io.StringIO()
    Console(file=stream, width=40).print(output.table("t", ("ids",), [(cell,)]))
    lines = [line.strip() for line in stream.getvalue().splitlines()]
    assert "0xaaaa" in lines and "0xbb\\x1b" in lines
