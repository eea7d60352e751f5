"""The options that select contacts of a campaign: the filters of the list of contacts."""

from typing import Annotated

import typer

from outdial.campaigns.errors import InvalidSelection
from outdial.campaigns.selection import ContactSelection
from outdial.cli.errors import InvalidArgument
from outdial.domain.contact import ContactStatus, FinalContactStatus
from outdial.domain.outcomes import Outcome

StatusFilter = Annotated[ContactStatus | None, typer.Option(help="Only contacts with this status.")]
OutcomeFilter = Annotated[Outcome | None, typer.Option(help="Only contacts whose last call had this outcome.")]
ReachedFilter = Annotated[
    bool | None,
    typer.Option(
        "--reached/--not-reached",
        help="Only contacts that a call has reached, or finished contacts that no call has reached.",
    ),
]
SearchFilter = Annotated[str | None, typer.Option(help="Only contacts with these words in any column.")]
PhoneFilter = Annotated[str | None, typer.Option(help="Only numbers that start with these digits.")]
PhoneEndsFilter = Annotated[str | None, typer.Option(help="Only numbers that end with these digits.")]
NameFilter = Annotated[str | None, typer.Option(help="Only contacts whose name starts with this, in any case.")]
ExternalIdFilter = Annotated[str | None, typer.Option(help="Only the contact with this external ID.")]


def read_selection(
    *,
    status: ContactStatus | FinalContactStatus | None,
    outcome: Outcome | None,
    reached: bool | None,
    search: str | None,
    phone: str | None,
    phone_ends: str | None,
    name: str | None,
    external_id: str | None,
) -> ContactSelection:
    """Return the selection for the values of the options; raises InvalidArgument."""
    terms = {"search": search, "phone": phone, "phone_ends": phone_ends, "name": name, "external_id": external_id}
    try:
        return ContactSelection.read(status, outcome, reached, terms)
    except InvalidSelection as error:
        options = " and ".join(f"--{each.replace('_', '-')}" for each in error.reasons)
        raise InvalidArgument(f"{options}: {next(iter(error.reasons.values()))}") from None
