"""The rules by which observations of a rail become named problems. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.core.health import (
    DiskState,
    HealthLimits,
    HealthProblem,
    Observations,
    OracleState,
    Severity,
)


def problems_of(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    """Return everything that is wrong, errors first."""
    problems = [
        *_worker(seen, limits),
        *_chain(seen, limits),
        *_nodes(seen, limits),
        *_pause(seen),
        *_held(seen),
        *_oracles(seen),
        *_outside(seen),
        *_sends(seen, limits),
        *_statement(seen, limits),
        *_effects(seen, limits),
        *(problem for disk in seen.disks if (problem := disk_problem(disk, limits))),
        *_clock(seen, limits),
    ]
    return sorted(problems, key=lambda p: (p.severity is not Severity.ERROR, p.name, p.subject))


def disk_problem(disk: DiskState, limits: HealthLimits) -> HealthProblem | None:
    """Return the problem of a file system that is nearly full."""
    # a small disk is not in danger because it is small
    if disk.free >= min(limits.free_bytes, disk.total // 10):
        return None
    is_critical = disk.free < min(limits.least_free_bytes, disk.total // 50)
    return HealthProblem(
        "disk_low",
        disk.path,
        f"Only {disk.free // (1 << 20)} MB of the disk of {disk.path} are free.",
        "Free or add space; the rail goes on by itself. Do not delete files of the home.",
        Severity.ERROR if is_critical else Severity.WARNING,
    )


def halted_problem(step: str, reason: str, since: int) -> HealthProblem:
    """Return the problem of a halted step."""
    return HealthProblem(
        "step_halted",
        step,
        f"The step {step} halted: {reason}",
        "Find the text in docs/OPERATING.md (When a step halts) and correct the cause; then "
        f'`proofrail resume {step} --reason "..."`.',
        Severity.ERROR,
        since,
    )


def process_problem(name: str, state: str) -> HealthProblem:
    """Return the problem of a process that does not run; `state` is its supervisor's sentence."""
    return HealthProblem(
        "process_down",
        name,
        f"The process {name} does not run: {state}",
        f"`proofrail logs {name}` shows its last lines; `proofrail restart {name}` starts it.",
        Severity.ERROR,
    )


