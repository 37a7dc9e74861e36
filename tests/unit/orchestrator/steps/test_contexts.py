"""A step's signature says what it may touch: each step file has a Protocol and keeps to it."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from orchestrator import steps
from orchestrator.steps import StepContext

FOLDER = Path(steps.__file__).parent
ON_STEP_CONTEXT = {field.name for field in fields(StepContext)} | {"senders"}
TREES = {path.stem: ast.parse(path.read_text()) for path in sorted(FOLDER.glob("*.py"))}


def protocols_in(tree: ast.Module) -> dict[str, set[str]]:
    """Return {name of a context's Protocol: the attributes that it declares}."""
    return {
        node.name: {line.target.id for line in node.body if isinstance(line, ast.AnnAssign)}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and node.name.endswith("Context")
        and [ast.unparse(base) for base in node.bases] == ["Protocol"]
    }


def takers_in(tree: ast.Module) -> list[tuple[ast.FunctionDef, str]]:
    """Return every function that takes a `context`, with the name of its Protocol."""
    return [
        (node, ast.unparse(argument.annotation))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for argument in node.args.args
        if argument.arg == "context" and argument.annotation is not None
    ]


FILES = [stem for stem, tree in TREES.items() if protocols_in(tree)]
PROTOCOLS = {
    name: attributes for stem in FILES for name, attributes in protocols_in(TREES[stem]).items()
}
PUBLIC = {  # what other step files may call with their own context
    function.name: protocol
    for stem in FILES
    for function, protocol in takers_in(TREES[stem])
    if not function.name.startswith("_")
}


def needed(node: ast.AST, own: set[str]) -> set[str]:
    """Return what code needs of its context: by itself, and for calls into other step files."""
    attributes: set[str] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and ast.unparse(part.value) == "context":
            attributes.add(part.attr)
        if isinstance(part, ast.Call) and "context" in map(ast.unparse, part.args):
            protocol = PUBLIC.get(ast.unparse(part.func))
            if protocol is not None and protocol not in own:
                attributes |= PROTOCOLS[protocol]
    return attributes


def test_contexts__steps_of_the_chain__have_their_own() -> None:
    assert len(FILES) >= 10 and len(PROTOCOLS) == len(FILES)
    assert len(PUBLIC) >= 15 and {"settle", "follow", "read_claims"} <= PUBLIC.keys()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_contexts__each_protocol__is_satisfied_by_the_step_context(name: str) -> None:
    assert PROTOCOLS[name] and PROTOCOLS[name] <= ON_STEP_CONTEXT


@pytest.mark.parametrize("stem", FILES)
def test_contexts__protocol_of_a_file__names_what_its_functions_use_and_no_more(stem: str) -> None:
    [(name, attributes)] = protocols_in(TREES[stem]).items()
    assert {protocol for _, protocol in takers_in(TREES[stem])} == {name}
    assert attributes == needed(TREES[stem], {name})
