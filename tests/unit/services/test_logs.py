"""Logs: one JSON object per line, no secrets, and no failure to write ever reaches the writer."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path

import pytest
import structlog

from services.logs import LogSink, set_up


@pytest.fixture(autouse=True)
def as_before():
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_line__of_our_own_and_of_a_library__are_json_with_the_name_of_the_process(tmp_path):
    log, _ = set_up("bank", tmp_path / "log")
    log.info("order taken", payment="0x01")
    logging.getLogger("paho").warning("the broker %s is away", "here")
    own, library = lines(tmp_path / "log")
    assert (own["process"], own["event"], own["payment"], own["level"]) == (
        "bank",
        "order taken",
        "0x01",
        "info",
    )
    assert (library["process"], library["event"], library["logger"], library["level"]) == (
        "bank",
        "the broker here is away",
        "paho",
        "warning",
    )


def test_exception__logged__shows_its_place_and_no_local_variable(tmp_path):
    log, _ = set_up("bank", tmp_path / "log")
    secret = "a-token-" + "x" * 8
    try:
        raise ValueError(f"{len(secret)} characters")
    except ValueError:
        log.error("failed", exc_info=True)
        logging.getLogger("library").exception("failed too")
    text = (tmp_path / "log").read_text()
    assert secret not in text and text.count('"exc_value": "16 characters"') == 2


def test_write__on_a_full_device__raises_nothing_and_is_counted():
    sink = LogSink(Path("/dev/full"))
    for _ in range(3):
        sink.line("lost")
    assert sink.dropped == 3


def test_write__after_the_disk_was_full__reports_how_many_lines_were_lost(tmp_path):
    full = True

    def write(file: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data)

    sink = LogSink(tmp_path / "log", write)
    sink.line('{"event": "lost"}')
    sink.line('{"event": "lost"}')
    full = False
    sink.line('{"event": "first"}')
    sink.line('{"event": "second"}')
    report, *others = lines(tmp_path / "log")
    assert (report["event"], report["lines"]) == ("log lines were lost", 2)
    assert [line["event"] for line in others] == ["first", "second"] and sink.dropped == 2


def test_write__of_half_a_line__ends_that_line_before_the_next(tmp_path):
    sizes = iter([5, None])

    def write(file: int, data: bytes) -> int:
        return os.write(file, data[: next(sizes)])

    sink = LogSink(tmp_path / "log", write)
    sink.line('{"event": "torn"}')
    sink.line('{"event": "whole"}')
    torn, report, whole = (tmp_path / "log").read_text().splitlines()
    assert torn == '{"eve' and json.loads(report)["lines"] == 1
    assert json.loads(whole) == {"event": "whole"}


def test_file__moved_away__is_opened_again(tmp_path):
    sink = LogSink(tmp_path / "log")
    sink.line("one")
    (tmp_path / "log").rename(tmp_path / "log.1")
    sink.line("two")
    assert (tmp_path / "log").read_text() == "two\n"
    assert (tmp_path / "log.1").read_text() == "one\n"


def test_value__that_json_cannot_hold__is_written_all_the_same(tmp_path):
    log, sink = set_up("bank", tmp_path / "log")
    loop: dict = {}
    loop["itself"] = loop
    log.info("odd", value=b"\xff", loop=loop)
    log.info("odd", value={(1, 2): 3})
    log.info("long", value="x" * 50_000)
    assert [line["event"][:4] for line in lines(tmp_path / "log")][1:] != []
    assert len(lines(tmp_path / "log")) == 3 and sink.dropped == 0
    assert max(map(len, (tmp_path / "log").read_text().splitlines())) < 25_000
