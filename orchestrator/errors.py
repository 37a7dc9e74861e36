"""The two failures that are not values: Retry (the world is slow) and Halt (we are wrong).

`passing_trouble` is the one list of what ends by itself: nothing in it may stop a step for good.
"""

from __future__ import annotations

import errno
import sqlite3


class Retry(Exception):
    """Something outside is slow or silent: the same work, with the same bytes, may work later."""


class Halt(Exception):
    """One of our own rules is broken: this work stops, everything is kept, and a person must look.

    The message says what happened, why it matters and which next step is safe.
    """


# what the machine runs out of, and gets back without a change of ours
_PASSING_ERRNO = frozenset(
    {
        errno.ENOSPC,  # disk full
        errno.EDQUOT,
        errno.EFBIG,  # the limit of a file's size (RLIMIT_FSIZE)
        errno.EROFS,
        errno.EIO,
        errno.EMFILE,  # too many open files, of this process or of the machine
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.EINTR,
        errno.EBUSY,
        errno.ETIMEDOUT,
        errno.ESTALE,
    }
)
_PASSING_SQLITE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,  # disk full
        sqlite3.SQLITE_CANTOPEN,  # too many open files
        sqlite3.SQLITE_PROTOCOL,  # a lock that could not be taken in time
    }
)
_NO_THREAD = "can't start new thread"


def passing_trouble(error: BaseException) -> str | None:
    """Return the text of a trouble that ends by itself (a Retry too), or None for any other error.

    Args:
        error: An exception, or a library's wrapper around one (`orig`, `__cause__`).
    """
    if isinstance(error, Retry):
        return str(error)
    if isinstance(error, Halt):
        return None
    if isinstance(error, MemoryError):
        return "this machine is out of memory"
    if isinstance(error, OSError) and error.errno in _PASSING_ERRNO:
        return str(error)
    # the lowest byte is the kind; the rest says more about it
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None) or 0
        return str(error) if code & 0xFF in _PASSING_SQLITE else None
    if isinstance(error, RuntimeError) and _NO_THREAD in str(error):
        return "this machine takes no more threads"
    inner = getattr(error, "orig", None) or error.__cause__
    return passing_trouble(inner) if isinstance(inner, BaseException) else None
