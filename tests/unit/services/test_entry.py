"""`proofrail-oracle` without its extra says what to install; with it, it runs."""

from __future__ import annotations

import sys

import pytest

from orchestrator.extras import extra_needed
from services import entry


def test_oracle__extra_missing__is_a_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "orchestrator.operations.tls"
    for name in ("services.oracle_home", "orchestrator.edges.chain.ethereum", own):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, own, None)
    with pytest.raises(ModuleNotFoundError):
        entry.oracle()  # a file of our own is missing: a broken installation, not an extra
    monkeypatch.delitem(sys.modules, own)
    monkeypatch.delitem(sys.modules, "orchestrator.edges.chain.ethereum", raising=False)
    monkeypatch.setitem(sys.modules, "eth_account", None)
    assert entry.oracle() == 2
    assert "pip install 'proofrail-orchestrator[oracle]'" in capsys.readouterr().err


def test_extra_needed__other_errors__are_none() -> None:
    assert extra_needed(ValueError("x"), "rail") is None
    assert extra_needed(ModuleNotFoundError("x", name="oracles.new"), "rail") is None
    assert extra_needed(ModuleNotFoundError("x"), "rail") is None
    text = extra_needed(ModuleNotFoundError("x", name="web3.types"), "rail")
    assert text is not None and "[rail]" in text and "web3.types" in text
