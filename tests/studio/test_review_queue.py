"""The queue of contacts in review, of all campaigns."""

import json
import re
from collections.abc import Sequence

import asyncpg
import pytest

from outdial.studio.review import pages
from outdial.studio.view.phones import phone_text
from tests.support.factories import (
    CampaignContact,
    create_call,
    create_campaign,
    create_campaign_contact,
    create_contact,
    create_member,
)
from tests.support.studio import Browser, BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations


async def test_contacts_in_review_of_all_campaigns_are_decided_from_one_queue(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    client_for: ClientFor,
    two_organizations: TwoOrganizations,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant = two_organizations.own.tenant
    home = f"/o/{tenant.organization_id}"
    entries = []
    for name in ("Ada", "Grace", "Alan", "Katherine"):
        campaign = await create_campaign(connection, tenant, name=f"Campaign of {name}", status="paused")
        contact = await create_contact(connection, tenant.organization_id, name=name)
        entry = await create_campaign_contact(
            connection, campaign, contact, status="review", status_reason="the outcome is unknown", call_count=1
        )
        analysis = json.dumps({"call_summary": f"Talked to {name}"})
        await create_call(connection, entry, status="ended", analysis=analysis, transcript=f"Agent: Hello, {name}")
        entries.append(entry)
    operator = await browser_for(await create_member(connection, tenant.organization_id, "operator"))

    page = (await operator.get(f"{home}/review")).text

    assert [page.index(f"Talked to {name}") for name in ("Ada", "Grace", "Alan", "Katherine")] == sorted(
        page.index(f"Talked to {name}") for name in ("Ada", "Grace", "Alan", "Katherine")
    )
    assert 'Review <span class="count">4</span>' in page
    await check_beside(operator, home, entries)
    monkeypatch.setattr(pages, "LIMIT", 3)
    # Each form leads to the entry after its own: after the last one, to the next page.
    page = (await operator.get(f"{home}/review")).text
    places = list(dict.fromkeys(re.findall(r'name="cursor" value="(.*?)">.*?name="place" value="(.*?)">', page, re.S)))
    assert places[:2] == [("", str(entries[1].id)), ("", str(entries[2].id))]
    assert (bool(places[2][0]), places[2][1]) == (True, "")
    # A decision that leads to the next page takes its links along.
    assert re.search(r'rel="next">Next page</a>\s*</nav>\s*</div>\s*<form class="selection-bar"', page)
    sent = {"decision": "sideways", "cursor": places[2][0], "place": "x"}
    assert (await operator.post_form(f"{home}/review/{entries[2].id}", sent)).status_code == 400
    for entry, decision in zip(entries, ("completed", "call_again", "failed", "never_call"), strict=True):
        sent = {"campaign_id": str(entry.campaign.id), "decision": decision}
        response = await operator.post_form(f"{home}/review/{entry.id}", sent)
        assert (response.status_code, response.headers["location"]) == (303, f"{home}/review")
    statuses = await connection.fetch("select status from campaign_contacts where decision is not null order by id")
    assert [row["status"] for row in statuses] == ["completed", "pending", "failed", "failed"]
    assert await connection.fetchval("select count(*) from do_not_call where phone = $1", entries[3].contact.phone) == 1
    page = (await operator.get(f"{home}/review")).text
    assert "Nothing to review" in page
    assert 'class="count"' not in page

    emptied = await operator.get(f"{home}/review", params={"cursor": places[2][0]})
    assert (emptied.status_code, emptied.headers["location"]) == (303, f"{home}/review"), (
        "pages before may have entries"
    )

    # Decided meanwhile by another member: the queue says so and stays.
    late = {"decision": "completed", "cursor": places[2][0], "place": str(entries[1].id)}
    again = await operator.post_form(f"{home}/review/{entries[0].id}", late)
    assert again.headers["location"] == f"{home}/review?cursor={places[2][0]}&at={entries[1].id}#{entries[1].id}"
    assert "only contacts in review can be decided" in (await operator.get(f"{home}/review")).text.lower()


async def check_beside(operator: Browser, home: str, entries: Sequence[CampaignContact]) -> None:
    """Check what is beside the list: the first contact, or the one of a link of the list; none that is not in it."""
    page = (await operator.get(f"{home}/review")).text
    assert f'data-entry="{entries[0].id}"' in page
    assert f'href="?at={entries[1].id}#entry"' in page
    second = (await operator.get(f"{home}/review", params={"at": str(entries[1].id)})).text
    shown = second[second.index('id="entry"') :]
    assert f'data-entry="{entries[1].id}"' in shown
    assert ("Hello, Grace" in shown, "Talked to Grace" in shown, "Talked to Ada" in shown) == (True, True, False)
    gone = (await operator.get(f"{home}/review", params={"at": "end"})).text
    assert ("data-entry" in gone, "Choose a contact from the list." in gone) == (False, True)


async def test_a_viewer_sees_the_queue_without_decisions_and_others_do_not_see_it(
    connection: asyncpg.Connection,
    browser_for: BrowserFor,
    client_for: ClientFor,
    two_organizations: TwoOrganizations,
) -> None:
    own, other = two_organizations.own, two_organizations.other
    entry = await create_campaign_contact(connection, own.fresh, status="review", status_reason="odd")
    viewer = await browser_for(own.users["viewer"])

    page = (await viewer.get(f"/o/{own.tenant.organization_id}/review")).text
    assert phone_text(entry.contact.phone) in page
    assert 'name="decision"' not in page
    listed = await (await client_for(own.users["viewer"])).get(
        f"/api/v1/organizations/{own.tenant.organization_id}/review"
    )
    assert [item["campaign_contact_id"] for item in listed.json()["items"]] == [str(entry.id)]
    stranger = await client_for(other.users["owner"])
    assert (await stranger.get(f"/api/v1/organizations/{other.tenant.organization_id}/review")).json()["items"] == []
