"""Run the demonstration: `python -m scripts.demo [--home DIR] [--keep | --stop]`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import time
from pathlib import Path

from orchestrator.errors import Halt, Retry
from orchestrator.home_lock import hold, holder
from scripts.demo.checklist import console
from scripts.demo.ending import conclude
from scripts.demo.opening import RETIRED, UNKNOWN, DemoParticipants, start
from scripts.stack import Stack

RECORDS_A_DAY = 12
MONTH_S = 30 * 86_400
HOLE_PATIENCE_S = 4  # instead of half a minute, so that the demonstration is short
FINALITY_BLOCKS = 2  # as in the month
LOCK = "demo.lock"  # held while a demonstration runs in the home
STOP_POLL_S = 0.5


def main() -> int:
    """Run the demonstration, keep it running, or stop one that was kept.

    Returns:
        0 if every result is as expected; 1 if not (the differences are printed).
    """
    parser = argparse.ArgumentParser(description="The whole rail on this machine.")
    parser.add_argument("--home", type=Path, default=Path(".proofrail-demo"))
    parser.add_argument("--keep", action="store_true", help="run on until Ctrl-C or --stop")
    parser.add_argument("--stop", action="store_true", help="stop what --keep left running")
    options = parser.parse_args()
    stop(options.home)
    if options.stop:
        return 0
    stack = Stack(
        options.home,
        int(time.time()) - MONTH_S,
        environment={
            "PROOFRAIL_HOLE_PATIENCE_S": str(HOLE_PATIENCE_S),
            "PROOFRAIL_FINALITY_BLOCKS": str(FINALITY_BLOCKS),
        },
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # --stop of another process
    try:
        stack.prepare()
        with hold(stack.home / LOCK):
            wrong = demonstrate(stack, options.keep)
    except Halt as error:
        wrong = [str(error)]
    for sentence in wrong:
        console.print(f"[red]✗ {sentence}[/]")
    return 1 if wrong else 0


def demonstrate(stack: Stack, keep: bool) -> list[str]:
    """Run the whole demonstration; return a sentence for every unexpected result."""
    started = time.monotonic()
    participants: DemoParticipants | None = None
    wrong = ["interrupted"]
    try:
        console.print("\n[bold]proofrail[/]: from a device's signature to a bank statement line\n")
        participants = start(stack)
        wrong = show(stack, participants)
        console.print(f"\n[dim]whole demonstration: {time.monotonic() - started:.1f} s[/]")
        if keep and not wrong:
            wait_for_a_signal(stack)
    except (Halt, Retry, RuntimeError, TimeoutError) as error:
        console.print(f"[red]the demonstration stopped:[/] {error}", markup=True)
        wrong = [str(error)]
    except KeyboardInterrupt:
        console.print("[yellow]stopping everything[/]")
    finally:
        if participants is not None:
            participants.close()
        stack.stop_all()
    return wrong


def show(stack: Stack, participants: DemoParticipants) -> list[str]:
    """Run the scenario; return a sentence for every unexpected result."""
    run = participants.run(stack)
    console.print()
    run.funded(participants.agreements)
    run.day(1, RECORDS_A_DAY, "a day of charging, carrying, tapping")
    run.in_background(run.wearables.suspend)
    run.misbehave()
    run.publish_refused(UNKNOWN, RETIRED)
    run.settled("settled by a quorum of four oracles")
    stack.stop("oracle-bank")
    run.in_background(run.incidents.declare)
    run.day(2, RECORDS_A_DAY, "a day with one oracle down")
    run.settled("settled while an oracle is down")
    run.in_background(lambda: stack.restart_oracle("bank"))
    stack.stop("oracle-auditor")
    stack.restart_oracle("auditor", "--lie")
    run.day(3, RECORDS_A_DAY, "a day with one oracle lying")
    run.settled("settled while an oracle lies")
    stack.stop("oracle-auditor")
    run.in_background(lambda: stack.restart_oracle("auditor"))
    run.in_background(run.measured.finish)
    run.paid()
    return conclude(stack, run)


def wait_for_a_signal(stack: Stack) -> None:
    """Print where everything is, and wait for Ctrl-C or `make stop`."""
    console.print("\n[bold]Everything stays running[/]; Ctrl-C here or `make stop` ends it")
    for name, location in (
        ("chain", stack.testnet.url),
        ("API", stack.api_url),
        ("broker", "{host}:{port}".format(**stack.broker)),
        ("home", str(stack.home)),
    ):
        console.print(f"  {name:<8} {location}")
    for name, process in stack.pids().items():
        console.print(f"  [dim]{name:<16} process {process}[/]")
    while True:
        signal.pause()


def stop(home: Path) -> None:
    """Stop the demonstration that runs in this home, and wait for its end.

    It is asked once: a second signal would end it while it stops its processes.
    """
    asked = None
    while (demonstration := holder(home / LOCK)) is not None:
        if demonstration != asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(demonstration, signal.SIGTERM)
            asked = demonstration
        time.sleep(STOP_POLL_S)


if __name__ == "__main__":
    raise SystemExit(main())
