"""Shared by all tests: readable assertions in helpers, long files first, cheap collections, and
files that stay with one worker.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

# their rails look for free ports: two at once could choose the same
_CHOOSE_PORTS = (
    "test_flow_sandbox.py",
    "test_second_node.py",
    "test_wheel.py",
    "test_wheel_story.py",
)

pytest.register_assert_rewrite("tests.support")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the files with a test marked `long` to the front, so that no worker ends with one."""
    long_files = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long_files)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all modules and tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, as in Ape's environment, there is none
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what gives each worker whole files; those that choose ports go to the same worker.

    Marks of groups (`--dist loadgroup`) have no effect: pytest-xdist 3.8 writes them into ids that
    pytest 9.2 no longer reads.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "ports" if file.endswith(_CHOOSE_PORTS) else file

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None
