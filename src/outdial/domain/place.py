"""Where a contact may be: the time zones and the jurisdictions that all have to allow a call."""

from dataclasses import dataclass
from typing import Final

UNKNOWN_STATE: Final = "US-ZZ"
"""The jurisdiction of a contact in the United States whose state is unknown."""
UNKNOWN_COUNTRY: Final = "ZZ"
"""The jurisdiction of a contact whose country is unknown."""
NOT_COMPUTED: Final = ""
"""The jurisdiction key of a stored contact that an older version wrote: its keys are computed before it is called."""


@dataclass(frozen=True, slots=True)
class Place:
    """The keys of a contact, each of names joined by `|`, sorted.

    `zone_key` has IANA time zones. `jurisdiction_key` has ISO 3166 codes: states and provinces as in `US-TX` and
    `CA-ON`, other countries as in `GB`; NOT_COMPUTED if the contact was stored by an older version.
    """

    zone_key: str
    jurisdiction_key: str

    @property
    def jurisdictions(self) -> tuple[str, ...]:
        """The jurisdictions of the key."""
        return tuple(self.jurisdiction_key.split("|")) if self.jurisdiction_key else ()
