"""The audit log: entries of one organization, with email addresses where known."""

from datetime import UTC, datetime

import asyncpg
import pytest

from outdial.studio.audit.details import details_in_words
from tests.support.factories import NOW, insert
from tests.support.studio import BrowserFor, ClientFor
from tests.support.two_organizations import TwoOrganizations

_ID = "01a22906-1111-7222-8333-944444444444"


async def test_entries_are_listed_and_filtered(
    two_organizations: TwoOrganizations, connection: asyncpg.Connection, client_for: ClientFor, browser_for: BrowserFor
) -> None:
    own, other = two_organizations.own, two_organizations.other
    owner, organization_id = own.users["owner"], own.tenant.organization_id
    for n in range(3):
        await insert(
            connection,
            "audit_log",
            organization_id=organization_id,
            at=NOW,
            actor=str(owner),
            action="pause_campaign",
            subject_type="campaign",
            subject_id=str(own.fresh.id),
            details=f'{{"reason": "<b>{n}</b>"}}',
        )
    url = f"/api/v1/organizations/{organization_id}/audit"
    client = await client_for(own.users["viewer"])

    first = (await client.get(url, params={"action": "pause_campaign", "limit": 2})).json()
    rest = (await client.get(url, params={"action": "pause_campaign", "cursor": first["next"]})).json()
    shown = await (await browser_for(own.users["viewer"])).get(f"/o/{organization_id}/audit?actor={owner}")

    assert [entry["details"]["reason"] for entry in first["items"]] == ["<b>2</b>", "<b>1</b>"]
    assert [entry["actor_email"] for entry in rest["items"]] == [f"{owner.hex}@example.com"]
    assert "&lt;b&gt;0" in shown.text
    name = await connection.fetchval("select name from campaigns where id = $1", own.fresh.id)
    assert f'/campaigns/{own.fresh.id}">{name}</a>' in shown.text
    assert f"{owner.hex}@example.com" in shown.text
    assert (await client.get(f"/api/v1/organizations/{other.tenant.organization_id}/audit")).status_code == 404
    assert (await client.get(url, params={"cursor": "bm9uZQ"})).status_code == 400


def test_details_are_words_and_amounts() -> None:
    details = {"used_cents": 2718.7298, "filters": {"status": "failed"}, "is_own_phone": True, "at": None, "n": 3}
    details |= {"act": _ID, "contacts": [_ID, _ID], "to": "2026-11-29T21:36:54.121708Z", "name": "2026-11-29"}
    hours = {"before": {}, "after": {"every_day": [["09:00", "20:00"]]}}
    budget = {"before": None, "after": 2000}
    details |= {"changes": {"budget_cents": budget, "calling_hours": hours, "max_attempts": {"before": 3, "after": 5}}}

    assert list(details_in_words(details)) == [
        ("used", "$27.19"),
        ("filters", "status failed"),
        ("is_own_phone", "yes"),
        ("n", "3"),
        ("contacts", "2"),
        ("to", datetime(2026, 11, 29, 21, 36, 54, 121708, tzinfo=UTC)),
        ("name", "2026-11-29"),
        ("changes", "budget from none to $20.00, calling hours, max attempts from 3 to 5"),
    ]


@pytest.mark.parametrize("reason", ["2026-02-30T09:00:00Z", "2026-02-03T25:00:00Z", "0001-01-01T00:00:00+00:00"])
def test_a_reason_that_looks_like_a_time_and_is_none_stays_text(reason: str) -> None:
    assert list(details_in_words({"reason": reason})) == [("reason", reason)]
