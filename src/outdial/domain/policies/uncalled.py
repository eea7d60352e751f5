"""Why contacts were not called, in groups for reports, without the reasons that members type."""

import re
from collections.abc import Sequence
from typing import Final

from outdial.domain.contact import FORBIDDEN_BY, NEVER_LEGAL, NEVER_OPEN

BY_MEMBER: Final = "Skipped by a member, or for another reason"

# A reason that a member or a pre-dial hook gives may name a person: it is not repeated.
_GROUPS: Final[Sequence[tuple[re.Pattern[str], str]]] = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (re.escape(NEVER_OPEN), "Never within the calling hours"),
        (re.escape(NEVER_LEGAL), "Calling rules allow no call within the calling hours"),
        (re.escape(FORBIDDEN_BY) + ".+", "Forbidden by a calling rule"),
        ("on the do-not-call list", "On the do-not-call list"),
        (r"on the .+ of \d{4}-\d\d-\d\d", "On a screening list"),
        (r"no \w+ consent for .+ calls on record", "No consent on record"),
        (r"\d+ attempts were made; .+", "All attempts were made"),
        (r"(?:an )?earlier calls? from .+ blocked by the network", "Caller number blocked"),
        ("denied by the pre-dial hook.*", "Denied by the pre-dial hook"),
        ("campaign cancelled", "Campaign cancelled"),
        ("the contact was erased", "Contact erased"),
    )
)


def uncalled_group(reason: str | None) -> str:
    """Return the group of a status reason of a contact that was skipped or cancelled."""
    return next((text for pattern, text in _GROUPS if pattern.fullmatch(reason or "")), BY_MEMBER)
