"""Structured logs of every process: one JSON object per line, and writing one never raises.

Lines of libraries (stdlib logging) have the same form. Local variables never appear: they hold
tokens and keys.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

_STDERR = 2
_MOST = 20_000  # characters of one line; a longer one is cut


class LogSink:
    """Writes whole lines to a file, or to standard error. It counts what it cannot write.

    When writing works again after a failure, it first writes a line with the number of lost lines.

    Attributes:
        dropped: How many lines were lost since the process started.

    Args:
        path: The file, which is appended to and opened again if it is moved away; None writes to
            standard error.
        write: (file descriptor, bytes) -> bytes written; os.write.
    """

    def __init__(
        self, path: Path | None = None, write: Callable[[int, bytes], int] = os.write
    ) -> None:
        self.dropped = 0
        self._path, self._write, self._lock = path, write, threading.Lock()
        self._file: int | None = None if path else _STDERR
        self._unreported = 0
        self._is_torn = False  # the last line was written in part

    def line(self, text: str) -> None:
        """Write one line, or count it as lost; never raise."""
        with self._lock:
            if not self._put(self._lost_lines() + text.encode("utf-8", "replace") + b"\n"):
                self.dropped += 1
                self._unreported += 1
                return
            self._unreported = 0

    def _lost_lines(self) -> bytes:
        start = b"\n" if self._is_torn else b""
        if not self._unreported:
            return start
        report = {"event": "log lines were lost", "lines": self._unreported, "level": "warning"}
        return start + json.dumps(report).encode() + b"\n"

    def _put(self, data: bytes) -> bool:
        try:
            written = self._write(self._open(), data)
        except (OSError, ValueError):
            self._close()
            return False
        self._is_torn = 0 < written < len(data)
        return written == len(data)

    def _open(self) -> int:
        """Return the file, opened again if somebody moved it away (log rotation)."""
        if self._path is None:
            return _STDERR
        if self._file is not None and not self._is_current(self._file):
            self._close()
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._file

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._path is not None and self._file is not None:
            with contextlib.suppress(OSError):  # it is gone either way
                os.close(self._file)
            self._file = None


class _SinkLogger:
    """The structlog logger that writes to a sink."""

    def __init__(self, sink: LogSink) -> None:
        self._sink = sink

    def msg(self, message: str) -> None:
        self._sink.line(message)

    debug = info = warning = error = critical = exception = log = msg


class _SinkHandler(logging.Handler):
    """The stdlib handler that writes to a sink."""

    def __init__(self, sink: LogSink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._sink.line(self.format(record))
        except Exception:  # a record that cannot be formatted is a lost line, not an error
            self._sink.dropped += 1


def set_up(
    process: str, path: Path | None = None, level: int = logging.INFO
) -> tuple[Any, LogSink]:
    """Send all logs of this process, also those of libraries, to one sink.

    Args:
        process: The name of the process, in every line.
        path: See LogSink.
        level: The lowest level of libraries' lines.

    Returns:
        (the logger, the sink with its count of lost lines).
    """
    sink = LogSink(path)

    def named(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        return {"process": process} | dict(event)

    shared = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        named,
    ]
    structlog.configure(
        processors=[*shared, _render],
        logger_factory=lambda *_: _SinkLogger(sink),
        cache_logger_on_first_use=False,
    )
    handler = _SinkHandler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    return structlog.get_logger(), sink


def _render(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Return the line; what JSON cannot hold is written by its repr."""
    try:
        text = json.dumps(dict(event), default=repr)
    except (TypeError, ValueError, RecursionError):
        text = json.dumps({"event": repr(event)[:_MOST]})
    if len(text) <= _MOST:
        return text
    kept = {
        name: str(event[name])[:200]
        for name in ("process", "event", "level", "timestamp")
        if name in event
    }
    return json.dumps(kept | {"cut": text[: _MOST - 1_000]})
