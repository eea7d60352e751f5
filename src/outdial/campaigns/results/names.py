"""The names of columns in results files. An import knows them, to leave them out."""

import re
from collections.abc import Collection
from typing import Final

ANALYSIS_PREFIX: Final = "analysis."
VARIABLE_PREFIX: Final = "variable."
RESULT_COLUMNS: Final = (
    "result_status",
    "result_reason",
    "result_attempts",
    "result_calls",
    "result_outcome",
    "result_last_call_at",
    "result_duration_ms",
    "result_talk_ms",
    "result_cost_cents",
    "result_callback_at",
    "result_voicemail_left_at",
    "result_summary",
    "result_sentiment",
    "result_success",
    "result_reviewed_by",
    "result_review_note",
)
TRANSCRIPT: Final = "result_transcript"
RECORDING: Final = "result_recording_url"
_MARKS: Final = frozenset({"result_status", "result_attempts", "result_outcome"})


def normalise(name: str) -> str:
    """Return a header's name trimmed, in lower case, with `_` for spaces and dashes."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def left_out_of_import(names: Collection[str]) -> frozenset[str]:
    """Return which of the normalised `names` an import leaves out, because the file holds results of a campaign."""
    if not frozenset(names) >= _MARKS:
        return frozenset()
    known = {*RESULT_COLUMNS, TRANSCRIPT, RECORDING}
    return frozenset(name for name in names if name in known or name.startswith((ANALYSIS_PREFIX, VARIABLE_PREFIX)))
