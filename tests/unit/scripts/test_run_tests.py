"""The command of all tests: what hangs is named and ended, and the other tests still run."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest

from scripts.run_tests import ROOT, run_part

HANGING = """
import os, time

def test_hangs():
    os.write(1, b"")
    while True:
        try:
            time.sleep(60)
        except BaseException:  # not even the time limit of a test ends this one
            pass

def test_works():
    pass
"""

SAYS_WORKER = """
import os, pytest

@pytest.mark.parametrize("number", range(4))
def test_says_it(number):
    os.write(2, f"AT {__file__} {os.environ['PYTEST_XDIST_WORKER']}\\n".encode())
"""


def _run(*code: str, silence_s: float) -> tuple[list[str], object]:
    lines: list[str] = []
    command = [sys.executable, *code]
    return lines, run_part("part", command, lines.append, silence_s, Path(tempfile.gettempdir()))


def test_part__of_its_output__is_counted_line_by_line():
    code = "print('..'); print('1.50s call a::b'); print('3 passed, 1 skipped in 2.0s')"
    lines, part = _run("-c", code, silence_s=600)
    assert lines[0] == ".." and part.code == 0
    assert part.counts == {"passed": 3, "skipped": 1} and part.slowest == [(1.5, "a::b")]


def test_part__that_prints_dots_and_no_line__is_left_alone():
    """Its whole time is longer than the limit, each silence is shorter."""
    code = "import time\nfor _ in range(8): print('.', end='', flush=True); time.sleep(0.5)"
    lines, part = _run("-c", code, silence_s=3)
    assert lines == ["." * 8] and part.code == 0


def test_part__that_hangs__is_named_and_ended():
    lines, part = _run("-c", "import time; print('.', flush=True); time.sleep(600)", silence_s=1)
    assert "FAILED: nothing was printed for 1 s; what runs is ended" in lines
    assert part.code != 0


def test_part__whose_process_left_another_with_its_output__ends():
    code = (
        "import subprocess, sys; print('1 passed in 1s', flush=True); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"
    )
    lines, part = _run("-c", code, silence_s=600)
    assert lines == ["1 passed in 1s"] and part.code == 0


@pytest.mark.extended  # it waits longer than a busy machine needs to start pytest
def test_part__a_test_in_it_hangs__is_named_and_the_others_run(tmp_path: Path):
    (tmp_path / "test_it.py").write_text(HANGING)
    options = ("-q", "-n", "1", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    lines, part = _run("-m", "pytest", *options, "-c", "/dev/null", str(tmp_path), silence_s=20)
    assert any("crashed while running" in line and "test_hangs" in line for line in lines), lines
    assert any("test_it.py" in line and "test_hangs" in line for line in lines)
    assert part.counts == {"failed": 1, "passed": 1} and part.code != 0


@pytest.mark.extended  # it starts three processes of pytest
def test_parallel_run__of_many_files__gives_each_file_to_one_worker(tmp_path: Path):
    """Tests of a file share a chain or a rail, which would be started twice; and some tests of a
    file follow others."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    names = ("test_a.py", "test_b.py", "test_c.py", "test_wheel.py", "test_second_node.py")
    for name in names:
        (tmp_path / name).write_text(SAYS_WORKER)
    options = ("-q", "-s", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile")
    lines, part = _run("-m", "pytest", *options, "-c", "/dev/null", str(tmp_path), silence_s=600)
    workers = defaultdict(set)
    for line in lines:
        if "AT " in line:
            file, worker = line.split("AT ")[1].split()[:2]
            workers[Path(file).name].add(worker)
    assert part.counts == {"passed": 4 * len(names)}
    assert set(workers) == set(names) and all(len(by) == 1 for by in workers.values()), workers
    assert workers["test_wheel.py"] == workers["test_second_node.py"]  # both look for free ports
