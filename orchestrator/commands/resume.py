"""`proofrail resume`: lets a halted step continue, after a person has looked at it."""

from __future__ import annotations

import getpass
import time
from typing import Annotated, Any

import typer

from orchestrator.commands import output
from orchestrator.commands.home import home_of
from orchestrator.commands.output import Json, plain
from orchestrator.errors import Halt

_PATIENCE_S, _POLL_S = 20, 0.2


def resume(
    context: typer.Context,
    step: Annotated[str, typer.Argument(help="The halted step; `proofrail status` names it.")],
    reason: Annotated[str, typer.Option(help="What was found and corrected; it is kept.")],
    by: Annotated[str | None, typer.Option(help="Who decides. Default: the login name.")] = None,
    as_json: Json = False,
) -> None:
    """Let a halted step continue.

    Use it once the cause is corrected.

    Who, when and why are kept in halts/history.jsonl. A step whose rule is still broken halts again
    at once. Exit code 1 if no running rail has taken the request yet; it waits for the next start.
    """
    from orchestrator.halts import Halts, ResumeRequest
    from orchestrator.status_file import HALTS

    if not reason.strip():
        raise Halt(
            "--reason is empty. Nothing was changed. Say what was wrong and what was done about it."
        )
    home = home_of(context)
    halts = Halts(home.settings.home / HALTS)
    standing = halts.standing()
    if step not in standing:
        raise Halt(_refusal(step, sorted(standing)))
    halt = standing[step]
    who = by or getpass.getuser()
    halts.request(ResumeRequest(step, halt.halted_at, who, reason.strip(), int(time.time())))
    deadline = time.monotonic() + _PATIENCE_S
    while halts.is_requested(step) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    taken = not halts.is_requested(step)
    view = {"step": step, "by": who, "reason": reason.strip(), "halt": halt.reason, "taken": taken}
    output.show(view, as_json, lambda console: _render(console, view))
    raise typer.Exit(0 if taken else output.NO)


def _refusal(step: str, halted: list[str]) -> str:
    from orchestrator.worker import STEPS  # imported late: it loads every step

    names = [known.__name__ for known in STEPS]
    which = f"Halted now: {', '.join(halted)}." if halted else "No step is halted."
    if step not in names:
        return f"There is no step {step!r}; the steps are {', '.join(names)}. {which}"
    return f"The step {step} is not halted, so nothing was changed. {which}"


def _render(console: Any, view: dict[str, Any]) -> None:
    if view["taken"]:
        console.print(
            plain(
                f"{view['step']} continues; `proofrail status` shows whether it halts again, as "
                "it does while its rule is broken"
            )
        )
    else:
        console.print(
            plain(
                f"the request for {view['step']} is stored; no running rail has taken it yet. It "
                "takes effect when the orchestrator runs"
            )
        )
