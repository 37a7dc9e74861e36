"""Whether forge is here: CI and `make setup-dev` bring it, a bare checkout has not."""

from __future__ import annotations

import pytest

from orchestrator.errors import Halt
from scripts.assurance.programs import forge_binary


def _is_here() -> bool:
    try:
        forge_binary()
    except Halt:
        return False
    return True


needs_forge = pytest.mark.skipif(not _is_here(), reason="forge is not installed")
