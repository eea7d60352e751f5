"""Pages of the calls on the line: of all campaigns, and of one."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.db.session import Connection
from outdial.domain.campaign import CampaignStatus
from outdial.studio.calls.live_transcript import SpokenSoFar, read_live_transcripts, spoken_so_far
from outdial.studio.calls.transcript import SPEAKERS
from outdial.studio.campaigns.counts import Counter as CampaignCounts
from outdial.studio.campaigns.tabs import campaign_frame
from outdial.studio.listening.service import DASHBOARD_URL, has_player
from outdial.studio.live_calls.service import LiveCalls, read_live_calls
from outdial.studio.live_calls.shared_updates import SharedUpdates, Updates
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.middleware.security import let_hear_calls
from outdial.studio.web.rendering import CSRF_OF_READER, page, render_shared

router = APIRouter(prefix="/o/{organization_id}")

# Keep the page small.
SHOWN: Final = 40
ENDED_SHOWN: Final = 10
MOST_FOLLOWED: Final = 2
_SPOKEN_CHARS: Final = 1_200
TEMPLATE: Final = "live_calls/show.html"


@router.get("/live-calls")
async def live_page(request: Request, context: CurrentOrganization, updates: Updates) -> HTMLResponse:
    """Show the calls on the line, of all campaigns."""

    async def read() -> Mapping[str, Any]:
        ids = followed_calls(request)
        async with context.transaction() as connection:
            live = await read_live_calls(connection, context)
            return {"frame": None, "live": live, "followed": await read_followed(connection, context, live, ids)}

    return await _page(request, context, updates, read)


@router.get("/campaigns/{campaign_id}/live-calls")
async def live_page_of_campaign(
    request: Request, campaign_id: UUID, context: CurrentOrganization, counter: CampaignCounts, updates: Updates
) -> HTMLResponse:
    """Show the calls of a campaign on the line."""

    async def read() -> Mapping[str, Any]:
        ids = followed_calls(request)
        async with context.transaction() as connection:
            frame = await campaign_frame(connection, context, counter, campaign_id)
            live = await read_live_calls(connection, context, campaign_id)
            return {"frame": frame, "live": live, "followed": await read_followed(connection, context, live, ids)}

    return await _page(request, context, updates, read)


async def _page(
    request: Request,
    context: OrganizationContext,
    updates: SharedUpdates,
    read: Callable[[], Awaitable[Mapping[str, Any]]],
) -> HTMLResponse:
    """Return the page; live updates of members who see the same share one rendering."""
    if "x-live" not in request.headers:
        response = page(request, TEMPLATE, context, **await _values(context, read))
        if has_player() and context.may("operator"):
            let_hear_calls(response, context.studio.settings.recordings)
        return response

    async def render() -> str:
        return render_shared(request, TEMPLATE, context, **await _values(context, read))

    key = (request.url.path, *followed_calls(request), context.role, context.is_stopped, viewer_zone(request).key)
    html = await updates.get(context.organization_id, key, render)
    return HTMLResponse(html.replace(CSRF_OF_READER, request.scope.get("outdial_csrf", "")))


async def _values(context: OrganizationContext, read: Callable[[], Awaitable[Mapping[str, Any]]]) -> Mapping[str, Any]:
    found = await read()
    live: LiveCalls = found["live"]
    return {
        **found,
        "tab": "Live",
        "shown": live.calls[:SHOWN],
        "campaigns": campaigns_on_line(live),
        "ended": live.ended[:ENDED_SHOWN],
        "speakers": SPEAKERS,
        # Calls of the simulator are not at Retell.
        "dashboard_url": None if context.studio.settings.recordings else DASHBOARD_URL,
        "has_player": has_player(),
        "now": context.studio.clock.now(),
    }


def followed_calls(request: Request) -> list[UUID]:
    """Return the calls of the address, in the order in which they were opened; at most MOST_FOLLOWED, the last ones."""
    found: dict[UUID, None] = {}
    for typed in request.query_params.getlist("follow"):
        with suppress(ValueError):
            found[UUID(typed)] = None
    return list(found)[-MOST_FOLLOWED:]


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedCalls:
    """The calls whose words the page shows. Its address names them, so that they stay open when it is loaded again."""

    ids: Sequence[UUID]
    spoken: Mapping[UUID, SpokenSoFar]

    @property
    def query(self) -> str:
        """The query of the page with these calls."""
        return _follow_query(self.ids)

    def toggled(self, id: UUID) -> str:
        """Return the query of the page that opens this call too, or closes it."""
        others = [each for each in self.ids if each != id]
        return _follow_query(others if id in self.ids else [*others, id])


def _follow_query(ids: Sequence[UUID]) -> str:
    return "&".join(f"follow={id}" for id in ids[-MOST_FOLLOWED:])


async def read_followed(
    connection: Connection, context: OrganizationContext, live: LiveCalls, ids: Sequence[UUID]
) -> FollowedCalls:
    """Return what is said in the calls with these ids, as far as the page shows them."""
    calls = [call for call in live.calls[:SHOWN] if call.id in ids]
    transcripts = await read_live_transcripts(connection, context.organization_id, [call.id for call in calls])
    now = context.studio.clock.now()
    spoken = {}
    for call in calls:
        answered_at = call.since if call.state == "talking" else None
        spoken[call.id] = spoken_so_far(transcripts.get(call.id), answered_at, now, most=_SPOKEN_CHARS)
    return FollowedCalls(ids=ids, spoken=spoken)


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOnLine:
    """A campaign with live calls that can be paused."""

    id: UUID
    name: str
    calls: int


def campaigns_on_line(live: LiveCalls) -> list[CampaignOnLine]:
    """Return the running campaigns of the live calls, the one with the most of them first."""
    counts = Counter(
        (call.campaign_id, call.campaign_name) for call in live.calls if call.campaign_status == CampaignStatus.ACTIVE
    )
    return [CampaignOnLine(id=id, name=name, calls=calls) for (id, name), calls in counts.most_common()]
