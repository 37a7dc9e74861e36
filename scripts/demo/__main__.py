"""Runs the demonstration: `python -m scripts.demo [--home DIR] [--keep | --stop]`."""

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
from scripts.demo.opening import RETIRED, UNKNOWN, DemoParties, start
from scripts.stack import Stack

RECORDS_A_DAY = 12
MONTH_S = 30 * 86_400
HOLE_PATIENCE_S = 4  # a demonstration does not wait half a minute for a lost record
FINALITY_BLOCKS = 2  # nor longer for finality than the month does


def main() -> int:
    """Exit code 0 when everything came out as it must, 1 when something did not (and what)."""
    parser = argparse.ArgumentParser(description="The whole rail on this machine.")
    parser.add_argument("--home", type=Path, default=Path(".proofrail"))
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    parser.add_argument("--stop", action="store_true", help="end what --keep left running")
    options = parser.parse_args()
    if options.stop:
        return stop(options.home)
    stop(options.home)
    begun = time.monotonic()
    stack = Stack(
        options.home,
        int(time.time()) - MONTH_S,
        keep=options.keep,
        environment={
            "PROOFRAIL_HOLE_PATIENCE_S": str(HOLE_PATIENCE_S),
            "PROOFRAIL_FINALITY_BLOCKS": str(FINALITY_BLOCKS),
        },
    )
    cast: DemoParties | None = None
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        console.print("\n[bold]proofrail[/]: from a device's signature to a bank statement line\n")
        cast = start(stack)
        wrong = show(stack, cast)
        if options.keep:
            keep(stack)
        console.print(f"\n[dim]whole demonstration: {time.monotonic() - begun:.1f} s[/]")
    except (Halt, Retry, RuntimeError, TimeoutError) as error:
        console.print(f"[red]the demonstration stopped:[/] {error}", markup=True)
        wrong = [str(error)]
    except KeyboardInterrupt:
        console.print("[yellow]interrupted; everything is being stopped[/]")
        wrong = ["interrupted"]
    finally:
        if cast is not None:
            cast.close()
        if not (options.keep and not wrong):
            stack.stop_all()
    for sentence in wrong:
        console.print(f"[red]✗ {sentence}[/]")
    return 1 if wrong else 0


def show(stack: Stack, cast: DemoParties) -> list[str]:
    """The main job; returns what did not come out as it must."""
    run = cast.run(stack)
    console.print()
    run.beside(run.deliveries.promise)
    run.funded(cast.agreements)
    run.day(1, RECORDS_A_DAY, "a day of charging, carrying, tapping")
    run.beside(run.wearables.suspend)
    run.misbehave()
    run.strangers(UNKNOWN, RETIRED)
    run.settled("settled by a quorum of four oracles")
    stack.stop("bank")
    run.beside(run.incidents.declare)
    run.day(2, RECORDS_A_DAY, "a day with one oracle down")
    stack.prepare_oracle("bank")
    stack.prepare_oracle("auditor", "--lie")
    run.settled("settled while an oracle is down")
    run.beside(lambda: stack.restart_oracle("bank"))
    stack.stop("auditor")
    stack.restart_oracle("auditor")  # as prepared: it lies
    run.day(3, RECORDS_A_DAY, "a day with one oracle lying")
    stack.prepare_oracle("auditor")
    run.settled("settled while an oracle lies")
    stack.stop("auditor")
    run.beside(lambda: stack.restart_oracle("auditor"))
    run.paid()
    return conclude(stack, run)


def keep(stack: Stack) -> None:
    """Says where everything is, and remembers how to end it."""
    write_private(stack.home / "pids.json", json.dumps(stack.pids()).encode())
    console.print("\n[bold]Everything goes on running[/]")
    for name, where in (
        ("chain", stack.testnet.url),
        ("API", stack.api_url),
        ("broker", "{host}:{port}".format(**stack.broker)),
        ("home", str(stack.home.resolve())),
    ):
        console.print(f"  {name:<8} {where}")
    for name, process in stack.pids().items():
        console.print(f"  [dim]{name:<16} process {process}[/]")
    console.print(f"  stop it with: make stop HOME_DIR={stack.home}")


def stop(home: Path) -> int:
    """Ends a kept rail by its process ids."""
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
