"""`make bench-decode`: how many records of each protocol one core reads in a second."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from device_adapters.protocols.ocmf import independent
from device_adapters.registry import load_unsigned, protocol_names, protocols


def examples() -> list[tuple[str, Callable[[bytes], Any], bytes]]:
    """Return (name, reader, record) for the first good example of each protocol."""
    found = []
    for name in protocol_names():
        unsigned = load_unsigned(name)
        reader = unsigned.read if unsigned else protocols()[name].decode
        table = unsigned.examples if unsigned else protocols()[name].examples
        record = next(record for _, record, expected in table if isinstance(expected, dict))
        found.append((name, reader, record))
        if name == "ocmf":
            found.append(("ocmf, by the library alone", independent.decode, record))
    return found


def rate(reader: Callable[[bytes], Any], record: bytes, seconds: float) -> float:
    """Return records read in a second of this process's CPU time."""
    count, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        for _ in range(20):
            reader(record)
        count += 20
    return count / spent


def main() -> None:
    """Measure each protocol twice, in turn, and print the better rate of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5, help="of CPU time, each")
    options = parser.parse_args()
    readers = examples()
    rounds = [[rate(read, record, options.seconds) for _, read, record in readers] for _ in "12"]
    table = Table("protocol", "bytes", "records/s", title="one core")
    for (name, _, record), *rates in zip(readers, *rounds, strict=True):
        table.add_row(name, str(len(record)), f"{max(rates):,.0f}")
    Console(highlight=False, width=100).print(table)


if __name__ == "__main__":
    main()
