"""Why a campaign is not dialing is said in words, with the moment when it will."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from outdial.cli.waiting import why_waiting
from outdial.db.campaigns import CampaignDetail
from outdial.db.claims import PendingZone

# A Tuesday: 03:00 in New York, 08:00 in London.
NOW = datetime(2026, 3, 10, 7, 0, tzinfo=UTC)
CAMPAIGN = CampaignDetail(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    provider_account_id=UUID(int=3),
    name="Spring",
    status="active",
    retell_agent_id="agent_1",
    from_number="+12125550100",
    batch_size=10,
    max_concurrency=None,
    calling_hours='{"weekdays": [["09:00", "20:00"]]}',
    retry_policy="{}",
    max_attempts=3,
    dynamic_variables="{}",
    scheduled_at=NOW + timedelta(hours=1),
    next_batch_at=NOW,
    waiting_for=None,
    paused_reason="lunch",
    started_at=None,
    finished_at=None,
    created_at=NOW,
)
ZONES = [PendingZone("America/New_York", NOW), PendingZone("Europe/London|Europe/Paris", NOW)]


@pytest.mark.parametrize(
    ("status", "waiting_for", "said"),
    [
        ("draft", None, "has not been started"),
        ("scheduled", None, "it starts at 2026-03-10 08:00:00 UTC"),
        ("paused", None, "it was paused: lunch"),
        ("pausing", None, "it was paused: lunch"),
        ("cancelling", None, "2 calls are still under way"),
        ("completed", None, "final status"),
        ("active", "concurrency", "every slot is taken: 2"),
        ("active", "pacing", "calls per second"),
        ("active", "calls", "2 calls are still under way"),
        ("active", "calling_hours", "the next call may start at 2026-03-10 09:00:00 UTC, in Europe/London and"),
        ("active", "retry", "not due yet; the next call may start at 2026-03-10 09:00:00 UTC"),
    ],
)
def test_each_reason_is_said(status: str, waiting_for: str | None, said: str) -> None:
    campaign = replace(CAMPAIGN, status=status, waiting_for=waiting_for)
    assert said in (why_waiting(campaign, ZONES, 2, NOW, UTC) or "")


def test_a_campaign_that_dials_waits_for_nothing() -> None:
    assert why_waiting(CAMPAIGN, ZONES, 2, NOW, UTC) is None


def test_a_contact_that_is_due_later_opens_nothing_before() -> None:
    campaign = replace(CAMPAIGN, waiting_for="retry")
    due = NOW + timedelta(days=1, hours=8)
    said = why_waiting(campaign, [PendingZone("America/New_York", due)], 0, NOW, UTC)
    assert "2026-03-11 15:00:00 UTC, in America/New_York" in (said or "")


def test_zones_without_a_common_hour_are_told() -> None:
    campaign = replace(CAMPAIGN, waiting_for="calling_hours", calling_hours='{"every_day": [["12:00", "13:00"]]}')
    said = why_waiting(campaign, [PendingZone("America/New_York|Asia/Tokyo", NOW)], 0, NOW, UTC)
    assert "no zone" in (said or "")
