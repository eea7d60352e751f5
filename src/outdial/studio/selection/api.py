"""API route that acts on selected contacts."""

from outdial.campaigns.operations.selected import SelectedRequest
from outdial.studio.selection import service as selection
from outdial.studio.selection.service import SelectedContactsAction, SelectedContactsChanged, UnchangedContact
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(tags=["campaign contacts"])


@router.post("/organizations/{organization_id}/selected-contacts")
async def act_on_selected_contacts(
    context: CurrentOrganization, request: SelectedContactsAction
) -> SelectedContactsChanged:
    """Act on up to 1,000 contacts of campaigns at once. The others are named with the reason.

    For all contacts that match a filter, request a bulk job. Undo with `POST …/acts/{act_id}/undo`.
    """
    context.require("operator")
    given = SelectedRequest(action=request.action, ids=request.campaign_contact_ids, reason=request.reason)
    async with context.transaction() as connection:
        done = await selection.act(connection, context, given)
    left_out = [
        UnchangedContact(campaign_contact_id=each.id, name=each.name, kind=each.why.kind, reason=each.why.reason)
        for each in done.left_out
    ]
    return SelectedContactsChanged(changed=done.changed, left_out=left_out, act_id=done.act_id)
