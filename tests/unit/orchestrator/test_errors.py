"""The one list of troubles that end by themselves, and of errors that do not."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.exc import OperationalError

from orchestrator.errors import Halt, Retry, passing_trouble


def full_database(path) -> sqlite3.Error:
    """SQLite's own error when a database may not grow."""
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("CREATE TABLE t (x)")
        base.execute("PRAGMA max_page_count=2")
        with pytest.raises(sqlite3.Error) as raised:
            base.execute("INSERT INTO t VALUES (zeroblob(100000))")
    return raised.value


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.EFBIG, errno.EIO, errno.EDQUOT, errno.ENOMEM],
)
def test_os_error__of_a_short_machine__passes(number):
    assert passing_trouble(OSError(number, "as the system says")) is not None


@pytest.mark.parametrize(
    "error",
    [
        Halt("our own rule is broken"),
        KeyError("result"),
        FileNotFoundError(errno.ENOENT, "no such file"),
        PermissionError(errno.EACCES, "not yours"),
        sqlite3.IntegrityError("UNIQUE constraint failed"),
        RuntimeError("dictionary changed size"),
        ZeroDivisionError(),
    ],
)
def test_error__of_a_rule_or_a_bug__does_not_pass(error):
    assert passing_trouble(error) is None


def test_retry__any__passes_with_its_text():
    assert passing_trouble(Retry("the node is silent")) == "the node is silent"


def test_database__full__passes_also_inside_the_wrapper_of_a_library(tmp_path):
    error = full_database(tmp_path / "base")
    assert passing_trouble(error) == "database or disk is full"
    assert passing_trouble(OperationalError("INSERT", {}, error)) == "database or disk is full"


def test_database__locked_by_another__passes(tmp_path):
    path = tmp_path / "base"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as first,
        closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as second,
    ):
        first.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as raised:
            second.execute("BEGIN IMMEDIATE")
    assert passing_trouble(raised.value) == "database is locked"


def test_threads__no_more__and_memory__pass():
    assert passing_trouble(RuntimeError("can't start new thread")) is not None
    assert passing_trouble(MemoryError()) is not None


def test_cause__of_a_wrapping_error__counts_and_a_mere_context_does_not():
    wrapped = ValueError("wrapped")
    wrapped.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert passing_trouble(wrapped) is not None
    handled = KeyError("a bug while a full disk was handled")
    handled.__context__ = OSError(errno.ENOSPC, "No space left on device")
    assert passing_trouble(handled) is None
