"""The lock of a home: one holder, named; the kernel frees it when its holder is killed."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from orchestrator.home_lock import HomeInUse, hold, holder


def _hold(path: Path, held: multiprocessing.Event) -> None:
    with hold(path):
        held.set()
        multiprocessing.Event().wait()


def test_hold__while_another_process_holds_it__names_that_process(tmp_path):
    path, context = tmp_path / "rail.lock", multiprocessing.get_context("spawn")
    held = context.Event()
    other = context.Process(target=_hold, args=(path, held))
    other.start()
    try:
        assert held.wait(120)
        assert holder(path) == other.pid
        with pytest.raises(HomeInUse, match=f"Process {other.pid} works on this home"), hold(path):
            pass
    finally:
        other.kill()  # as a power cut does: nothing is cleaned up
        other.join()
    assert path.read_text() == str(other.pid) and holder(path) is None
    with hold(path):
        assert holder(path) == os.getpid()
    assert holder(path) is None


def test_holder__no_file__is_nobody_and_makes_nothing(tmp_path):
    assert holder(tmp_path / "rail.lock") is None
    assert list(tmp_path.iterdir()) == []
