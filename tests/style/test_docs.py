"""The docs name what exists: files, functions, tests, settings, commands, halts and stages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from device_adapters.registry import protocol_names
from orchestrator.core.payment import Stage
from orchestrator.settings import Settings
from tests.support.source_tree import tree

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("orchestrator/products/*/README.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
]
SOURCES = ("device_adapters", "oracles", "orchestrator", "services", "scripts")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_STOP = re.compile(r"\[`([\w./]+)`\]\(\.\./([\w./]+)\): ((?:`\w+`(?:, )?)+)")
_COMMAND = re.compile(r"\bproofrail ((?:[a-z]+(?:-[a-z]+)*)(?: [a-z]+(?:-[a-z]+)*)?)")
_PATH = re.compile(r"`((?:contracts|tests|scripts|orchestrator|oracles|device_adapters)/[\w./-]+)`")
_PROSE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# docs/ADDING.md writes these files; tests/flow/test_flow_adding.py carries it out
WRITTEN_BY_ADDING = ("tally", "PayPerUse", "pay_per_use")
# halts of these places answer one command of a person, whose text is the whole help
COMMANDS = (
    "orchestrator/commands/",
    "services/commands/",
    "orchestrator/views/",
    "orchestrator/operations/devices.py",
)


def defined(path: Path) -> set[str]:
    """Return the names of functions, methods and classes in a Python or Solidity file."""
    if path.suffix == ".sol":
        return set(re.findall(r"(?:function|contract|library) (\w+)", path.read_text()))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in ast.walk(tree(path)) if isinstance(node, kinds)}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_tour__each_stop__names_a_file_and_functions_that_exist() -> None:
    stops = _STOP.findall((DOCS / "TOUR.md").read_text())
    assert len(stops) == 8
    for shown, target, names in stops:
        assert shown == target and (ROOT / target).is_file(), shown
        missing = set(re.findall(r"\w+", names)) - defined(ROOT / target)
        assert not missing, f"{target} has no {', '.join(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages__each_link_and_each_path_of_a_source__exists(page: Path) -> None:
    text = page.read_text()
    prose = _PROSE.sub("", text)
    targets = [link.split("#")[0] for link in _LINK.findall(prose) if "://" not in link]
    gone = [target for target in targets if target and not (page.parent / target).exists()]
    paths = [path for path in _PATH.findall(prose) if not any(w in path for w in WRITTEN_BY_ADDING)]
    gone += [path for path in paths if not (ROOT / path).exists()]
    assert gone == []


def test_operating__every_setting__has_a_row_with_its_effect() -> None:
    rows = re.findall(r"^\| `(PROOFRAIL_\w+)` \| .+ \| .+ \|$", _page("OPERATING"), re.MULTILINE)
    prefix = Settings.model_config["env_prefix"]
    assert sorted(rows) == sorted(f"{prefix}{name.upper()}" for name in Settings.model_fields)


def test_operating__every_halt__is_in_a_table() -> None:
    parts = re.findall(r"^\| ([^|]+) \| ", _page("OPERATING"), re.MULTILINE)
    # the texts between a message's variable parts; a short one would fit everywhere
    documented = [_plain(piece) for cell in parts for piece in re.split(r"; |\.\.\.", cell)]
    documented = [piece for piece in documented if len(piece) > 8]
    unlisted = []
    for path in sorted(p for folder in SOURCES for p in (ROOT / folder).rglob("*.py")):
        place = name_of(path)
        if place.startswith(COMMANDS):
            continue
        for line, message in halts(path):
            if not any(piece in _plain(message) for piece in documented):
                unlisted.append(f"{place}:{line}: {message[:70]}")
    assert len(documented) > 40 and unlisted == []


def constants(path: Path) -> set[str]:
    """Return the texts in a file; of an f-string what stands between its variable parts."""
    texts = set()
    for node in ast.walk(tree(path)):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        words = [part.value for part in parts if isinstance(part, ast.Constant)]
        texts.add(_plain(" ".join(word for word in words if isinstance(word, str))))
    return texts


def halts(path: Path) -> list[tuple[int, str]]:
    """Return (line, constant text) of each Halt that a file raises with a text of its own."""
    halt_texts = []
    for node in ast.walk(tree(path)):
        is_halt = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Halt"
        if is_halt and node.args:
            texts = [
                part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)
            ]
            halt_texts.append(
                (node.lineno, " ".join(text for text in texts if isinstance(text, str)))
            )
    return [(line, text) for line, text in halt_texts if text]


def test_pages__each_command_of_ours__exists() -> None:
    existing = commands()
    unknown = set()
    for page in PAGES:
        for words in _COMMAND.findall(page.read_text()):
            first, _, second = words.partition(" ")
            if first not in existing or (
                second and existing[first] and second not in existing[first]
            ):
                unknown.add(f"{name_of(page)}: proofrail {words}")
    assert unknown == set()


def commands() -> dict[str, set[str]]:
    """Return the command line's commands; each group with the names of its own."""
    import typer.main

    from orchestrator.cli import app

    group = typer.main.get_command(app)
    return {name: set(getattr(group.imported(name), "commands", {})) for name in group.commands}


