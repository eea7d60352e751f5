"""The columns of a contact that a user fills in: import, API, pages, exports and agent variables are made from this."""

from dataclasses import dataclass
from typing import Final

LONGEST_TEXT: Final = 500
LONGEST_NOTES: Final = 10_000
LONGEST_ZONE_NAME: Final = 100
LONGEST_PLACE: Final = 100
"""What users write for a country, a state or a postal code; codes are stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactField:
    """One text column of a contact.

    `headers` are the CSV columns that hold it, the likeliest first. `longest` is in characters. Agent variables are
    sent to Retell with each call; listed fields are columns of the pages' tables.
    """

    name: str
    label: str
    headers: tuple[str, ...]
    longest: int = LONGEST_TEXT
    is_agent_variable: bool = True
    is_listed: bool = True

    @property
    def is_multiline(self) -> bool:
        """Whether the text has several lines."""
        return self.longest > LONGEST_TEXT


CONTACT_FIELDS: Final = (
    ContactField(name="name", label="Name", headers=("name", "full_name", "contact_name")),
    ContactField(name="email", label="Email", headers=("email", "e_mail", "email_address", "e_mail_1_value")),
    ContactField(
        name="company", label="Company", headers=("company", "company_name", "organization_name", "organization_1_name")
    ),
    ContactField(
        name="notes",
        label="Notes",
        headers=("notes", "note"),
        longest=LONGEST_NOTES,
        is_agent_variable=False,
        is_listed=False,
    ),
    ContactField(name="external_id", label="External ID", headers=("external_id",)),
    ContactField(
        name="country",
        label="Country",
        headers=("country", "country_name", "country/region", "address_1_country"),
        longest=LONGEST_PLACE,
        is_agent_variable=False,
        is_listed=False,
    ),
    ContactField(
        name="region",
        label="State or province",
        headers=(
            "state",
            "region",
            "province",
            "state/province",
            "state/region",
            "state_province",
            "state_or_province",
            "state_code",
            "address_1_region",
        ),
        longest=LONGEST_PLACE,
        is_agent_variable=False,
        is_listed=False,
    ),
    ContactField(
        name="postal_code",
        label="Postal code",
        headers=(
            "postal_code",
            "zip",
            "zip_code",
            "zipcode",
            "zip/postal_code",
            "postcode",
            "post_code",
            "address_1_postal_code",
        ),
        longest=LONGEST_PLACE,
        is_agent_variable=False,
        is_listed=False,
    ),
    ContactField(
        name="timezone",
        label="Time zone",
        headers=("timezone", "time_zone", "tz"),
        longest=LONGEST_ZONE_NAME,
        is_agent_variable=False,
        is_listed=False,
    ),
)
CONTACT_FIELD_NAMES: Final = tuple(field.name for field in CONTACT_FIELDS)
AGENT_VARIABLES: Final = tuple(field.name for field in CONTACT_FIELDS if field.is_agent_variable)
