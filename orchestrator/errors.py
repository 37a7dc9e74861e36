"""The two failures that are not values: the world is slow (Retry), or we are wrong (Halt)."""

from __future__ import annotations


class Retry(Exception):
    """The world is slow or silent: the same work, with the same bytes, may succeed later."""


class Halt(Exception):
    """One of our own rules is broken: stop this work, keep everything, tell a person.

    The message says what happened, why it matters and the next step.
    """
