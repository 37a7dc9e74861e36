"""The man page: what the command tree gives, and what man(1) accepts."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from scripts.man_page import PAGE, page


def test_page__in_the_repository__is_what_the_commands_give() -> None:
    assert PAGE.read_text() == page(), "run `make man` and commit packaging/proofrail.1"


@pytest.mark.parametrize("name", ["device add", "audit verify", "status", "completion"])
def test_page__each_command__has_a_part(name: str) -> None:
    assert f"\n.SS proofrail {name} " in page()


def test_page__groff__finds_nothing_wrong() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", str(PAGE)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and done.stderr == "" and "PROOFRAIL(1)" in done.stdout