def _worker(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    problems = [halted_problem(step, *halt) for step, halt in seen.halted.items()]
    problems += [
        HealthProblem(
            "step_waits",
            step,
            f"The step {step} has waited for {seen.at - since} s: {reason}",
            "Correct what the reason names; the step goes on by itself.",
            Severity.WARNING,
            since,
        )
        for step, (reason, since) in seen.waits.items()
        if seen.at - since > limits.wait_s
    ]
    if seen.busy and seen.busy[1] > limits.turn_s:
        problems.append(
            HealthProblem(
                "step_slow",
                seen.busy[0],
                f"The step {seen.busy[0]} has been at work for {seen.busy[1]} s.",
                "Look at the load of this machine and of the node. Restarting the orchestrator "
                "is safe: the step begins again.",
                Severity.ERROR,
                seen.at - seen.busy[1],
            )
        )
    problems += [
        HealthProblem(
            "thread_dead",
            name,
            f"The thread {name} of the orchestrator ended by itself.",
            "The process ends and its supervisor starts it again. Report the last lines of "
            "logs/orchestrator.log.",
            Severity.ERROR,
        )
        for name in seen.dead_threads
    ]
    return problems


def _chain(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    chain = seen.chain
    if chain.error:
        return [
            HealthProblem(
                "node_down",
                "",
                f"The node does not answer: {chain.error}",
                "Start the node. The rail goes on by itself.",
                Severity.ERROR,
            )
        ]
    if chain.other:
        return [
            HealthProblem(
                "node_of_another_chain",
                "",
                f"The node is of another chain: {chain.other}",
                "Point the rail at its own node (rpc_url). Nothing is sent to the other chain.",
                Severity.ERROR,
            )
        ]
    problems = []
    age = seen.at - chain.block_time
    if chain.block_time and age > limits.block_age_s:
        problems.append(
            HealthProblem(
                "chain_behind",
                "",
                f"The newest block, {chain.number}, is {age} s old (limit {limits.block_age_s} s).",
                "Look at the node: it may have stopped to follow its network. The rail goes on "
                "by itself.",
                Severity.ERROR,
                chain.block_time,
            )
        )
    if chain.number - chain.followed > limits.blocks_behind:
        problems.append(
            HealthProblem(
                "rail_behind",
                "",
                f"The rail has read block {chain.followed} of {chain.number}.",
                "It catches up by itself, 100 blocks at a time. Look at step_waits and "
                "step_halted if it does not.",
                Severity.WARNING,
            )
        )
    if -age > limits.clock_s:
        problems.append(
            HealthProblem(
                "clock_behind_chain",
                "",
                f"This machine's clock is {-age} s behind the newest block.",
                "Compare the clock with a time server (NTP), also on the node's machine.",
                Severity.WARNING,
            )
        )
    return problems


def _pause(seen: Observations) -> list[HealthProblem]:
    """Return the pause of the rail; it ends by itself."""
    if seen.paused_until <= seen.at:
        return []
    until = f"{datetime.fromtimestamp(seen.paused_until, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return [
        HealthProblem(
            "rail_paused",
            "",
            f"A guardian stopped settlement and new agreements until {until}.",
            "Ask the guardian why. Payouts go on, no deadline is lost, and settlement goes on by "
            "itself then; the steward can end the pause earlier.",
            Severity.WARNING,
        )
    ]


def _held(seen: Observations) -> list[HealthProblem]:
    """Return the payments that wait for two officers; the rail itself is well."""
    if not seen.held.count:
        return []
    age = max(0, seen.at - seen.held.oldest_at)
    return [
        HealthProblem(
            "payments_held",
            "",
            f"{seen.held.count} payments are held, the oldest for {age} s.",
            "`proofrail payments --stage held` shows who held them and why; two officers decide "
            "(`proofrail payment decide`).",
            Severity.WARNING,
            seen.held.oldest_at,
        )
    ]


def _nodes(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    """Return what is wrong with single nodes, while another one answers."""
    if seen.chain.error or seen.chain.other:
        return []
    newest = max((node.number for node in seen.nodes), default=0)
    problems = []
    for node in seen.nodes:
        if node.error:
            text = f"The node {node.name} does not answer: {node.error}"
            step = "Start it, or ask its operator. The rail works with the other nodes."
            problems.append(HealthProblem("node_silent", node.name, text, step, Severity.WARNING))
        elif node.other:
            text = f"The node {node.name} is of another chain: {node.other}"
            step = "Take it out of rpc_url and rpc_urls, or point it at the rail's own chain."
            problems.append(
                HealthProblem("node_of_another_chain", node.name, text, step, Severity.ERROR)
            )
        elif newest - node.number > limits.node_blocks_behind:
            text = f"The node {node.name} is at block {node.number}, and another one at {newest}."
            step = "Look at it, or take it out of rpc_urls: no block is final before it has it."
            problems.append(HealthProblem("node_behind", node.name, text, step, Severity.WARNING))
    return problems


def _oracles(seen: Observations) -> list[HealthProblem]:
    well = [oracle for oracle in seen.oracles if oracle.counts and not oracle.error]
    problems = [_oracle_down(oracle) for oracle in seen.oracles if oracle not in well]
    problems += [
        HealthProblem(
            "oracle_unwell",
            oracle.name,
            f"The oracle {oracle.name} (domain {oracle.domain}) answers, but {oracle.unwell}.",
            "Look at its node and its broker, or ask its operator to. It goes on by itself.",
            Severity.WARNING,
        )
        for oracle in well
        if oracle.unwell
    ]
    domains = {oracle.domain for oracle in well}
    if len(well) < seen.need or len(domains) < seen.min_domains:
        problems.append(
            HealthProblem(
                "quorum_out_of_reach",
                "",
                f"{len(well)} oracles of {len(domains)} domains answer; a quorum needs "
                f"{seen.need} of {seen.min_domains}.",
                "Do for each oracle what its oracle_down says. Payments wait.",
                Severity.ERROR,
            )
        )
    return problems


def _oracle_down(oracle: OracleState) -> HealthProblem:
    name, subject = "oracle_down", f"The oracle {oracle.name} (domain {oracle.domain})"
    if oracle.counts:
        text = f"{subject} does not answer: {oracle.error}"
        step = "Start it, or ask its operator to. Records wait; nothing is lost."
    else:
        text = f"{subject} is no member of the committee whose signature counts."
        step = (
            "`proofrail committee list` shows whether it is unseated, silenced or barred. The "
            f"steward gives it a seat (`proofrail committee seat {oracle.name}`), which also ends "
            "its silence; a barred one needs a new key. One that is to stay out: take it out of "
            "the settings (`[[oracles]]`)."
        )
    return HealthProblem(name, oracle.name, text, step, Severity.WARNING)


def _outside(seen: Observations) -> list[HealthProblem]:
    problems = []
    if seen.broker:
        problems.append(
            HealthProblem(
                "broker_down",
                "",
                f"The broker is not reached: {seen.broker}",
                "Start the broker. Devices keep their records and send them again.",
                Severity.ERROR,
            )
        )
    if seen.bank:
        problems.append(
            HealthProblem(
                "bank_unreachable",
                "",
                f"The bank is not reached: {seen.bank}",
                "Look at the bank's channel (docs/BANK.md). Orders and statements wait.",
                Severity.ERROR,
            )
        )
    problems += [process_problem(name, state) for name, state in seen.dead_processes.items()]
    return problems


def _sends(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    return [
        HealthProblem(
            "send_stuck",
            send.tx_hash,
            f"The transaction {send.tx_hash[:12]} ({send.purpose} {send.ref[:20]}) has waited for "
            f"a block for {seen.at - send.created_at} s; the node's last answer: "
            f"{send.verdict or 'none'}.",
            "Look at the node and at the balance of the sending key. The same bytes are sent "
            "again by themselves.",
            Severity.ERROR,
            send.created_at,
        )
        for send in seen.sends
        if seen.at - send.created_at > limits.send_age_s
    ]


def _statement(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    statement = seen.statement
    if not statement.expected or statement.newest >= statement.expected:
        return []
    return [
        HealthProblem(
            "statement_missing",
            statement.expected,
            f"The bank's statement (camt.053) of {statement.expected} was due by "
            f"{limits.statement_hour}:00 UTC; the newest is of {statement.newest or 'no day'}.",
            "Ask the bank for the file; it may be placed into the inbox at any time.",
            Severity.WARNING,
        )
    ]


def _effects(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    """Return targets that have not taken an effect for long, and effects without a target."""
    problems = [
        HealthProblem(
            "effects_undelivered",
            target.name,
            f"{target.waiting} effects wait for the target {target.name}, the oldest for "
            f"{seen.at - target.oldest_at} s: {target.trouble or 'it was not tried yet'}",
            "Correct what the reason names (`proofrail effect target list` shows the target); the "
            "rail tries again by itself.",
            Severity.WARNING,
            target.oldest_at,
        )
        for target in seen.targets
        if target.waiting and seen.at - target.oldest_at > limits.effect_age_s
    ]
    count, oldest = seen.untargeted
    if count:
        problems.append(
            HealthProblem(
                "effects_without_target",
                "",
                f"{count} effects of final payments have no target, so nobody gets them.",
                "`proofrail effect list` shows them. Add a target (`proofrail effect target add`), "
                "then `proofrail effect redeliver --all`.",
                Severity.WARNING,
                oldest,
            )
        )
    return problems


def _clock(seen: Observations, limits: HealthLimits) -> list[HealthProblem]:
    if abs(seen.clock_jump_s) <= limits.clock_s:
        return []
    way = "forward" if seen.clock_jump_s > 0 else "back"
    return [
        HealthProblem(
            "clock_jumped",
            "",
            f"This machine's clock jumped {way} by {abs(seen.clock_jump_s)} s.",
            "Compare it with a time server (NTP). The rail goes on; what waited for a time may "
            "be early or late.",
            Severity.WARNING,
        )
    ]
