"""Work that is killed (SIGKILL) at its first point, its second, and so on, until it comes through.

A point is before and after each call of some functions. Each try is a fork of this process, which
has to open its own store and connections.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

Points = Iterable[tuple[Any, str]]  # (owner, name of a function)


def killed_at_each(work: Callable[[], object], points: Points) -> int:
    """Return how often the work was killed before a try came to its end."""
    point = 1
    while not _came_through(work, points, point):
        point += 1
    return point - 1


def _came_through(work: Callable[[], object], points: Points, point: int) -> bool:
    child = os.fork()
    if not child:
        try:
            _count_down(points, point)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, f"the work ended with {status}"
    return status == 0


def _count_down(points: Points, point: int) -> None:
    left = [point]

    def reach() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            reach()
            result = real(*arguments, **named)
            reach()
            return result

        return call

    for owner, name in points:
        setattr(owner, name, counted(getattr(owner, name)))
