"""The halted steps of a rail, on disk: a restart does not forget them, and a person ends them.

Files in the folder, all JSON: `STEP.json` is a step that stands, `STEP.resume.json` a person's
request that it continues, and `history.jsonl` one line for each halt and each resume, for ever.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.edges.bank.files import sync_folder, write_atomically

VERSION = 1  # of all three formats


@dataclass(frozen=True, slots=True)
class StandingHalt:
    """A step that stopped: why, and since when (Unix seconds)."""

    step: str
    reason: str
    halted_at: int


@dataclass(frozen=True, slots=True)
class ResumeRequest:
    """A person's decision that a halted step continues.

    Attributes:
        step: The step.
        halted_at: Of the halt that the person looked at; a later halt is not ended by it.
        by: Who decided.
        reason: What they found.
        at: When, Unix seconds.
    """

    step: str
    halted_at: int
    by: str
    reason: str
    at: int


class Halts:
    """The halts of one rail. The worker writes them; `proofrail resume` leaves requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def standing(self) -> dict[str, StandingHalt]:
        """Return {step: its halt}; a file that cannot be read is a halt too."""
        halts = {}
        for path in sorted(self._folder.glob("*.json")):
            step, _, kind = path.stem.partition(".")
            if not kind:
                halts[step] = self._read_halt(step, path)
        return halts

    def record(self, halt: StandingHalt) -> None:
        """Store a halt; raises OSError if the disk refuses."""
        self._append("halted", asdict(halt))
        body = {"version": VERSION} | asdict(halt)
        write_atomically(self._folder / f"{halt.step}.json", json.dumps(body).encode())

    def request(self, request: ResumeRequest) -> None:
        """Leave a request for the worker, which takes it before its next turn."""
        body = {"version": VERSION} | asdict(request)
        write_atomically(self._request_path(request.step), json.dumps(body).encode())

    def is_requested(self, step: str) -> bool:
        """Return whether a request waits for the worker."""
        return self._request_path(step).exists()

    def take(self, halt: StandingHalt) -> ResumeRequest | None:
        """End a halt that a person has looked at; return the request, or None if there is none.

        The request is written to the history before the halt ends.
        """
        path = self._request_path(halt.step)
        try:
            body = json.loads(path.read_bytes())
            fields = {name: body[name] for name in ResumeRequest.__slots__}
            request = ResumeRequest(**fields)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            path.unlink(missing_ok=True)  # not a request of ours
            return None
        if request.halted_at != halt.halted_at:
            path.unlink(missing_ok=True)
            return None
        self._append("resumed", asdict(request))
        (self._folder / f"{halt.step}.json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        sync_folder(self._folder)
        return request

    def history(self) -> list[dict[str, Any]]:
        """Return every halt and resume, the oldest first; a torn line is left out."""
        path = self._folder / "history.jsonl"
        events = []
        for line in path.read_bytes().splitlines() if path.exists() else ():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue
        return events

    def _read_halt(self, step: str, path: Path) -> StandingHalt:
        try:
            body = json.loads(path.read_bytes())
            return StandingHalt(step, str(body["reason"]), int(body["halted_at"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"its halt in {path} cannot be read ({type(error).__name__})"
            return StandingHalt(step, reason, 0)

    def _request_path(self, step: str) -> Path:
        return self._folder / f"{step}.resume.json"

    def _append(self, event: str, fields: dict[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"version": VERSION, "event": event} | fields) + "\n"
        with (self._folder / "history.jsonl").open("ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
