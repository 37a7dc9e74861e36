"""Each thing that is wrong becomes one named problem with a next step; a well rail has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.effect_delivery import TargetState
from orchestrator.core.health import (
    STALE_S,
    ChainState,
    DiskState,
    HealthLimits,
    HeldState,
    Observations,
    OpenSend,
    OracleState,
    Severity,
    StatementState,
    dated,
    is_ready,
    problem_view,
    read_problem,
    stale_problem,
)
from orchestrator.core.health_rules import problems_of

NOW, GIB = 1_790_000_000, 1 << 30
LIMITS = HealthLimits(block_age_s=120)
ORACLES = tuple(OracleState(f"o{n}", domain) for n, domain in enumerate((1, 1, 2, 3)))
SEND = OpenSend("0x" + "ab" * 32, "settle", "0x" + "cd" * 32, NOW - 300, "insufficient funds")
WELL = Observations(
    at=NOW,
    oracles=ORACLES,
    need=3,
    min_domains=2,
    chain=ChainState(number=50, block_time=NOW - 120, followed=49),
    waits={"settle": ("slow", NOW - 120)},
    busy=("settle", 300),
    sends=(SEND,),
    statement=StatementState("2026-09-21", "2026-09-21"),
    disks=(DiskState("home", 50 * GIB, 100 * GIB),),
    clock_jump_s=30,
)
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def down(*names: str) -> tuple[OracleState, ...]:
    return tuple(replace(o, error="Timeout") if o.name in names else o for o in ORACLES)


def chain(**fields) -> dict:
    return {"chain": replace(WELL.chain, **fields)}


def nodes(**fields) -> dict:
    """Two nodes, the second one with these fields."""
    first, second = ChainState("a", number=100), ChainState("b", number=100)
    return {"nodes": (first, replace(second, **fields))}


CASES = [
    ({"targets": (TargetState("crm", 2, NOW - 900, "it answered 503"),)}, []),
    (
        {"targets": (TargetState("crm", 2, NOW - 901, ""), TargetState("depot", 0, 0))},
        [("effects_undelivered", "crm", WARNING)],
    ),
    ({"untargeted": (1, NOW)}, [("effects_without_target", "", WARNING)]),
    ({"held": HeldState()}, []),
    ({"held": HeldState(2, NOW - 90)}, [("payments_held", "", WARNING)]),
    ({"paused_until": NOW}, []),
    ({"paused_until": NOW + 1}, [("rail_paused", "", WARNING)]),
    ({"oracles": down("o0")}, [("oracle_down", "o0", WARNING)]),
    (
        {"oracles": (replace(ORACLES[0], counts=False), *ORACLES[1:])},
        [("oracle_down", "o0", WARNING)],
    ),
    (
        {"oracles": down("o0", "o1")},
        [
            ("quorum_out_of_reach", "", ERROR),
            ("oracle_down", "o0", WARNING),
            ("oracle_down", "o1", WARNING),
        ],
    ),
    # three signatures of one domain are no quorum
    (
        {"oracles": (OracleState("a", 1), OracleState("b", 1), OracleState("c", 1))},
        [("quorum_out_of_reach", "", ERROR)],
    ),
    (
        {"oracles": (replace(ORACLES[0], unwell="it has not read the chain"), *ORACLES[1:])},
        [("oracle_unwell", "o0", WARNING)],
    ),
    ({"broker": "not connected"}, [("broker_down", "", ERROR)]),
    ({"bank": "the folder x is missing"}, [("bank_unreachable", "", ERROR)]),
    ({"halted": {"follow": ("rewound", NOW - 9)}}, [("step_halted", "follow", ERROR)]),
    ({"waits": {"settle": ("disk full", NOW - 121)}}, [("step_waits", "settle", WARNING)]),
    ({"busy": ("settle", 301)}, [("step_slow", "settle", ERROR)]),
    ({"dead_threads": ("in",)}, [("thread_dead", "in", ERROR)]),
    ({"dead_processes": {"bank": "resting"}}, [("process_down", "bank", ERROR)]),
    (
        {"sends": (replace(SEND, created_at=NOW - 301),)},
        [("send_stuck", SEND.tx_hash, ERROR)],
    ),
    (chain(error="Timeout"), [("node_down", "", ERROR)]),
    (chain(other="chain id 1"), [("node_of_another_chain", "", ERROR)]),
    (nodes(error="Timeout"), [("node_silent", "b", WARNING)]),
    (nodes(other="chain id 1"), [("node_of_another_chain", "b", ERROR)]),
    (nodes(number=91), [("node_behind", "b", WARNING)]),
    (nodes(number=92), []),
    (chain(block_time=NOW - 121), [("chain_behind", "", ERROR)]),
    (chain(number=200), [("rail_behind", "", WARNING)]),
    (chain(block_time=NOW + 31), [("clock_behind_chain", "", WARNING)]),
    ({"clock_jump_s": 31}, [("clock_jumped", "", WARNING)]),
    ({"clock_jump_s": -31}, [("clock_jumped", "", WARNING)]),
    (
        {"statement": StatementState("2026-09-18", "2026-09-21")},
        [("statement_missing", "2026-09-21", WARNING)],
    ),
    (
        {"statement": StatementState("", "2026-09-21")},
        [("statement_missing", "2026-09-21", WARNING)],
    ),
    ({"disks": (DiskState("home", GIB - 1, 100 * GIB),)}, [("disk_low", "home", WARNING)]),
    ({"disks": (DiskState("home", GIB // 20, 100 * GIB),)}, [("disk_low", "home", ERROR)]),
]


def test_problems__of_a_rail_at_its_limits__are_none():
    assert problems_of(WELL, LIMITS) == []


@pytest.mark.parametrize(("seen", "expected"), CASES)
def test_problems__of_each_kind__are_named_with_a_next_step(seen, expected):
    problems = problems_of(replace(WELL, **seen), LIMITS)
    assert [(p.name, p.subject, p.severity) for p in problems] == expected
    assert all(p.what.endswith((".", "rewound")) or ":" in p.what for p in problems)
    assert all(p.next_step.endswith(".") for p in problems)


def test_problem__of_a_stuck_send__has_its_age_and_the_nodes_reason():
    (problem,) = problems_of(replace(WELL, sends=(replace(SEND, created_at=NOW - 400),)), LIMITS)
    assert "400 s" in problem.what and "insufficient funds" in problem.what
    assert problem.since == NOW - 400


def test_problem__of_a_halted_step__names_the_command_that_lets_it_continue():
    (problem,) = problems_of(replace(WELL, halted={"settle": ("why", 9)}), LIMITS)
    assert "proofrail resume settle" in problem.next_step and problem.since == 9


def test_problems__of_a_small_disk_with_a_tenth_free__are_none():
    tiny = DiskState("home", GIB // 5, GIB)
    assert problems_of(replace(WELL, disks=(tiny,)), LIMITS) == []


def test_dated__a_problem_that_stands__keeps_its_time_until_it_ends():
    seen = replace(WELL, broker="not connected")
    first = dated(problems_of(seen, LIMITS), [], NOW)
    second = dated(problems_of(seen, LIMITS), first, NOW + 60)
    assert [problem.since for problem in second] == [NOW]
    gone = dated([], second, NOW + 70)
    assert [p.since for p in dated(problems_of(seen, LIMITS), gone, NOW + 80)] == [NOW + 80]


def test_ready__with_warnings_alone__and_not_with_an_error():
    assert is_ready(problems_of(replace(WELL, oracles=down("o0")), LIMITS))
    assert not is_ready(problems_of(replace(WELL, broker="away"), LIMITS))


def test_view__of_a_problem__reads_back_as_the_same():
    (problem,) = problems_of(replace(WELL, broker="away"), LIMITS)
    assert read_problem(problem_view(problem)) == problem


@pytest.mark.parametrize("own", [True, False])
def test_stale__status__is_an_error_and_a_fresh_one_is_none(own):
    assert stale_problem(NOW - STALE_S, NOW, own) is None
    assert stale_problem(NOW - STALE_S - 1, NOW, own).severity is ERROR
    assert stale_problem(NOW + STALE_S + 1, NOW, own).severity is ERROR  # the clock went back
    assert stale_problem(None, NOW, own).severity is ERROR


def test_held__payments__are_named_with_their_age_and_the_rail_is_ready():
    problems = problems_of(replace(WELL, held=HeldState(2, NOW - 90)), LIMITS)
    [problem] = problems
    assert "2 payments are held, the oldest for 90 s" in problem.what
    assert problem.since == NOW - 90 and "payment decide" in problem.next_step
    assert is_ready(problems)


def test_attack__pause_by_a_stolen_guardian_key__is_named_with_its_end_and_ends_by_itself():
    """On 0.3.0 a guardian could stop settlement for ever, and `status` was silent about it."""
    [problem] = problems_of(replace(WELL, paused_until=NOW + 86_400), LIMITS)
    assert "until 2026-09-22 " in problem.what and "UTC" in problem.what
    assert problems_of(replace(WELL, at=NOW + 86_400, paused_until=NOW + 86_400), LIMITS) == [
        problem
        for problem in problems_of(replace(WELL, at=NOW + 86_400), LIMITS)
        if problem.name != "rail_paused"
    ]
