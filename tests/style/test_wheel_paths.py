"""What the wheel holds looks for nothing next to the checkout: it has no checkout."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.support.source_tree import offenders, short, sources, tree

# anvil is looked for in the node_modules of a checkout first; where there is none, elsewhere
FREE = {"services/anvil.py", "services/testnet.py"}


def packages() -> list[Path]:
    return [path for path in sources() if not short(path).startswith("scripts/")]


def levels_up(node: ast.AST) -> int | None:
    """Return how many folders an expression goes up from `__file__`; None if it is not from it."""
    if isinstance(node, ast.Name):
        return 0 if node.id == "__file__" else None
    if isinstance(node, ast.Subscript):  # parents[n]
        base = levels_up(node.value)
        index = node.slice.value if isinstance(node.slice, ast.Constant) else 99
        return None if base is None else base + index + 1
    if isinstance(node, ast.Attribute):
        base = levels_up(node.value)
        return None if base is None else base + (node.attr == "parent")
    if isinstance(node, ast.BinOp):
        return levels_up(node.left)
    if isinstance(node, ast.Call):
        parts = [levels_up(part) for part in (node.func, *node.args)]
        return max((part for part in parts if part is not None), default=None)
    return None


def above(path: Path) -> list[int]:
    """Return the lines that compute a path above the file's own top package."""
    inside = short(path).count("/")
    return [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.expr) and (levels_up(node) or 0) > inside
    ]


def test_packages__any_file__computes_no_path_above_its_package() -> None:
    assert len(packages()) > 200
    assert not offenders([path for path in packages() if short(path) not in FREE], above)


def test_levels__each_form__is_counted() -> None:
    forms = {
        "Path(__file__).parent": 1,
        "Path(__file__).resolve().parent.parent / 'x'": 2,
        "Path(__file__).resolve().parents[2]": 3,
        "Path(__file__).with_name('x')": 0,
        "os.path.join(Path(__file__).parents[0], 'x')": 1,
        "home.parent.parent": None,
    }
    for text, levels in forms.items():
        assert levels_up(ast.parse(text, mode="eval").body) == levels, text


def test_packages__any_file__names_no_script() -> None:
    """`python -m scripts.x` works in a checkout alone."""

    def scripts(path: Path) -> list[int]:
        texts = [n for n in ast.walk(tree(path)) if isinstance(n, ast.Constant)]
        return [n.lineno for n in texts if isinstance(n.value, str) and "scripts." in n.value]

    assert not offenders(packages(), scripts)