def test_glossary__its_terms__are_in_alphabetical_order_and_name_every_stage() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*", _page("GLOSSARY"), re.MULTILINE)
    assert len(rows) > 50 and len(set(rows)) == len(rows)
    assert rows == sorted(rows, key=str.lower)
    for stage in Stage:
        assert f"`{stage.value}`" in _page("GLOSSARY"), stage


def test_glossary__every_term__has_a_reason() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| .+ \|([^|]*)\|$", _page("GLOSSARY"), re.MULTILINE)
    assert len(rows) > 50
    assert [term for term, reason in rows if not reason.strip()] == []


def test_operating__every_row_of_a_halt__is_a_text_of_the_code() -> None:
    """A row for a message that no longer exists would be a trap for the reader."""
    table = _page("OPERATING").split("## When a step halts")[1]
    cells = re.findall(r"^\| ([^|]+) \| ", table, re.MULTILINE)
    pieces = [_plain(piece) for cell in cells for piece in re.split(r"; |\.\.\.", cell)]
    texts = {
        text
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*.py")
        for text in constants(path)
    }
    gone = [
        piece for piece in pieces if len(piece) > 8 and not any(piece in text for text in texts)
    ]
    heads = {"message contains"}
    assert len(pieces) > 40 and set(gone) <= heads


def test_decisions__every_page__is_in_the_list_with_its_title() -> None:
    index = (DOCS / "adr" / "README.md").read_text()
    pages = sorted((DOCS / "adr").glob("0*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title = page.read_text().splitlines()[0].partition(". ")[2]
        assert f"[{title}]({page.name})" in index


def test_guarantees__every_test_that_it_names__exists() -> None:
    names = re.findall(r"`(tests/[\w./*]+)`", _page("GUARANTEES"))
    assert len(names) > 30
    assert [name for name in names if not list(ROOT.glob(name))] == []


def _page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def _plain(text: str) -> str:
    """Lower case, one blank between words, no code marks."""
    return re.sub(r"\s+", " ", text.replace("`", "")).strip().lower()


def test_protocols_page__every_protocol__has_a_row_and_a_page_of_its_own():
    table = (ROOT / "docs" / "protocols.md").read_text().partition("\n## ")[0]
    rows = dict(re.findall(r"^\| \[?`(\w+)`\]?(?:\(([^)]*)\))? \|", table, re.MULTILINE))
    assert set(rows) == set(protocol_names()) - set(WRITTEN_BY_ADDING)
    for name, link in rows.items():
        own_page = f"../device_adapters/protocols/{name}/README.md"
        assert link == ("" if name == "voucher" else own_page)  # of a voucher every field decides
        assert not link or (ROOT / "docs" / link).is_file()
