"""The order in which a rebuild makes effects is the one in which they became final here."""

from __future__ import annotations

from orchestrator.edges.chain.client import DecodedLog, SeenBlock
from orchestrator.rebuild.effects import _in_order
from orchestrator.rebuild.history import ChainHistory

OLD, NEW = "0x" + "0a" * 20, "0x" + "0b" * 20


def history(*places: tuple[int, int, str]) -> ChainHistory:
    """Settlements at (block, index, address)."""
    made = ChainHistory()
    for number in range(1, 8):
        block = SeenBlock(number, f"0x{number}", f"0x{number - 1}", number * 100)
        made.blocks.append(block)
        made.logs[block.hash] = [
            DecodedLog("Settled", {}, f"0x{number}{index}", number, block.hash, index, address)
            for block_number, index, address in places
            if block_number == number
        ]
    return made


PLACES = ((2, 0, OLD), (2, 1, NEW), (3, 0, OLD), (5, 0, OLD), (5, 1, NEW), (6, 0, OLD), (7, 2, NEW))


def order(since: dict[str, int]) -> list[tuple[int, int]]:
    return [(log.block_number, log.index) for _, log in _in_order(history(*PLACES), since)]


def test_order__of_contracts_that_were_always_followed__is_that_of_the_chain() -> None:
    assert order({OLD: 0, NEW: 0}) == [(number, index) for number, index, _ in PLACES]
    assert order({}) == order({OLD: 0, NEW: 0})  # a store of an earlier release names none


def test_order__of_logs_from_before_their_contract_was_known__is_behind_what_was_final_then():
    late = [(2, 0), (3, 0), (5, 0), (2, 1), (5, 1), (6, 0), (7, 2)]
    assert order({OLD: 0, NEW: 5}) == late


def test_order__of_other_logs__has_none_of_them() -> None:
    made = history((1, 0, OLD))
    made.logs["0x2"] = [DecodedLog("Released", {}, "0x2", 2, "0x2", 0, OLD)]
    assert [(at, log.name) for at, log in _in_order(made, {})] == [(100, "Settled")]
