"""The labels of figures about calls: one for each field of the API, on pages, in charts and on the command line."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

CALL_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "answered": "Answered",
        "answer_rate": "Answer rate",
        "voicemail_share": "Voicemail share",
        "blocked_share": "Blocked share",
        "cost_per_answer_cents": "Cost per answered call",
    }
)
ANSWER_RATE_NOTE: Final = (
    f"{CALL_LABELS['answer_rate']}: share of finished calls that reached a person, also one who declined further calls"
    " or asked to be called back."
)
