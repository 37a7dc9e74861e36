"""The wheel of this checkout, and an environment outside of it that holds nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "requirements" / "rail.txt"
_UV = Path(sys.executable).with_name("uv")
_SOURCES = (
    *("contracts", "device_adapters", "oracles", "orchestrator", "packaging"),
    *("requirements", "services"),
)
_FILES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml")
_SECONDS = 900


def build(folder: Path) -> Path:
    """Build the source distribution, and from that the wheel, as a release does; return the wheel.

    Args:
        folder: An empty folder; the sources are copied there, so the checkout stays as it is.
    """
    source = folder / "source"
    for name in _SOURCES:
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, ignore=ignore)
    for name in _FILES:
        shutil.copy(ROOT / name, source)
    python = ("--python", sys.executable, "--no-build-isolation")
    _uv("build", *python, "--out-dir", folder / "dist", source)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


class Installed:
    """An environment with the wheel; its commands run in a folder outside of the checkout.

    Args:
        folder: where the environment and the folder of its commands are made.
        programs: a folder of further programs, which is on PATH.
    """

    def __init__(self, folder: Path, wheel: Path, *programs: Path) -> None:
        self.folder, self._wheel = folder / "work", wheel
        self._bin = folder / "environment" / "bin"
        self._path = ":".join(map(str, (self._bin, *programs, "/usr/bin", "/bin")))
        self.folder.mkdir()
        _uv("venv", "--python", sys.executable, folder / "environment")

    def install(self, extra: str = "") -> int:
        """Install the wheel, with an extra; return how many distributions there are then."""
        name = f"proofrail-orchestrator{f'[{extra}]' if extra else ''}"
        python = ("--python", self._bin / "python")
        locked = ("--constraint", LOCK)
        _uv("pip", "install", *python, *locked, f"{name} @ {self._wheel.as_uri()}")
        listed = _uv("pip", "list", *python, "--format", "freeze")
        return len(listed.splitlines())

    def run(
        self, command: str, *arguments: str | Path, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment to its end.

        Args:
            environment: variables next to PATH; left out: a HOME without anything.
        """
        variables = environment or {"HOME": str(self.folder)}
        return subprocess.run(
            [str(self._bin / command), *map(str, arguments)],
            cwd=self.folder,
            env={**variables, "PATH": self._path},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )


def _uv(*arguments: str | Path) -> str:
    return subprocess.run(
        [str(_UV), "--quiet", "--system-certs", *map(str, arguments)],
        env=dict(os.environ),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=_SECONDS,
    ).stdout
