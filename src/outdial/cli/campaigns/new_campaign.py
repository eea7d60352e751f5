"""`outdial campaign new-campaign`: a new campaign from contacts of another one."""

from typing import Annotated, assert_never

import typer

from outdial.campaigns.lifecycle import Actor, Forbidden, NotFound
from outdial.campaigns.operations.new_campaign import ContactsCopied, NothingToCall, copy_to_new_campaign
from outdial.cli.campaigns.selecting import (
    ExternalIdFilter,
    NameFilter,
    OutcomeFilter,
    PhoneEndsFilter,
    PhoneFilter,
    ReachedFilter,
    SearchFilter,
    read_selection,
)
from outdial.cli.campaigns.settings import CampaignName
from outdial.cli.errors import ActionRefused, UnknownName
from outdial.cli.finding import ActionReason, find_campaign
from outdial.cli.output import AsJson, console, print_json
from outdial.clock import SystemClock
from outdial.db.session import Database
from outdial.domain.contact import FinalContactStatus
from outdial.stack.local import as_service

clock = SystemClock()


def new_campaign(
    campaign: CampaignName,
    status: Annotated[FinalContactStatus | None, typer.Option(help="Only contacts with this status.")] = None,
    outcome: OutcomeFilter = None,
    reached: ReachedFilter = None,
    search: SearchFilter = None,
    phone: PhoneFilter = None,
    phone_ends: PhoneEndsFilter = None,
    name: NameFilter = None,
    external_id: ExternalIdFilter = None,
    campaign_name: Annotated[str | None, typer.Option(help='Name of the new draft (default: "Copy of ...").')] = None,
    reason: ActionReason = None,
    as_json: AsJson = False,
) -> None:
    """Create a draft with the settings of a campaign and its selected contacts.

    The campaign itself does not change. Contacts without a final status are left out and counted.
    """
    selection = read_selection(
        status=status,
        outcome=outcome,
        reached=reached,
        search=search,
        phone=phone,
        phone_ends=phone_ends,
        name=name,
        external_id=external_id,
    )

    async def work(database: Database) -> ContactsCopied | NothingToCall | NotFound | Forbidden:
        async with database.as_service() as connection:
            return await copy_to_new_campaign(
                connection,
                campaign_id=await find_campaign(connection, campaign),
                selection=selection,
                name=campaign_name,
                reason=reason,
                actor=Actor(),
                now=clock.now(),
            )

    result = as_service(work)
    match result:
        case ContactsCopied() if as_json:
            print_json(result)
        case ContactsCopied(campaign_id=campaign_id, added=added, left_out=left_out):
            console.print(f"Created campaign {campaign_id} as a draft. Contacts: {added:,}; left out: {left_out:,}.")
        case NothingToCall(reason):
            raise ActionRefused(reason)
        case NotFound() | Forbidden():
            raise UnknownName(f"unknown campaign {campaign!r}")
        case never:
            assert_never(never)
