"""Why a campaign places no call at this moment, in words."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

import msgspec

from outdial.db.campaigns import CampaignDetail
from outdial.db.claims import PendingZone
from outdial.domain.calling_hours import next_open, parse_calling_hours
from outdial.domain.campaign import CampaignStatus

_S = CampaignStatus


def why_waiting(
    campaign: CampaignDetail, zones: Sequence[PendingZone], live: int, now: datetime, zone: tzinfo | None = None
) -> str | None:
    """Return why no call is being placed, None while calls are; times in `zone`, the machine's own without one."""
    match CampaignStatus(campaign.status):
        case _S.DRAFT:
            return f"it has not been started: outdial campaign start {campaign.id}"
        case _S.SCHEDULED:
            return f"it starts at {_local(campaign.scheduled_at or now, zone)}"
        case _S.PAUSED | _S.PAUSING:
            return f"it was paused: {campaign.paused_reason or 'no reason was given'}"
        case _S.CANCELLING | _S.CANCELLED:
            return "it was cancelled" if live == 0 else f"it was cancelled; {_calls(live)} still under way"
        case _S.COMPLETED:
            return "each of its contacts has a final status"
        case _S.ACTIVE:
            return _why_active(campaign, zones, live, now, zone)


def _why_active(
    campaign: CampaignDetail, zones: Sequence[PendingZone], live: int, now: datetime, zone: tzinfo | None
) -> str | None:
    match campaign.waiting_for:
        case "calling_hours":
            return f"nobody may be called at this hour; {_next_opening(campaign, zones, now, zone)}"
        case "retry":
            return f"the next contacts are not due yet; {_next_opening(campaign, zones, now, zone)}"
        case "concurrency":
            return f"every slot is taken: {live} of its calls are live"
        case "pacing":
            return "the calls per second of its workspace are used up for the moment"
        case "calls":
            return f"everybody has been called; {_calls(live)} still under way"
        case _:
            return None


def _next_opening(campaign: CampaignDetail, zones: Sequence[PendingZone], now: datetime, local: tzinfo | None) -> str:
    hours = parse_calling_hours(msgspec.json.decode(campaign.calling_hours))
    openings = [
        (opens_at, zone.zone_key)
        for zone in zones
        if (opens_at := next_open(hours, zone.zone_key, max(now, zone.first_due_at))) is not None
    ]
    if not openings:
        return "no zone of a pending contact opens within two weeks"
    opens_at, zone_key = min(openings)
    return f"the next call may start at {_local(opens_at, local)}, in {zone_key.replace('|', ' and ')}"


def _calls(live: int) -> str:
    return "1 call is" if live == 1 else f"{live} calls are"


def _local(moment: datetime, zone: tzinfo | None) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")
