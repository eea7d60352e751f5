"""The guide of a new organization: the steps to its first completed campaign, which ends it."""

from collections.abc import Sequence
from dataclasses import dataclass

from outdial.db.queries import organizations
from outdial.db.session import Connection
from outdial.studio.web.context import OrganizationContext


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStep:
    """A step of the guide; `url` leads to where it is done, and is None while there is nothing to do it with."""

    label: str
    hint: str
    url: str | None
    is_done: bool


async def first_steps(connection: Connection, context: OrganizationContext) -> Sequence[FirstStep]:
    """Return the steps of the guide; none once a campaign has completed, and none for viewers, who cannot take them."""
    if not context.may("operator"):
        return ()
    state = await organizations.read_first_steps(connection, organization_id=context.organization_id)
    if state is None or state.has_completed:
        return ()
    base = f"/o/{context.organization_id}"
    draft = None if state.draft_id is None else f"{base}/campaigns/{state.draft_id}"
    return (
        FirstStep(
            label="Connect Retell",
            hint="Enter the API key of your workspace. It is tested before it is stored.",
            url=f"{base}/settings/retell",
            is_done=state.has_key,
        ),
        FirstStep(
            label="Connect Retell’s webhook",
            hint="Paste the webhook URL into Retell. The first event that arrives completes this step.",
            url=f"{base}/settings/retell",
            is_done=state.has_webhook,
        ),
        FirstStep(
            label="Add a caller number",
            hint="Import the numbers and agents of your Retell workspace.",
            url=f"{base}/numbers",
            is_done=state.has_number,
        ),
        FirstStep(
            label="Create a campaign",
            hint="Choose the agent, the number and the hours.",
            url=f"{base}/campaigns/new",
            is_done=state.has_campaign,
        ),
        FirstStep(
            label="Add contacts",
            hint="A file with your own phone number is enough for a test.",
            url=draft and f"{draft}/import",
            is_done=state.has_contacts,
        ),
        FirstStep(
            label="Call your own phone",
            hint="In the review of the setup, have the agent call you with a contact's variables.",
            url=draft and f"{draft}/setup/review#test-calls",
            is_done=state.has_test_call,
        ),
        FirstStep(
            label="Start the campaign and let it complete",
            hint="This guide ends with your first completed campaign.",
            url=draft and f"{draft}/setup/review",
            is_done=False,
        ),
    )
