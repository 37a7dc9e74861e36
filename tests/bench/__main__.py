"""`make bench`: this rail against the loop one writes first, interleaved in one run."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orchestrator.edges.broker import credentials
from orchestrator.edges.chain import keystore
from orchestrator.edges.store import agreements, fundings, sends
from orchestrator.steps.settle import group_of
from scripts.demo import parties
from scripts.stack import Stack
from services.simulated_devices.fleet import Fleet
from tests.bench.cpu import seconds
from tests.bench.loop import Loop
from tests.support.store_queries import settled_events

console = Console(highlight=False, width=100)
FUNDED_CENTS = 20_000_000  # 200,000 euro an agreement: money must not be what stops a round


@dataclass
class Score:
    """Sums over the rounds of one contestant; CPU seconds by process."""

    records: int = 0
    wall_s: float = 0.0
    gas: int = 0
    cpu: Counter[str] = field(default_factory=Counter)

    def add(self, records: int, wall_s: float, cpu: Counter[str], gas: int) -> None:
        self.records += records
        self.wall_s += wall_s
        self.gas += gas
        self.cpu.update(cpu)

    @property
    def cpu_s(self) -> float:
        return sum(self.cpu.values())


def cpu_of(pids: dict[str, int]) -> Counter[str]:
    """CPU seconds so far of each process, with its descendants."""
    return Counter({name: seconds([pid]) for name, pid in pids.items()})


def main() -> int:
    """Prints settled records per second, CPU and gas per record for both, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--records", type=int, default=12_000, help="the rail's, per round")
    parser.add_argument("--loop-records", type=int, default=150, help="the loop's, per round")
    parser.add_argument("--devices", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proofrail-bench-") as folder:
        stack = Stack(Path(folder) / "rail", int(time.time()) - 90 * 86_400)
        try:
            rail, loops = run(stack, options)
        finally:
            stack.stop_all()
    show(rail, loops, options)
    return 0


def run(stack: Stack, options: argparse.Namespace) -> tuple[Score, Score]:
    """Builds one rail, then lets both settle in turn, each on devices of its own."""
    console.print("starting one rail: chain, broker, bank, four oracles, orchestrator ...")
    fleet = _start(stack, options.devices + 2)
    mine = list(fleet.devices)[: options.devices]
    others = list(fleet.devices)[options.devices :]
    loop = _loop(stack, fleet, others)
    rail, loops = Score(), Score()
    for number in range(1, options.rounds + 1):
        _loop_round(stack, fleet, others, loop, options.loop_records, loops)
        _rail_round(stack, fleet, mine, options.records // len(mine), rail)
        console.print(
            f"round {number}: loop {loops.records / loops.wall_s:7.1f}/s, "
            f"rail {rail.records / rail.wall_s:8.1f}/s (means so far)"
        )
    loop.close()
    fleet.close()
    return rail, loops


def _start(stack: Stack, devices: int) -> Fleet:
    stack.prepare()
    stack.compile()
    stack.start_chain()
    stack.deploy()
    stack.start_broker()
    stack.start_bank()
    fleet = Fleet(
        stack.home,
        devices,
        0,
        11,
        stack.start_at + 86_400,
        (stack.settings.keys / "receipt.pub.pem").read_bytes(),
    )
    names = list(fleet.devices)
    passwords = stack.issue_devices(names)
    parties.register_parties(stack)
    parties.enrol(stack, fleet, names)
    references = parties.open_metering(stack, fleet, names, cap_micro=FUNDED_CENTS * 10_000)
    stack.move_to_now()
    parties.fund(stack, fleet, names, references, FUNDED_CENTS)
    stack.start_oracles()
    stack.start_rail()
    fleet.connect(stack.broker["host"], stack.broker["port"], passwords)
    _until(lambda: _count(stack, "minted") == len(names))
    return fleet


def _loop(stack: Stack, fleet: Fleet, names: list[str]) -> Loop:
    addresses = stack.chain.deployment.addresses
    with stack.store.read() as session:
        ids = {
            row.device: (bytes.fromhex(row.agreement_id[2:]), group_of(row))
            for row in agreements.all_agreements(session)
            if row.device in names
        }
    loop = Loop(
        {
            "rpc_url": stack.testnet.url,
            "rail": addresses["PaymentRail"],
            "committee": addresses["OracleCommittee"],
            "product": addresses["MeteredEnergy"],
            "host": stack.broker["host"],
            "nats_port": stack.broker["nats_port"],
            "loop_password": credentials.issue(
                stack.home, "loop", credentials.CredentialRole.ORACLE
            ),
        },
        stack.artifacts["PaymentRail"].abi,
        {name: fleet[name].key.public_key() for name in names},
        ids,
        [keystore.development_account(5 + i) for i in range(4)],
        keystore.development_account(30),
        stack.home,
    )
    loop.connect()
    return loop


def _loop_round(
    stack: Stack, fleet: Fleet, names: list[str], loop: Loop, count: int, score: Score
) -> None:
    """The loop's chain mines at once: the kindest chain there is for waiting on receipts."""
    stack.testnet.rpc("evm_setIntervalMining", 0)
    stack.testnet.rpc("evm_setAutomine", True)
    records_by_device = {name: fleet[name].make_records(count // len(names)) for name in names}
    pids, gas = {name: stack.pids()[name] for name in ("chain", "broker")}, loop.gas
    begun, cpu, own = time.monotonic(), cpu_of(pids), time.process_time()
    for name, records in records_by_device.items():
        fleet[name].publish(records)
    settled = loop.settle(sum(map(len, records_by_device.values())))
    used = cpu_of(pids) - cpu + Counter({"the loop": time.process_time() - own})
    score.add(settled, time.monotonic() - begun, used, loop.gas - gas)
    stack.testnet.rpc("evm_setAutomine", False)
    stack.testnet.rpc("evm_setIntervalMining", stack.block_seconds)


def _rail_round(
    stack: Stack, fleet: Fleet, names: list[str], per_device: int, score: Score
) -> None:
    records_by_device = {name: fleet[name].make_records(per_device) for name in names}
    pids = stack.pids()
    with stack.store.read() as session:
        before, gas = settled_events(session), sends.gas_used(session, "settle")
    begun, cpu = time.monotonic(), cpu_of(pids)
    for name, records in records_by_device.items():
        fleet[name].publish(records)
    wanted = before + sum(map(len, records_by_device.values()))
    _until(lambda: _settled(stack) >= wanted, 300)
    wall, used = time.monotonic() - begun, cpu_of(pids) - cpu
    with stack.store.read() as session:
        gas = sends.gas_used(session, "settle") - gas
    score.add(wanted - before, wall, used, gas)
    fleet.until_receipted(60)


def _settled(stack: Stack) -> int:
    with stack.store.read() as session:
        return settled_events(session)


def _count(stack: Stack, stage: str) -> int:
    with stack.store.read() as session:
        return sum(row.stage == stage for row in fundings.all_fundings(session))


def _until(over: Callable[[], bool], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not over():
        if time.monotonic() > deadline:
            raise RuntimeError("the benchmark waited in vain; nothing is reported")
        time.sleep(0.25)  # looking costs the contestants' processor time too


def show(rail: Score, loops: Score, options: argparse.Namespace) -> None:
    """The three figures for both, with their ratios."""
    table = Table(title=f"{options.rounds} interleaved rounds, {os.cpu_count()} cores")
    for column in ("", "the loop", "this rail", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    speed = [score.records / score.wall_s for score in (loops, rail)]
    cpu = [score.cpu_s / score.records * 1_000 for score in (loops, rail)]
    gas = [score.gas / score.records for score in (loops, rail)]
    table.add_row(
        "settled records per second",
        f"{speed[0]:.1f}",
        f"{speed[1]:.1f}",
        f"{speed[1] / speed[0]:.1f} x more",
    )
    table.add_row(
        "CPU per record (ms, all processes)",
        f"{cpu[0]:.2f}",
        f"{cpu[1]:.2f}",
        f"{cpu[0] / cpu[1]:.1f} x less",
    )
    table.add_row(
        "gas per record", f"{gas[0]:,.0f}", f"{gas[1]:,.0f}", f"{gas[0] / gas[1]:.1f} x less"
    )
    table.add_row("records settled", f"{loops.records:,}", f"{rail.records:,}", "")
    console.print(table)
    for name, score in (("the loop", loops), ("this rail", rail)):
        shares = ", ".join(
            f"{process} {spent / score.records * 1_000:.2f}"
            for process, spent in score.cpu.most_common()
            if spent > 0
        )
        console.print(f"CPU of {name}, ms per record: {shares}")
    console.print(
        "The rail's figures include four oracle processes that verify every record themselves;\n"
        "the loop verifies once and signs for three oracles in its own process.",
        style="dim",
    )


if __name__ == "__main__":
    raise SystemExit(main())
