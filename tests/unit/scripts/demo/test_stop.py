"""A demonstration that is stopped gets the time to stop its processes."""

from __future__ import annotations

from scripts.demo import __main__ as demo


def test_stop__a_demonstration_that_takes_its_time__is_asked_once(monkeypatch, tmp_path):
    holders, asked = iter([7, 7, 7, None]), []
    monkeypatch.setattr(demo, "holder", lambda path: next(holders))
    monkeypatch.setattr(demo, "STOP_POLL_S", 0)
    monkeypatch.setattr(demo.os, "kill", lambda process, sign: asked.append((process, sign)))
    demo.stop(tmp_path)
    assert asked == [(7, demo.signal.SIGTERM)]
