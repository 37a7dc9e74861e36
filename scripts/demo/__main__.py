"""Runs the demonstration: `python -m scripts.demo [--home DIR] [--keep | --stop]`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path

from orchestrator.edges.chain.keystore import write_private
from orchestrator.edges.store import Session, evidence, payments, tallies
from orchestrator.errors import Halt, Retry
from orchestrator.steps.reconcile import reconcile_store
from scripts.demo import report, town
from scripts.demo.checklist import bar, console, done, step
from scripts.demo.scenario import Run
from scripts.deploy import ROOT
from scripts.devices.faults import Fault
from scripts.devices.fleet import Fleet
from scripts.stack import DOMAINS, Stack

CHARGE_POINTS, METERS = 8, 1
RECORDS_A_DAY = 12
FUNDED_CENTS = 150_000
RETIRED, UNKNOWN = "cp-retired", "cp-unknown"
SEED = 7
MONTH_S = 30 * 86_400
HOLE_PATIENCE_S = 4  # a demonstration does not wait half a minute for a lost record


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
        options.home, int(time.time()) - MONTH_S, keep=options.keep,
        environment={"PROOFRAIL_HOLE_PATIENCE_S": str(HOLE_PATIENCE_S)},
    )  # fmt: skip
    fleet: Fleet | None = None
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    try:
        console.print("\n[bold]proofrail[/]: from a device's signature to a bank statement line\n")
        fleet = start(stack)
        wrong = show(stack, fleet)
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
        if fleet is not None:
            fleet.close()
        if not (options.keep and not wrong):
            stack.stop_all()
    for sentence in wrong:
        console.print(f"[red]✗ {sentence}[/]")
    return 1 if wrong else 0


def start(stack: Stack) -> Fleet:
    """The checklist: every part of the rail, timed."""
    seconds = json.loads((ROOT / ".venv" / "setup.json").read_text()).get("seconds", 0)
    done("environment", "Python and npm packages, locked by hash", seconds)
    stack.prepare()
    compile_contracts(stack)
    step("chain", lambda: (stack.start_chain(), f"anvil at {stack.testnet.url}")[1])
    step("contracts", lambda: f"PaymentRail {stack.deploy().addresses['PaymentRail']}")
    step("broker", lambda: (stack.start_broker(),
                            "{broker} on {host}:{port}".format(**stack.broker))[1])  # fmt: skip
    step("bank", lambda: (stack.start_bank(), stack.safeguarding["iban"])[1])
    fleet = Fleet(
        stack.home, CHARGE_POINTS, METERS, SEED, stack.start_at + 86_400,
        (stack.settings.keys / "receipt.pub.pem").read_bytes(),
    )  # fmt: skip
    fleet.add(RETIRED)
    fleet.add(UNKNOWN)
    step("devices", lambda: _install(stack, fleet))
    step("four oracles", lambda: (
        stack.start_oracles(), f"{len(DOMAINS)} trust domains: {', '.join(DOMAINS.values())}"
    )[1])  # fmt: skip
    step("orchestrator", lambda: (stack.start_rail(), f"API at {stack.api_url}")[1])
    return fleet


def compile_contracts(stack: Stack) -> None:
    """With a bar: the first time it takes as long as the compiler's optimiser does."""
    begun = time.monotonic()
    with bar("compiling contracts", 5, brief=True) as reached:
        stack.compile(lambda ready, _total: reached(ready))
        reached(5)
    done("compiler", f"solc through py-solc-x, {len(stack.artifacts)} contracts",
         time.monotonic() - begun)  # fmt: skip


def _install(stack: Stack, fleet: Fleet) -> str:
    """A month ago on the chain's clock: people, devices, mandates; then the clock comes to now."""
    names = [name for name in fleet.devices if name != UNKNOWN]
    passwords = stack.issue_devices(list(fleet.devices))
    town.settle_in(stack)
    town.enrol(stack, fleet, names)
    references = town.agree(stack, fleet, names)
    stack.office.retire(RETIRED)
    stack.come_to_the_present()
    town.fund(stack, fleet, names, references, FUNDED_CENTS)
    away = fleet.connect(stack.broker["host"], stack.broker["port"], passwords)
    if away:
        raise RuntimeError(f"devices not let in by the broker: {', '.join(away)}")
    return f"{len(names)} enrolled with own P-256 keys and agreements"


