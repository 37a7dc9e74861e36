"""Keystores that open at once: a test's keys are public, and their password protects nothing."""

from __future__ import annotations

from orchestrator.edges.chain import keystore


def use_quick_keys() -> None:
    """Have this process make keystores with the least work; any process opens them so quickly."""
    keystore._SCRYPT_N = 2
