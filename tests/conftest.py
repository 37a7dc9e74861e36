"""Shared by all tests: readable assertions in helpers, and long files first."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the files with a test marked `long` to the front, so that no worker ends with one."""
    long_files = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long_files)
