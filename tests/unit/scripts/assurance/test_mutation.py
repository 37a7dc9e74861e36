"""Mutants are chosen evenly and repeatably; verdicts hold while what they rest on is the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.assurance import mutants
from scripts.assurance.mutants import (
    EDGE,
    WITHOUT_CODE,
    contract_of,
    copy_packages,
    core_files,
    in_turn,
    make_mutants,
    may_compile,
    moved_edges,
    mutant_of,
)
from scripts.assurance.mutation import (
    _ALONE,
    _ALWAYS,
    _TOUCHING,
    LEFT_OUT,
    REASONS,
    other_tests,
)
from scripts.assurance.verdicts import (
    CAUGHT,
    INVALID,
    KILLED,
    SAME,
    SURVIVED,
    TESTS,
    KeptVerdicts,
    MutantVerdict,
    summarise,
)
from scripts.solidity.sources import ROOT, reached_sources

ORIGINAL = "a = 1;\n    b = 2;\nc = 3;\n"
SOURCE = "contracts/rail/RailState.sol"
FILES = [SOURCE]


def mutant(operator: str = "CR", source: str = SOURCE, line: str = "//"):
    return mutant_of(source, operator, ORIGINAL, ORIGINAL.replace("    b = 2;", f"    {line}"))


REASON = (
    '[[survivor]]\nsource = "contracts/rail/RailState.sol"\n'
    'before = "b = 2;"\nafter = "//"\nreason = "b is never read."\n'
)


def test_mutant__its_key__is_the_changed_lines_without_indentation():
    assert mutant().key == ("contracts/rail/RailState.sol", "b = 2;", "//")


@pytest.mark.parametrize(
    ("before", "after", "may"),
    [
        ("pay(a, b);", "//pay(a, b);", True),
        ("pay(a, b);", "pay(a, //b);", False),
        ("if (a) {", "if (a) //{", False),
        ("if (a < b) pay(a);", "if (a <= b) pay(a);", True),
        ("pay(a, // (once", "pay(b, // (once", True),
        ("return a < b;", "return return a < b;", False),
        ("bool due = a < b;", "bool due = bool due = a != b;", False),
        ("for (i = 9; i > 0; --i) {", "for (i = 9; i > 0; i-) {", False),
        ("for (i = 9; i > 0; --i) {", "for (i = 9; i > 0; ++i) {", True),
        ("for (i = 9; i > 0; --i) {", "for (i = 9; i > 0; i--) {", False),
        ("++i;", "i++;", False),
        ("a = ++i;", "a = i++;", True),
        ("(uint8 a, uint8 b) = (0, 1);", "(uint8 a= 0, uint8 b) = (0, 1);", False),
        ("(uint8 a, uint8 bc) = (0, 1);", "(uint8 a, uint8 b);", False),
        ("list[a] = b;", "list[//a] = b;", False),
    ],
)
def test_change__of_a_part_of_a_statement__cannot_compile(before, after, may):
    text = f"{{\n{before}\n}}\n"
    assert may_compile(mutant_of(SOURCE, "CR", text, text.replace(before, after))) is may


def test_order__of_a_seed__is_the_same_and_kinds_take_turns():
    many = [mutant(operator, line=f"{n};") for operator in ("CR", "ROR") for n in range(50)]
    few = [mutant("MIA", line=f"-{n};") for n in range(2)]
    order = in_turn([*many, *few], 1)
    assert in_turn([*few, *many], 1) == order != in_turn([*many, *few], 2)
    assert sorted(order, key=str) == sorted([*many, *few], key=str)
    for at in (0, 3):
        assert {each.operator for each in order[at : at + 3]} == {"CR", "ROR", "MIA"}


def test_order__each_round__begins_with_an_edge():
    many = [mutant(kind, line=f"{n};") for kind in ("AOR", "CR", EDGE, "ROR") for n in range(3)]
    order = in_turn(many, 1)
    assert [at for at, each in enumerate(order) if each.operator == EDGE] == [0, 4, 8]


def test_edges__of_each_comparison__move_by_one():
    text = "if (a < b && c >= d) {\n  e = f << 2; // g < h\n} else if (i > j || k <= l) {}\n"
    changes = [("a < b", "a <= b"), ("c >= d", "c > d"), ("i > j", "i >= j"), ("k <= l", "k < l")]
    assert list(moved_edges(text)) == [text.replace(*change) for change in changes]


@pytest.mark.parametrize(
    "line",
    [
        "for (uint256 i; i < length; ++i) {",
        "if (part > most) part = most;",
        "uint40 start = time > since ? time : since;",
        "least = part < most ? part : most;",
        "return a > b ? a - b : 0;",
        "live.spent = spent > part ? uint48(spent - part) : 0;",
        "if (live.escrow < limit) limit = live.escrow;",
        "if (begun && (since == 0 || stolen < since)) since = stolen;",
        "uint256 part = money - paid < debt ? money - paid : debt;",
    ],
)
def test_edges__that_change_nothing__are_left_out(line):
    assert list(moved_edges(line)) == []
    assert list(moved_edges("if (part > most) part = least;"))
    assert list(moved_edges("return a > b ? a : 0;"))


def test_order__one_mutant_less__moves_no_other():
    many = [mutant(line=f"{n};") for n in range(50)]
    order = in_turn(many, 1)
    assert in_turn(many[1:], 1) == [each for each in order if each != many[0]]


@pytest.mark.parametrize(
    ("outcomes", "reasons", "value", "ok"),
    [
        ([KILLED] * 3, "survivor = []", "3 of 3 killed, 0 survive with a reason, 0 without", True),
        (
            [KILLED, SURVIVED],
            "survivor = []",
            "1 of 2 killed, 0 survive with a reason, 1 without",
            False,
        ),
        ([KILLED, SURVIVED], REASON, "1 of 2 killed, 1 survive with a reason, 0 without", True),
        (
            [KILLED, CAUGHT],
            "survivor = []",
            "2 of 2 killed, 0 survive with a reason, 0 without",
            True,
        ),
        (
            [KILLED, INVALID, SAME],
            "survivor = []",
            "1 of 1 killed, 0 survive with a reason, 0 without",
            False,
        ),
    ],
    ids=["all killed", "one survives", "with a reason", "by the campaign", "too few compile"],
)
def test_line__of_mutants__fails_on_a_survivor_without_a_reason(outcomes, reasons, value, ok):
    line = summarise([MutantVerdict(mutant(), outcome) for outcome in outcomes], reasons, least=2)
    assert line.value == value and line.ok is ok


def test_line__of_mutants__has_one_row_for_each_file():
    outcomes = [KILLED, KILLED, CAUGHT, SURVIVED, SAME, INVALID]
    verdicts = [MutantVerdict(mutant(), outcome) for outcome in outcomes]
    verdicts.append(MutantVerdict(mutant(source="contracts/Disputes.sol"), KILLED))
    assert summarise(verdicts, REASON, 1).note.splitlines() == [
        f"{SOURCE}: 2 killed by tests, 1 by the campaign, 1 survived; "
        "1 had the same code, 1 did not compile",
        "contracts/Disputes.sol: 1 killed by tests, 0 by the campaign, 0 survived; "
        "0 had the same code, 0 did not compile",
    ]


@pytest.fixture
def project(tmp_path):
    """A project of one contract, two tests and a campaign."""
    texts = {
        SOURCE: f'import "./Other.sol";\n{ORIGINAL}',
        "contracts/rail/Other.sol": "",
        f"{TESTS}/test_access.py": "one",
        f"{TESTS}/test_settle.py": "two",
        "tests/assurance/Rules.sol": "rules",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


IMPORTED = "node_modules/@openzeppelin/contracts/Nonces.sol"
REWRITES = f"""\
#!/bin/sh
echo changed > {IMPORTED}
mkdir out
sed 's/b = 2;/b = 3;/' {SOURCE} > out/RailState_CR_1.sol
sed 's/a < b/a <= b/' {SOURCE} > out/RailState_ROR_1.sol
"""


@pytest.fixture
def rewriting(project, monkeypatch):
    """The project with a package, and a mutation program that rewrites a file of the package."""
    (project / IMPORTED).parent.mkdir(parents=True)
    (project / IMPORTED).write_text("library Nonces {}\n")
    lines = ('import "@openzeppelin/contracts/Nonces.sol";', "library RailState {")
    (project / SOURCE).write_text("\n".join([*lines, "b = 2;", "pay(a < b);", "}", ""]))
    program = project / "slither-mutate"
    program.write_text(REWRITES)
    program.chmod(0o755)
    monkeypatch.setattr(mutants, "tool", lambda name: program)
    monkeypatch.setattr(mutants, "_compiler", lambda root, source, home: home)
    return project


def test_mutants__program_rewrites_a_package__changes_its_copy_alone(rewriting, tmp_path):
    made = make_mutants(rewriting, tmp_path / "work", [SOURCE])
    assert (SOURCE, "b = 2;", "b = 3;") in [each.key for each in made]
    assert (tmp_path / "work" / "RailState" / IMPORTED).read_text() == "changed\n"
    assert (rewriting / IMPORTED).read_text() == "library Nonces {}\n"


def test_mutants__an_edge_that_the_program_makes_too__stays_an_edge(rewriting, tmp_path):
    made = make_mutants(rewriting, tmp_path / "work", [SOURCE])
    assert {each.after: each.operator for each in made} == {"pay(a <= b);": EDGE, "b = 3;": "CR"}
    assert len(made) == 2


def test_mutants__of_the_same_sources__are_kept(rewriting, tmp_path, monkeypatch):
    made = make_mutants(rewriting, tmp_path / "work", [SOURCE])
    monkeypatch.setattr(mutants, "_run_slither_mutate", lambda *_: [])
    assert make_mutants(rewriting, tmp_path / "again", [SOURCE]) == made
    (rewriting / IMPORTED).write_text("library Nonces { uint256 constant ONE = 1; }\n")
    changed = make_mutants(rewriting, tmp_path / "changed", [SOURCE])
    assert {each.operator for each in changed} == {EDGE}


def test_packages__of_a_source__are_files_without_links(tmp_path):
    copy_packages(ROOT, tmp_path, "contracts/EuroToken.sol")
    copied = [path for path in tmp_path.rglob("*") if path.suffix == ".sol"]
    assert tmp_path / "node_modules/@openzeppelin/contracts/token/ERC20/ERC20.sol" in copied
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    assert not (tmp_path / "contracts").exists()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("interface IRail {}\nabstract contract RailState is IRail {}\n", "RailState"),
        ("type Terms is uint256;\n\nlibrary EnergyWords {}\ncontract Other {}\n", "EnergyWords"),
    ],
)
def test_contract__of_a_file__has_any_name(text, name):
    assert contract_of(text) == name


def test_contract__of_a_file_of_interfaces__is_refused():
    with pytest.raises(ValueError, match="defines no contract"):
        contract_of("interface IRail {}\n")


KILLER = f"{TESTS}/test_settle.py::test_settle__twice__is_refused"


@pytest.mark.parametrize(
    ("outcome", "by", "changed", "holds"),
    [
        (KILLED, KILLER, f"{TESTS}/test_access.py", True),
        (KILLED, KILLER, f"{TESTS}/test_settle.py", False),
        (KILLED, KILLER, "contracts/rail/Other.sol", False),
        (KILLED, "the tests did not end", f"{TESTS}/test_access.py", False),
        (CAUGHT, "a payment is settled once", f"{TESTS}/test_access.py", True),
        (CAUGHT, "a payment is settled once", "tests/assurance/Rules.sol", False),
        (SURVIVED, "", f"{TESTS}/test_access.py", False),
        (SURVIVED, "", f"{TESTS}/test_new.py", False),
        (SURVIVED, "", "tests/assurance/Rules.sol", False),
        (INVALID, "", f"{TESTS}/test_access.py", True),
        (SAME, "", "contracts/rail/Other.sol", False),
    ],
)
def test_kept_verdict__something_changed__holds_where_it_does_not_rest_on_it(
    project, outcome, by, changed, holds
):
    path = project / "kept" / "verdicts.jsonl"
    verdict = MutantVerdict(mutant(), outcome, by)
    KeptVerdicts(project, path).keep(verdict, FILES)
    assert KeptVerdicts(project, path).recall(mutant(), FILES) == verdict
    assert KeptVerdicts(project, path).recall(mutant(line="b = 3;"), FILES) is None
    (project / changed).write_text("changed")
    assert KeptVerdicts(project, path).recall(mutant(), FILES) == (verdict if holds else None)


def test_killers__of_a_source__come_the_most_deadly_first(project):
    kept = KeptVerdicts(project, project / "verdicts.jsonl")
    assert kept.killers(SOURCE) == []
    for number, name in enumerate(("access", "settle", "settle", "gone", "gone", "gone")):
        by = f"{TESTS}/test_{name}.py::test_it"
        kept.keep(MutantVerdict(mutant(line=f"{number};"), KILLED, by), FILES)
    kept.keep(MutantVerdict(mutant(line="6;"), KILLED, "the tests did not end"), FILES)
    assert kept.killers(SOURCE) == [f"{TESTS}/test_settle.py", f"{TESTS}/test_access.py"]
    assert kept.killers("contracts/Disputes.sol") == []


def test_tests__that_a_source_does_not_name__meet_its_mutants_too(project):
    for name in LEFT_OUT:
        assert (ROOT / TESTS / f"test_{name}.py").exists()
        (project / TESTS / f"test_{name}.py").write_text("figures")
    assert other_tests(project, [f"{TESTS}/test_settle.py"]) == [f"{TESTS}/test_access.py"]


def test_reasons__of_the_project__can_be_read():
    assert summarise([], REASONS.read_text(), 0).ok


def test_core__of_the_project__is_every_file_with_code():
    core = core_files(ROOT)
    assert {"contracts/Disputes.sol", "contracts/products/energy/EnergyTerms.sol"} <= {*core}
    assert not any("/interfaces/" in source or source in WITHOUT_CODE for source in core)
    assert all((ROOT / source).exists() for source in WITHOUT_CODE)


def test_touching_tests__of_each_file__exist():
    assert {*_TOUCHING} <= {Path(source).stem for source in core_files(ROOT)}
    names = {name for touching in _TOUCHING.values() for name in touching} | {*_ALWAYS}
    assert all((ROOT / TESTS / f"test_{name}.py").exists() for name in names)


def test_libraries__judged_by_themselves__are_called_by_a_contract_of_the_tests():
    paths = {Path(source).stem: source for source in core_files(ROOT)}
    for library, (caller, name) in _ALONE.items():
        assert paths[library] in reached_sources(ROOT, caller)
        assert caller in (ROOT / TESTS / f"test_{name}.py").read_text()
