"""A state machine as data: code, the tests of the schema and the docs read the same transitions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

State = TypeVar("State", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Machine(Generic[State]):
    """States, each with the states that may follow it."""

    name: str
    arrows: Mapping[State, Collection[State]]

    def may_leave(self, to: State) -> list[State]:
        """Return the states that `to` may follow, as a guarded statement names them."""
        return [source for source, targets in self.arrows.items() if to in targets]

    @property
    def final(self) -> frozenset[State]:
        """The states that nothing leaves."""
        return frozenset(state for state, targets in self.arrows.items() if not targets)

    def pairs(self) -> frozenset[tuple[State, State]]:
        """Return every arrow as (from, to)."""
        return frozenset((source, to) for source, targets in self.arrows.items() for to in targets)

    def chart(self) -> str:
        """Return the machine as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {source} --> {to}" for source, targets in self.arrows.items() for to in targets]
        lines += [f"    {state} --> [*]" for state in self.arrows if state in self.final]
        return "\n".join(lines)
