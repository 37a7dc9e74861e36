"""Run the demonstration: `python -m scripts.demo [--home DIR] [--keep | --stop]`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import time
from pathlib import Path

from orchestrator.edges.chain.keystore import write_private
from orchestrator.errors import Halt, Retry
from scripts.demo.checklist import console
from scripts.demo.ending import conclude
from scripts.demo.opening import RETIRED, UNKNOWN, DemoParticipants, start
from scripts.stack import Stack

RECORDS_A_DAY = 12
MONTH_S = 30 * 86_400
HOLE_PATIENCE_S = 4  # instead of half a minute, so that the demonstration is short
FINALITY_BLOCKS = 2  # as in the month


def main() -> int:
    """Run, stop or keep the demonstration.

    Returns:
        0 if every result is as expected; 1 if not (the differences are printed).
    """
    parser = argparse.ArgumentParser(description="The whole rail on this machine.")
    parser.add_argument("--home", type=Path, default=Path(".proofrail"))
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--stop", action="store_true", help="stop what --keep left running")
    options = parser.parse_args()
    if options.stop:
        return stop(options.home)
    stop(options.home)
    started = time.monotonic()
    stack = Stack(
        options.home,
        int(time.time()) - MONTH_S,
        keep=options.keep,
        environment={
            "PROOFRAIL_HOLE_PATIENCE_S": str(HOLE_PATIENCE_S),
            "PROOFRAIL_FINALITY_BLOCKS": str(FINALITY_BLOCKS),
        },
    )
    participants: DemoParticipants | None = None
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        console.print("\n[bold]proofrail[/]: from a device's signature to a bank statement line\n")
        participants = start(stack)
        wrong = show(stack, participants)
        if options.keep:
            keep(stack)
        console.print(f"\n[dim]whole demonstration: {time.monotonic() - started:.1f} s[/]")
    except (Halt, Retry, RuntimeError, TimeoutError) as error:
        console.print(f"[red]the demonstration stopped:[/] {error}", markup=True)
        wrong = [str(error)]
    except KeyboardInterrupt:
        console.print("[yellow]interrupted; stopping everything[/]")
        wrong = ["interrupted"]
    finally:
        if participants is not None:
            participants.close()
        if not (options.keep and not wrong):
            stack.stop_all()
    for sentence in wrong:
        console.print(f"[red]✗ {sentence}[/]")
    return 1 if wrong else 0


def show(stack: Stack, participants: DemoParticipants) -> list[str]:
    """Run the scenario; return a sentence for every unexpected result."""
    run = participants.run(stack)
    console.print()
    run.in_background(run.deliveries.open_unconfirmed)
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
    run.paid()
    return conclude(stack, run)


def keep(stack: Stack) -> None:
    """Print where everything is, and store the process ids for `stop`."""
    write_private(stack.home / "pids.json", json.dumps(stack.pids()).encode())
    console.print("\n[bold]Everything stays running[/]")
    for name, location in (
        ("chain", stack.testnet.url),
        ("API", stack.api_url),
        ("broker", "{host}:{port}".format(**stack.broker)),
        ("home", str(stack.home.resolve())),
    ):
        console.print(f"  {name:<8} {location}")
    for name, process in stack.pids().items():
        console.print(f"  [dim]{name:<16} process {process}[/]")
    console.print(f"  stop it with: make stop HOME_DIR={stack.home}")


def stop(home: Path) -> int:
    """Stop a kept rail by its process ids."""
    file = home / "pids.json"
    if not file.exists():
        return 0
    for pid in json.loads(file.read_text()).values():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    file.unlink()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
