"""Plain English: words that hide what happens stay out of code, comments, docs and messages."""

from __future__ import annotations

import ast
import re

from tests.support.source_tree import files, offenders, short, sources, tree

# each hides a plainer word; CONTRIBUTING.md names the replacements
BANNED = re.compile(
    r"(?<![A-Za-z])(told|tells?|anew|nobody's|besides?|whatever|whom|errands?"
    r"|houses?|rooms?|doors?|beats?)(?![A-Za-z])"
    r"|\bof nobody\b|\bless than nothing\b|\bsees? to (?!it that)|\bhand(s|ed|ing)? over\b",
    re.IGNORECASE,
)
# a line may hold a banned word for one of these reasons
ALLOWED = {
    "tests/style/test_language.py": "lists the words",
    "CHANGELOG.md": "what earlier releases said stays as it was",
    "LICENSE": "is the licence's own text",
    "device_adapters/protocols/senml/units.py": "names units as IANA's registry writes them",
}
# names of variables that do not say what they hold
EMPTY_NAMES = {"found", "each", "one", "told", "said", "here", "of", "it"}
LAYOUT_EXCEPTIONS = re.compile(r"#\s*fmt:\s*(skip|off|on)")


def test_words__anywhere__are_plain() -> None:
    def banned(path) -> list[str]:
        lines = path.read_text(errors="replace").splitlines()
        return [
            f"{number}: {match.group()}"
            for number, line in enumerate(lines, 1)
            if (match := BANNED.search(line))
        ]

    read = [p for p in files(".py", ".sol", ".md", ".sql", ".html") if short(p) not in ALLOWED]
    assert len(read) > 500
    assert not offenders(read, banned)


def test_format__any_file__has_no_layout_exception() -> None:
    read = [path for path in files(".py") if short(path) not in ALLOWED]
    assert not offenders(read, lambda path: LAYOUT_EXCEPTIONS.findall(path.read_text()))


def test_variables__of_the_product__say_what_they_hold() -> None:
    def empty(path) -> list[str]:
        stored = [
            (node.lineno, node.id)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        stored += [(n.lineno, n.arg) for n in ast.walk(tree(path)) if isinstance(n, ast.arg)]
        return [f"{line}: {name}" for line, name in stored if name in EMPTY_NAMES]

    assert not offenders(sources(), empty)
