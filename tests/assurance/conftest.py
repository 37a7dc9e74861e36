"""Options of the tests that forge runs."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def extent() -> int:
    """How much to try: 1 in `make test`; `make assurance` sets more."""
    return int(os.environ.get("ASSURANCE_EXTENT", "1"))
