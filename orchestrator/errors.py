"""The two failures that are not values: Retry (the world is slow) and Halt (we are wrong)."""

from __future__ import annotations


class Retry(Exception):
    """Something outside is slow or silent: the same work, with the same bytes, may work later."""


class Halt(Exception):
    """One of our own rules is broken: this work stops, everything is kept, and a person must look.

    The message says what happened, why it matters and which next step is safe.
    """
