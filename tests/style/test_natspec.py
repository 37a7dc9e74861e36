"""NatSpec: what anyone may call, every event and every error of the contracts is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.support.source_tree import files, short

_COMMENT = re.compile(r"(?m)^\s*///[^\n]*\n|//[^\n]*|/\*.*?\*/", re.DOTALL)
_TYPE = re.compile(
    r"(?m)^(?:abstract contract|contract|interface|library) (\w+)(?: is ([^{]+))? \{"
)
_TITLE = re.compile(
    r"(?m)^/// @title \S.*\n(?:///.*\n)*(?:abstract contract|contract|interface|library) "
)
_MEMBER = re.compile(
    r"(?P<docs>(?:^ +///[^\n]*\n)*)"
    r"^ +(?P<kind>function|event|error) (?P<name>\w+)\((?P<parameters>[^)]*)\)(?P<rest>[^{;]*)[{;]",
    re.MULTILINE,
)
_VARIABLE = re.compile(
    r"(?P<docs>(?:^ +///[^\n]*\n)*)"
    r"^ +(?:mapping\([^;]*\)|[\w.]+) public (?:immutable |constant )?(?P<name>\w+)[ ;=]",
    re.MULTILINE,
)
_RETURNS = re.compile(r"\breturns\s*\(([^)]*)\)")
_OPEN = re.compile(r"\b(external|public)\b")


class SolidityMember(NamedTuple):
    """A function, event, error or public variable, and what its comment says."""

    owner: str
    kind: str
    name: str
    docs: str
    parameters: list[str]
    results: int

    @property
    def is_open(self) -> bool:
        """Whether anyone can see it; private and internal functions are not documented for all."""
        return self.kind != "hidden"


class SolidityType(NamedTuple):
    """A contract, interface or library with its direct bases."""

    name: str
    bases: list[str]
    members: list[SolidityMember]


def names_of(parameters: str) -> list[str]:
    """Return the name of each parameter, "" where it has none."""
    plain = _COMMENT.sub("", parameters).split(",")
    words = [part.split() for part in plain if part.strip()]
    return [part[-1] if len(part) > 1 else "" for part in words]


def members_of(owner: str, body: str) -> Iterator[SolidityMember]:
    """Yield what a contract's text declares."""
    for match in _MEMBER.finditer(body):
        kind, rest = match["kind"], match["rest"]
        if kind == "function" and not _OPEN.search(rest):
            kind = "hidden"
        returns = _RETURNS.search(rest)
        results = len(names_of(returns[1])) if returns else 0
        yield SolidityMember(
            owner, kind, match["name"], match["docs"], names_of(match["parameters"]), results
        )
    for match in _VARIABLE.finditer(body):
        yield SolidityMember(owner, "variable", match["name"], match["docs"], [], 0)


def types_in(text: str) -> Iterator[SolidityType]:
    """Yield the contracts, interfaces and libraries of a source file."""
    starts = list(_TYPE.finditer(text))
    for index, start in enumerate(starts):
        end = starts[index + 1].start() if index + 1 < len(starts) else len(text)
        bases = [base.strip() for base in (start[2] or "").split(",") if base.strip()]
        yield SolidityType(start[1], bases, list(members_of(start[1], text[start.end() : end])))


@cache
def contracts() -> dict[str, SolidityType]:
    """Return every contract, interface and library of the project by its name."""
    sources = [path for path in files(".sol") if short(path).startswith("contracts/")]
    return {part.name: part for path in sources for part in types_in(path.read_text())}


def bases_of(name: str, types: dict[str, SolidityType]) -> set[str]:
    """Return a contract and all that it inherits from, as far as the project holds it."""
    if name not in types:
        return {name}
    return {name}.union(*(bases_of(base, types) for base in types[name].bases))


def missing(member: SolidityMember, types: dict[str, SolidityType]) -> list[str]:
    """Return what a member's comment lacks."""
    inherited = re.search(r"@inheritdoc (\w+)", member.docs)
    if inherited:
        return _missing_in_base(member, inherited[1], types)
    documented = re.findall(r"@param (\w+)", member.docs)
    gaps = [] if "@notice " in member.docs else ["@notice"]
    gaps += [
        f"@param {name or '(unnamed)'}" for name in member.parameters if name not in documented
    ]
    gaps += [f"no parameter {name}" for name in documented if name not in member.parameters]
    if member.kind != "variable" and member.docs.count("@return ") != member.results:
        gaps.append(f"{member.results} times @return")
    return gaps


def _missing_in_base(
    member: SolidityMember, base: str, types: dict[str, SolidityType]
) -> list[str]:
    """Return why the documentation that a member inherits is not there."""
    if base not in bases_of(member.owner, types):
        return [f"@inheritdoc {base}, which is no base of {member.owner}"]
    count = len(member.parameters)
    matches = [
        other
        for other in types[base].members
        if other.name == member.name
        and (member.kind == "variable" or len(other.parameters) == count)
    ]
    if not matches:
        return [f"@inheritdoc {base}, which has no {member.name}"]
    return missing(matches[0], types)


def gaps_of(types: dict[str, SolidityType]) -> list[str]:
    """Return every gap of every open member, with its place."""
    return [
        f"{member.owner}.{member.name}: {gap}"
        for part in types.values()
        for member in part.members
        if member.is_open
        for gap in missing(member, types)
    ]


def test_natspec__every_open_function_event_and_error__is_complete() -> None:
    types = contracts()
    open_members = [m for part in types.values() for m in part.members if m.is_open]
    assert len(types) > 20 and len(open_members) > 200
    assert not gaps_of(types)


def test_natspec__every_source_file__opens_with_a_title() -> None:
    def opens_with_title(path: Path) -> bool:
        return bool(_TITLE.search(path.read_text()))

    sources = [path for path in files(".sol") if short(path).startswith("contracts/")]
    assert [short(path) for path in sources if not opens_with_title(path)] == []


def test_natspec_check__gaps_of_each_kind__are_reported() -> None:
    text = """
interface IBox {
    /// @notice Opens it.
    /// @param key the key
    /// @return inside what is inside
    function open(bytes32 key) external returns (uint256 inside);

    /// @notice Closes it.
    function close(bytes32 key) external;
}

contract Box is IBox {
    /// @inheritdoc IBox
    function open(bytes32 key) external returns (uint256 inside) {}

    /// @inheritdoc IBox
    function close(bytes32 key) external {}

    /// @inheritdoc IOther
    function shake() external {}

    /// @notice Weighs it.
    function weigh() public view returns (uint256, uint256) {}

    function _hidden(uint256 a) private {}

    error Locked();
    uint256 public weight;
}
"""
    assert gaps_of({part.name: part for part in types_in(text)}) == [
        "IBox.close: @param key",
        "Box.close: @param key",
        "Box.shake: @inheritdoc IOther, which is no base of Box",
        "Box.weigh: 2 times @return",
        "Box.Locked: @notice",
        "Box.weight: @notice",
    ]