def show(stack: Stack, fleet: Fleet) -> list[str]:
    """The main job; returns what did not come out as it must."""
    enrolled = [name for name in fleet.devices if name not in (RETIRED, UNKNOWN)]
    run = Run(stack, fleet, enrolled)
    console.print()
    run.funded(len(enrolled) + 1)
    run.day(RECORDS_A_DAY, "a day of charging and metering")
    run.misbehave()
    run.strangers(UNKNOWN, RETIRED)
    run.settled("settled by a quorum of four oracles")
    stack.stop("bank")
    run.day(RECORDS_A_DAY, "a day with one oracle down")
    run.settled("settled while an oracle is down")
    stack.restart_oracle("bank")
    stack.stop("auditor")
    stack.restart_oracle("auditor", "--lie")
    run.day(RECORDS_A_DAY, "a day with one oracle lying")
    run.settled("settled while an oracle lies")
    stack.stop("auditor")
    stack.restart_oracle("auditor")
    run.paid()
    return _conclude(stack, run)


def _conclude(stack: Stack, run: Run) -> list[str]:
    answers = run.fleet.totals()
    with stack.store.read() as session:
        reconciliation = reconcile_store(session, stack.safeguarding["iban"])
        down = payments.count_facts(session, "%bank is down%")
        lied = payments.count_facts(session, "%auditor signed another claim%")
        console.print()
        notes, wrong = survived(session, run, down, lied)
        wrong += report.faults(session, run, notes)
        wrong += report.totals(session, answers, reconciliation)
        example = payments.newest_reconciled(session)
    _next(stack, example)
    return wrong


def survived(
    session: Session, run: Run, down: int, lied: int
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Rows for what is not a rejection, and what was not seen although it happened."""
    holes, counts = evidence.all_holes(session), tallies.rejection_counts(session)
    ok, bad = "[green]survived[/]", "[red]NOT SEEN[/]"
    strangers = [
        ("a device that nobody enrolled", counts.get("device_unknown", 0), "device_unknown"),
        ("a device that was retired", counts.get("device_retired", 0), "device_retired"),
    ]
    facts = [
        ("a retained record", _not_taken(session, run, Fault.RETAINED),
         "retained, or the broker refused it"),
        ("a record on another device's topic", _not_taken(session, run, Fault.FOREIGN_TOPIC),
         "the broker refused it"),
        ("a counter that never came", len(holes), "reported as a hole, later records paid"),
        ("records out of order", bool(run.faults.get(Fault.OUT_OF_ORDER)), "put in order, paid"),
        ("an oracle that was down", down, f"quorum of the other three, {down} payments"),
        ("an oracle that lied", lied, f"its signature did not count, {lied} payments"),
    ]
    no = "[green]rejected[/]"
    rows = [(words, no if seen else bad, f"{why} ({seen})") for words, seen, why in strangers]
    rows += [(words, ok if seen else bad, why) for words, seen, why in facts]
    return rows, [f"{words}: not seen" for words, seen, _ in strangers + facts if not seen]


def _not_taken(session: Session, run: Run, fault: Fault) -> bool:
    """Whether the fault was sent and its records are nowhere among the evidence."""
    records = run.faults.get(fault, [])
    taken = [evidence.stored(session, sha256(record).hexdigest()) for record in records]
    return bool(records) and not any(taken)


def _next(stack: Stack, example: str | None) -> None:
    """One payment traced, and three commands to try."""
    command = f"PROOFRAIL_HOME={stack.home} .venv/bin/proofrail"
    console.print("\n[bold]One payment, from signature to statement line[/]\n")
    if example:
        environment = {
            **os.environ, "PROOFRAIL_HOME": str(stack.home), "COLUMNS": str(console.width),
        }  # fmt: skip
        shown = subprocess.run([ROOT / ".venv" / "bin" / "proofrail", "trace", example],
                               env=environment, capture_output=True, text=True)  # fmt: skip
        console.print(shown.stdout or shown.stderr, markup=False)
    console.print("[bold]Try next[/]")
    for line in (f"trace {example}", f"audit export {example} -o bundle.json",
                 "audit verify bundle.json"):  # fmt: skip
        console.print(f"  {command} {line}", soft_wrap=True)


def keep(stack: Stack) -> None:
    """Says where everything is, and remembers how to end it."""
    write_private(stack.home / "pids.json", json.dumps(stack.pids()).encode())
    console.print("\n[bold]Everything goes on running[/]")
    for name, where in (("chain", stack.testnet.url), ("API", stack.api_url),
                        ("broker", "{host}:{port}".format(**stack.broker)),
                        ("home", str(stack.home.resolve()))):  # fmt: skip
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
