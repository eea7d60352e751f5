"""The callback beside the queue: its call, what a member does about it, and what a form that is sent in place shows."""

import json
from datetime import timedelta

import asyncpg

from tests.studio.test_callbacks import ALWAYS, wait_for_callback
from tests.support.factories import NOW, create_call, create_campaign
from tests.support.studio import BrowserFor
from tests.support.two_organizations import TwoOrganizations


async def test_the_queue_shows_the_chosen_callback_and_then_the_next_one(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, browser_for: BrowserFor
) -> None:
    own = two_organizations.own
    queue = f"/o/{own.tenant.organization_id}/callbacks"
    campaign = await create_campaign(connection, own.tenant, calling_hours=ALWAYS)
    entries = [
        await wait_for_callback(connection, campaign, NOW + timedelta(days=days), name)
        for days, name in ((8, "Ada"), (9, "Grace"))
    ]
    analysis = json.dumps({"call_summary": "Was driving.", "custom_analysis_data": {"callback_at": "in a week"}})
    said = {"analysis": analysis, "transcript": "User: Next week, please"}
    await create_call(connection, entries[1], status="ended", outcome="answered", **said)
    operator = await browser_for(own.users["operator"])
    beside = {
        at: (await operator.get(queue, params={"group": "later", **({"at": at} if at else {})})).text.split(
            'id="entry"'
        )[1]
        for at in ("", str(entries[1].id), "end")
    }

    assert f'data-entry="{entries[0].id}"' in beside[""]
    shown = beside[str(entries[1].id)]
    assert f'data-entry="{entries[1].id}"' in shown
    assert ("<q>in a week</q>" in shown, "Was driving." in shown, "Next week, please" in shown) == (True, True, True)
    # The forms return to the queue without the chosen one, at the entry after it.
    assert f'callbacks/{entries[0].id}?place={entries[1].id}"' in beside[""]
    assert f'name="back" value="{queue}?group=later"' in shown
    assert ('value="tomorrow at 9am"' in shown, "Choose a contact from the list." in beside["end"]) == (True, True)
    viewer = (await (await browser_for(own.users["viewer"])).get(queue)).text.split('id="entry"')[1]
    assert (f'data-entry="{entries[0].id}"' in viewer, "formaction" in viewer, "New time" in viewer) == (
        True,
        False,
        False,
    )

    sent = {"end": "done", "back": f"{queue}?group=later"}
    done = await operator.post_form(f"{queue}/{entries[0].id}?place={entries[1].id}", sent)
    assert done.headers["location"] == f"{queue}?group=later&at={entries[1].id}#{entries[1].id}"
    # A form that was sent in place from another page has its message on the page that is loaded then.
    other = await operator.get(queue, headers={"x-in-place": "/another/page"})
    assert "done, not called again" not in other.text
    assert "done, not called again" in (await operator.get(queue, headers={"x-in-place": queue})).text
    assert "done, not called again" not in (await operator.get(queue)).text
