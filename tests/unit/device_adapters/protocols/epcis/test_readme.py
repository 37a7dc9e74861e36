"""The page of the protocol says of every field that is read whether it decides anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from device_adapters.protocols import epcis
from device_adapters.protocols.epcis import hash as event_hashes
from device_adapters.protocols.epcis import sensors, structure
from device_adapters.protocols.epcis.units import UncountedReason

TEXT = (Path(epcis.__file__).parent / "README.md").read_text()
_WRAPPERS = {"epc", "quantityElement", "sensorElement", "id"}
_READ = re.compile(
    r'"((?:@|proofrail:)?[a-z]+[A-Z][A-Za-z]*|@context|action|type|uom|ilmd|reason)"'
)


def _section(title: str) -> list[str]:
    part = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in part.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def _ordered(order: event_hashes.Order) -> Iterator[str]:
    for name, nested in order:
        yield name
        yield from _ordered(nested or ())


def _known() -> set[str]:
    names = {*_ordered(event_hashes._EVENT), *event_hashes._PAIRS, *event_hashes._LEFT_OUT}
    names |= {*sensors._NUMBERS, *sensors._OTHER_VALUES, *structure._LISTS}
    names |= {"declarationTime", "reason", "correctiveEventIDs", "ilmd", "schemaVersion"}
    return (names | {"creationDate", "proofrail:confirms"}) - _WRAPPERS - {"isA"}


def test_readme__every_known_field__decides_or_is_shown_only():
    decides, shown = _section("What each field decides"), _section("Shown only")
    assert len(decides) == len({*decides}) and len(shown) == len({*shown})
    assert not {*decides} & {*shown}
    assert {*decides} | {*shown} == _known()


def test_readme__fields_that_the_code_reads__are_known():
    folder = Path(epcis.__file__).parent
    source = "".join(
        (folder / f"{name}.py").read_text() for name in ("facts", "units", "structure")
    )
    read = {name for name in _READ.findall(source)} - {"isA"}
    assert len(read) > 20 and read <= _known() | {"bizTransaction"}


def test_readme__reasons__are_all_there():
    assert all(f"`{reason}`" in TEXT for reason in UncountedReason)
