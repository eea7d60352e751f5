"""The columns of a results file: the contact, its result, its custom analysis and its variables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from outdial.campaigns.errors import TooManyColumns
from outdial.campaigns.results.names import (
    ANALYSIS_PREFIX,
    RECORDING,
    RESULT_COLUMNS,
    TRANSCRIPT,
    VARIABLE_PREFIX,
    normalise,
)
from outdial.db.queries.results.results import ResultRow
from outdial.domain.contact_fields import CONTACT_FIELD_NAMES

CONTACT_COLUMNS: Final = ("phone", *CONTACT_FIELD_NAMES)
RESULT_PHONES: Final = (CONTACT_COLUMNS.index("phone"),)
"""The position of the contact's own phone."""
MOST_COLUMNS: Final = 10_000
"""A sheet of Excel has 16,384."""

_SUCCESS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumns:
    """The columns of one file: `header` has their names, in the order of the cells.

    `own` maps a contact's column to the variable of the same name, which has precedence: it is what was imported.
    """

    header: Sequence[str]
    analysis: Sequence[str]
    variables: Sequence[str]
    own: Mapping[str, str]
    with_transcript: bool
    with_recording: bool

    def cells(self, row: ResultRow) -> list[Any]:
        """Return the cells of a contact. Values of analysis and variables keep their JSON type."""
        variables = msgspec.json.decode(row.variables, type=dict[str, Any])
        analysis = _object(row.custom_analysis)
        contact = (
            value if (name := self.own.get(column)) is None else variables.get(name, value)
            for column, value in ((column, getattr(row, column)) for column in CONTACT_COLUMNS)
        )
        return [
            *contact,
            row.status,
            row.reason,
            row.attempts,
            row.calls,
            row.last_outcome,
            row.last_call_at,
            row.duration_ms,
            row.talk_ms,
            row.cost_cents,
            row.callback_at,
            row.voicemail_left_at,
            row.summary,
            row.sentiment,
            _SUCCESS.get(row.success or "", row.success),
            row.reviewed_by,
            row.review_note,
            *((row.transcript,) if self.with_transcript else ()),
            *((row.recording_url,) if self.with_recording else ()),
            *map(analysis.get, self.analysis),
            *map(variables.get, self.variables),
        ]


def result_columns(
    analysis: Sequence[str], variables: Sequence[str], *, with_transcript: bool, with_recording: bool
) -> ResultColumns:
    """Return the columns for the names of a campaign's custom analysis fields and variables.

    No two names are the same to an import. A variable named as another column gets the prefix `variable.`.
    Raises TooManyColumns.
    """
    extra = [*([TRANSCRIPT] if with_transcript else ()), *([RECORDING] if with_recording else ())]
    header = [*CONTACT_COLUMNS, *RESULT_COLUMNS, *extra]
    if len(header) + len(analysis) + len(variables) > MOST_COLUMNS:
        raise TooManyColumns(
            f"the campaign has {len(analysis):,} analysis fields and {len(variables):,} variables; a file has at most"
            f" {MOST_COLUMNS:,} columns"
        )
    header += (f"{ANALYSIS_PREFIX}{name}" for name in analysis)
    taken = set(map(normalise, header))
    own: dict[str, str] = {}
    apart = []
    for name in variables:
        known = normalise(name)
        if known in CONTACT_COLUMNS and known != "phone" and known not in own:
            own[known] = name
            continue
        header.append(name if known and known not in taken else f"{VARIABLE_PREFIX}{name}")
        taken.add(known)
        apart.append(name)
    return ResultColumns(
        header=header,
        analysis=analysis,
        variables=apart,
        own=own,
        with_transcript=with_transcript,
        with_recording=with_recording,
    )


def _object(text: str | None) -> Mapping[str, Any]:
    value = None if text is None else msgspec.json.decode(text)
    return value if isinstance(value, dict) else {}
