"""One table for each state machine: nothing else writes a stage or names one by a literal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source_tree import ROOT, offenders, short, sources, tree

CORE = "orchestrator/core/"
# the store's modules that write stages, each in one function that asks the machine first
WRITERS = {
    "orchestrator/edges/store/payments.py": "record_facts",
    "orchestrator/edges/store/payouts.py": "record_fact",
    "orchestrator/edges/store/fundings.py": "record_fact",
    "orchestrator/edges/store/agreements.py": "record_fact",
    "orchestrator/edges/store/sends.py": "record_fact",
}
# stages of which a literal elsewhere is something else, each with its reason
ELSEWHERE = {
    "services/simulated_bank/": "the simulated bank has orders of its own",
    "orchestrator/edges/api/views.py": "the schema of the API shows examples",
}


def machine_modules() -> list[Path]:
    """Return the modules of core that hold a machine."""
    return [
        path
        for path in sources()
        if short(path).startswith(CORE)
        and any(
            isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "MACHINE"
            for node in tree(path).body
        )
    ]


def stages_of(path: Path) -> set[str]:
    """Return the values of a machine's `Stage`."""
    [stage] = [
        node for node in tree(path).body if isinstance(node, ast.ClassDef) and node.name == "Stage"
    ]
    return {node.value.value for node in stage.body if isinstance(node, ast.Assign)}


def all_stages() -> set[str]:
    return set().union(*map(stages_of, machine_modules()))


def _is_stage(node: ast.AST) -> bool:
    """Whether an expression reads a stage: `row.stage`, `PayoutRow.stage`, `stage`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name == "stage"


def _texts(node: ast.AST) -> set[str]:
    return {
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    }


def literals(syntax: ast.AST, stages: set[str]) -> Iterator[str]:
    """Yield each stage that code compares with, passes on or sets as a bare text."""
    for node in ast.walk(syntax):
        texts: set[str] = set()
        if isinstance(node, ast.Compare) and any(map(_is_stage, [node.left, *node.comparators])):
            texts = _texts(node)
        elif isinstance(node, ast.keyword) and node.arg == "stage":
            texts = _texts(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("in_", "not_in", "is_") and _is_stage(node.func.value):
                texts = _texts(node)
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            texts = {
                t for key, value in pairs if key and _texts(key) == {"stage"} for t in _texts(value)
            }
        elif isinstance(node, ast.Assign) and any(map(_is_stage, node.targets)):
            texts = _texts(node.value)
        elif isinstance(node, ast.Tuple | ast.Set | ast.List) and len(node.elts) > 1:
            words = [e.value for e in node.elts if isinstance(e, ast.Constant)]
            if len(words) == len(node.elts) and set(words) <= stages:
                texts = set(words)
        yield from sorted(texts & stages)


def writes(syntax: ast.Module) -> Iterator[str]:
    """Yield the function around each place that sets a `stage`."""
    for function in ast.walk(syntax):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        if "setattr" in names and "stage" in _texts(function):
            yield function.name
        for node in ast.walk(function):
            sets_column = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "values"
                and any(keyword.arg == "stage" for keyword in node.keywords)
            )
            targets = [
                target
                for part in ([node] if isinstance(node, ast.Assign) else [])
                for whole in part.targets
                for target in (whole.elts if isinstance(whole, ast.Tuple) else [whole])
            ]
            if sets_column or any(isinstance(t, ast.Attribute) and _is_stage(t) for t in targets):
                yield function.name


def test_machines__six_records__have_their_tables() -> None:
    names = {path.stem for path in machine_modules()}
    assert names == {"payment", "payout", "funding", "bank_file", "agreement", "chain_send"}
    assert "waiting_for_approval" in all_stages() and "paid_out" in all_stages()


def test_stages__outside_of_core__are_named_by_their_enum() -> None:
    stages = all_stages()

    def bare(path: Path) -> list[str]:
        if short(path).startswith((CORE, *ELSEWHERE)):
            return []
        return list(literals(tree(path), stages))

    assert not offenders(sources(), bare)


@pytest.mark.parametrize("name", WRITERS)
def test_stages__of_an_aggregate__are_written_in_one_function(name: str) -> None:
    assert set(writes(tree(ROOT / name))) == {WRITERS[name]}


def test_stages__of_these_aggregates__are_written_nowhere_else() -> None:
    tables = ("PaymentRow", "PayoutRow", "FundingRow", "AgreementRow", "ChainSendRow")

    def writers(path: Path) -> list[str]:
        used = {n.id for n in ast.walk(tree(path)) if isinstance(n, ast.Name)}
        used |= {n.attr for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
        return list(writes(tree(path))) if used & set(tables) else []

    paths = [path for path in sources() if short(path) not in WRITERS]
    assert not offenders(paths, writers)


@pytest.mark.parametrize(
    "code",
    [
        'row.stage == "booked"',
        'row.stage in ("sent", "accepted")',
        'PayoutRow.stage.in_(("sent", "minting"))',
        'update(PayoutRow).values(stage="sent")',
        'values = {"stage": "minted"}',
        'row.stage = "suspense"',
        'FAILED = ("rejected", "returned")',
    ],
)
def test_literals__written_in_any_of_these_ways__are_noticed(code: str) -> None:
    assert list(literals(ast.parse(code), all_stages()))


@pytest.mark.parametrize(
    "code",
    [
        'outcome == "accepted"',
        'payouts.record_fact(session, ids, Fact.SENT, reason="sent")',
        '["sent"]',
    ],
)
def test_literals__that_are_no_stage__are_left_alone(code: str) -> None:
    assert not list(literals(ast.parse(code), all_stages()))
