"""A state machine: one table of moves, and the stages at which a fact changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Literal, TypeVar

from orchestrator.errors import Halt

S = TypeVar("S", bound=StrEnum)
F = TypeVar("F", bound=StrEnum)

Verdict = Literal["moves", "known", "impossible"]


@dataclass(frozen=True, slots=True)
class Machine(Generic[S, F]):
    """The rules by which one kind of record moves from stage to stage.

    Attributes:
        name: What the record is called in messages, such as "payout".
        moves: The next stage for each pair of stage and fact that moves a record.
        known: The stages at which a fact is already known or comes too late, and changes nothing.
        next_step: What a person does after an impossible pair.
    """

    name: str
    moves: Mapping[tuple[S, F], S]
    known: Mapping[F, tuple[S, ...]]
    next_step: str

    def advance(self, subject_id: str, stage: S, fact: F) -> S:
        """Return the stage after a fact.

        Args:
            subject_id: The id of the record, for the message of a Halt.
            stage: Where the record stands now.
            fact: What became known about it.

        Raises:
            Halt: The fact cannot occur at this stage unless one of our own rules is broken.
        """
        match self.verdict(stage, fact):
            case "moves":
                return self.moves[stage, fact]
            case "known":
                return stage
            case _:
                raise Halt(
                    f"{self.name} {subject_id}: the fact '{fact}' cannot occur at the stage "
                    f"'{stage}'. Nothing was changed. Next: {self.next_step}"
                )

    def verdict(self, stage: S, fact: F) -> Verdict:
        """Return what a fact does at a stage."""
        if (stage, fact) in self.moves:
            return "moves"
        return "known" if stage in self.known.get(fact, ()) else "impossible"
