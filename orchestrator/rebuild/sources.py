"""The order in which recorded inputs are folded: that of the journal, and none is left out. Pure.

Blocks follow each other by number, bank files by when they were stored. Only the journal shows how
the two interleave, and when an approval was executed. An input without an entry (most blocks,
repeated statements) comes right behind its predecessor, since nothing else depends on its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def in_order(journal: Iterable[str], *tracks: Sequence[str]) -> list[str]:
    """Return all sources, each once.

    Args:
        journal: The sources of its entries, in its order.
        tracks: Sources that follow each other; if the journal has one before its predecessors,
            these come right before it.
    """
    taken = list(dict.fromkeys(journal))
    queues = [_Queue(track, set(taken)) for track in tracks]
    order = [source for queue in queues for source in queue.silent()]
    for source in taken:
        queue = next((q for q in queues if source in q.places), None)
        order += queue.upto(source) if queue else [source]
    return order + [source for queue in queues for source in queue.rest()]


class _Queue:
    """One track, read once from beginning to end.

    Attributes:
        places: Source -> its index.
    """

    def __init__(self, track: Sequence[str], with_entries: set[str]) -> None:
        self._track, self._with_entries, self._next = track, with_entries, 0
        self.places = {source: index for index, source in enumerate(track)}

    def upto(self, source: str) -> Iterator[str]:
        """Return the unread sources up to a source, and then those behind it without an entry."""
        yield from self._read(self.places[source] + 1)
        yield from self.silent()

    def silent(self) -> Iterator[str]:
        """Return the next sources, as long as the journal has no entry of them."""
        end = self._next
        while end < len(self._track) and self._track[end] not in self._with_entries:
            end += 1
        yield from self._read(end)

    def rest(self) -> Iterator[str]:
        """Return the sources that are still unread."""
        yield from self._read(len(self._track))

    def _read(self, end: int) -> Sequence[str]:
        start, self._next = self._next, max(self._next, end)
        return self._track[start : self._next]
