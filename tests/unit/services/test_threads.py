"""A process without one of its threads ends, so that its supervisor starts it again."""

from __future__ import annotations

import subprocess
import sys
import threading
from types import SimpleNamespace

from services.threads import EXIT_CODE, VitalThreads
from tests.support.source_tree import ROOT

DIES = """
import threading, time
from services import logs
from services.threads import VitalThreads
log, _ = logs.set_up("rail")
threads = VitalThreads(log)
threads.start("good", threading.Event().wait)
threads.start("work", {work})
threads.watch()
threading.Event().wait(300)
"""


def ended(work: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DIES.format(work=work)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_thread__that_fails__ends_the_process_with_1_and_a_last_line():
    process = ended("lambda: time.sleep(0.2) or {}['missing']")
    assert process.returncode == EXIT_CODE == 1
    failed, last = process.stderr.splitlines()
    assert '"thread": "work"' in failed and "missing" in failed
    assert "a thread of it died" in last and '"work"' in last


def test_thread__that_just_returns__ends_the_process_too():
    assert ended("lambda: None").returncode == EXIT_CODE


def test_threads__that_were_asked_to_end__end_nothing():
    codes, stop = [], threading.Event()
    threads = VitalThreads(SimpleNamespace(critical=lambda *_, **__: None), codes.append)
    hook = threading.excepthook
    threads.start("work", stop.wait)
    threads.watch()
    assert threads.dead() == []
    threads.stopping()
    stop.set()
    threads.join(60)
    assert threads.dead() == [] and codes == [] and threading.excepthook is hook
