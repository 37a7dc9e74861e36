"""Shared by all tests: readable assertions in helpers, long files first, cheap collections."""

from __future__ import annotations

import gc

import pytest

pytest.register_assert_rewrite("tests.support")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the files with a test marked `long` to the front, so that no worker ends with one."""
    long_files = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all modules and tests again and again."""
    gc.collect()
    gc.freeze()
