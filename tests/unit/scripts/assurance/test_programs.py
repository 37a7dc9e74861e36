"""Programs that the parts start are where the set-up puts them, or the message says how to."""

from __future__ import annotations

import pytest

from orchestrator.errors import Halt
from scripts.assurance.programs import forge_binary, tool


def test_tool__that_is_not_installed__names_the_command_that_installs_it() -> None:
    with pytest.raises(Halt, match="make setup-tools"):
        tool("no-such-tool")


def test_forge__without_packages__names_the_command_that_installs_it(tmp_path) -> None:
    with pytest.raises(Halt, match="make setup-dev"):
        forge_binary(tmp_path)


def test_forge__of_any_platform__is_the_binary_and_no_wrapper(tmp_path) -> None:
    packages = tmp_path / "node_modules" / "@foundry-rs"
    for name in ("forge", "forge-darwin-arm64"):
        (packages / name / "bin").mkdir(parents=True)
        (packages / name / "bin" / "forge").touch()
    assert forge_binary(tmp_path) == (packages / "forge-darwin-arm64/bin/forge").resolve()
