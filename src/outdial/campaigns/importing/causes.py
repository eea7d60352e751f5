"""Groups refused rows by their cause, so that one change can cure all of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from outdial.campaigns.importing.refusals import Refusal, RefusedRow

MOST_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalCause:
    """The rows that are refused for one cause: their number, the first few, and how often each value is the cause."""

    kind: Refusal
    rows: int
    examples: Sequence[RefusedRow]
    values: Mapping[str, int]


def group_refusals(refused: Iterable[RefusedRow]) -> list[RefusalCause]:
    """Return the causes, the most frequent first. Examples have different values."""
    rows: Counter[Refusal] = Counter()
    values: dict[Refusal, Counter[str]] = {}
    examples: dict[Refusal, list[RefusedRow]] = {}
    for row in refused:
        rows[row.kind] += 1
        seen = values.setdefault(row.kind, Counter())
        if row.value not in seen and len(seen) < MOST_EXAMPLES:
            examples.setdefault(row.kind, []).append(row)
        seen[row.value] += 1
    return [
        RefusalCause(kind=kind, rows=count, examples=examples[kind], values=dict(values[kind].most_common()))
        for kind, count in rows.most_common()
    ]
