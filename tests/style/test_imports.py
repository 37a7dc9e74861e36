"""Imports go one way, one adapter per outside system, and no cycle."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

from tests.support.source_tree import (
    PACKAGES,
    ROOT,
    below,
    cycles,
    files,
    imports,
    module_of,
    offenders,
    short,
    sources,
    tree,
)

# the packages that each may import; everything may import the standard library and packages
BELOW = {
    "device_adapters": {"device_adapters"},
    "oracles": {"oracles", "device_adapters"},
    "orchestrator": {"orchestrator", "oracles", "device_adapters"},
    "services": {"services", "orchestrator", "oracles", "device_adapters"},
    "scripts": {"scripts", "services", "orchestrator", "oracles", "device_adapters"},
}
# what each layer of the orchestrator may import of the orchestrator; commands and cli: everything
CORE = ("orchestrator.core", "orchestrator.errors")
EDGE = (*CORE, "orchestrator.edges", "orchestrator.settings")
LAYERS = {
    "orchestrator/core/": CORE,
    "orchestrator/products/": (*CORE, "orchestrator.products"),
    "orchestrator/edges/": EDGE,
    "orchestrator/edges/api/": (
        *EDGE,
        "orchestrator.ingest",
        "orchestrator.views",
        "orchestrator.products",
        "orchestrator.steps.outcomes",
    ),
}
ADAPTERS = {
    "web3": "orchestrator/edges/chain/",
    "solcx": "scripts/solidity/",
    "sqlmodel": "orchestrator/edges/store/",
    "sqlalchemy": "orchestrator/edges/store/",
    "alembic": "orchestrator/edges/store/",
    "fastapi": "orchestrator/edges/api/",
    "pyiso20022": "orchestrator/edges/bank/",
    "xsdata": "orchestrator/edges/bank/",
    "paramiko": "orchestrator/edges/bank/",
    "schwifty": "orchestrator/edges/bank/",
    "holidays": "orchestrator/edges/bank/",
    "mt940": "orchestrator/edges/bank/",
    "nats": ("orchestrator/edges/broker/", "device_adapters/inlets/"),
    "nkeys": "orchestrator/edges/broker/",
    "nacl": "orchestrator/edges/broker/",
    "paho": "device_adapters/inlets/",
    "pyocmf": "device_adapters/",
}
# Ape costs seconds; the one place is the script that it runs itself
APE = {"scripts/deploy.py", "scripts/with_ape.py"}


def _package(module: str) -> str:
    """The package that counts as one in the list of packages: a top-level part, or an adapter."""
    parts = module.split(".")
    if parts[0] != "orchestrator":
        return parts[0]
    depth = 3 if parts[1:2] == ["edges"] else 2
    return ".".join(parts[:depth])


def _module_graph() -> dict[str, set[str]]:
    """{module: modules of ours that it imports}, imports inside functions included."""
    path_of = {module_of(path): path for path in sources()}
    graph = {}
    for module, path in path_of.items():
        names = imports(path)
        # `from package import module` needs the package only as a folder
        finest = {name for name in names if name in path_of}
        finest -= {name for name in finest if any(n.startswith(f"{name}.") for n in finest)}
        graph[module] = finest - {module}
    return graph


def test_modules__any_two__form_no_cycle() -> None:
    graph = _module_graph()
    assert len(graph) > 250
    assert cycles(graph) == []


def test_packages__any_two__form_no_cycle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, others in _module_graph().items():
        graph[_package(module)] |= {_package(other) for other in others} - {_package(module)}
    assert {"orchestrator.steps", "orchestrator.views", "orchestrator.ingest"} < set(graph)
    assert cycles(graph) == []


def test_imports__any_module__point_only_downwards() -> None:
    def upward(path: Path) -> set[str]:
        home = path.relative_to(ROOT).parts[0]
        tops = {name.split(".")[0] for name in imports(path)}
        return tops & ({*PACKAGES, "tests"} - BELOW[home])

    assert not offenders(sources(), upward)


def test_imports__inside_the_orchestrator__stay_in_their_layer() -> None:
    def strangers(path: Path) -> list[str]:
        folder = max((f for f in LAYERS if short(path).startswith(f)), key=len, default=None)
        own = [name for name in imports(path) if name.startswith("orchestrator.")]
        return [name for name in own if folder and not name.startswith(LAYERS[folder])]

    assert not offenders(below("orchestrator/"), strangers)


def test_imports__files_of_a_protocol_package__never_import_its_front() -> None:
    folder = [p for p in below("device_adapters/protocols/") if p.name != "__init__.py"]
    inside = [path for path in folder if path.parent.name != "protocols"]
    fronts = {".".join(path.parent.relative_to(ROOT).parts) for path in inside}
    assert len(fronts) > 2 and len(inside) > 9

    def front(path: Path) -> set[str]:
        siblings = {other.stem for other in path.parent.glob("*.py")}
        return {
            node.module
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom)
            and node.module in fronts
            and not {alias.name for alias in node.names} <= siblings
        }

    assert not offenders(inside, front)


def test_tests__any_file__takes_helpers_from_support_and_from_no_other_test() -> None:
    def other_tests(path: Path) -> list[str]:
        return [name for name in imports(path) if name.split(".")[-1].startswith("test_")]

    assert not offenders([p for p in files(".py") if short(p).startswith("tests/")], other_tests)


def test_adapters__one_per_outside_system__only_it_imports_the_library() -> None:
    def trespass(path: Path) -> list[str]:
        tops = {name.split(".")[0] for name in imports(path)}
        elsewhere = [
            system
            for system, folder in ADAPTERS.items()
            if system in tops and not short(path).startswith(folder)
        ]
        return elsewhere + (["ape"] if "ape" in tops and short(path) not in APE else [])

    assert not offenders(sources(), trespass)


def test_core__any_module__uses_no_clock_network_database_or_environment() -> None:
    impure = {
        "os",
        "time",
        "socket",
        "requests",
        "sqlite3",
        "random",
        "secrets",
        "subprocess",
        "threading",
        "pathlib",
        "urllib",
        "asyncio",
    }

    def reach(path: Path) -> set[str]:
        tops = {name.split(".")[0] for name in imports(path)}
        clock = {word for word in ("datetime.now", "date.today") if word in path.read_text()}
        return (tops & impure) | clock

    assert not offenders(below("orchestrator/core/"), reach)


def test_environment__is_read__only_by_settings_and_by_what_starts_processes() -> None:
    free = {"orchestrator/settings.py"}

    def reads(path: Path) -> list[int]:
        nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)]
        return [node.lineno for node in nodes if node.attr in ("environ", "getenv")]

    starts_processes = ("scripts/", "services/")
    paths = [
        p for p in sources() if short(p) not in free and not short(p).startswith(starts_processes)
    ]
    assert not offenders(paths, reads)
