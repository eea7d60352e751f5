"""The columns of a contact that a user fills in: import, API, pages, exports and agent variables are made from this."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactField:
    """One text column of a contact.

    `headers` are the CSV columns that hold it, the likeliest first. `longest` is in characters. Agent variables are
    sent to Retell with each call.
    """

    name: str
    label: str
    headers: tuple[str, ...]
    longest: int = 500
    is_agent_variable: bool = True


CONTACT_FIELDS: Final = (
    ContactField(name="name", label="Name", headers=("name", "full_name", "contact_name")),
    ContactField(name="email", label="Email", headers=("email", "e_mail", "email_address")),
    ContactField(name="company", label="Company", headers=("company", "company_name")),
    ContactField(name="notes", label="Notes", headers=("notes", "note"), longest=10_000, is_agent_variable=False),
    ContactField(name="external_id", label="External ID", headers=("external_id",)),
    ContactField(
        name="timezone",
        label="Time zone",
        headers=("timezone", "time_zone", "tz"),
        longest=100,
        is_agent_variable=False,
    ),
)
CONTACT_FIELD_NAMES: Final = tuple(field.name for field in CONTACT_FIELDS)
AGENT_VARIABLES: Final = tuple(field.name for field in CONTACT_FIELDS if field.is_agent_variable)
