"""The page with the list of campaigns."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.campaign_board.service import (
    MOST,
    BoardQuery,
    BoardSection,
    BoardSort,
    read_board,
    read_figures,
)
from outdial.studio.campaign_board.view import next_event, review_text
from outdial.studio.campaigns.counts import Counter
from outdial.studio.organizations.first_run import first_steps
from outdial.studio.saved_views.service import VIEW_PARAMETER, ViewList, opened_query, read_bar
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.filters import changed_rows, text_values, viewer_zone
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/campaigns")
_LAST_PAGE: Final = MOST

environment.filters |= {"next_event": next_event, "review_text": review_text}


@router.get("")
async def list_page(request: Request, context: CurrentOrganization, counter: Counter) -> HTMLResponse:
    """Show the campaigns by what they need; a live update asks for the changed ones only."""
    now = context.studio.clock.now()
    zone = viewer_zone(request)
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    async with context.transaction() as connection:
        query = _query(await opened_query(connection, context, ViewList.CAMPAIGNS, request.query_params))
        asked = _values(query)
        board = await read_board(connection, context, counter, query, changed=changed_rows(request))
        figures = await read_figures(connection, context, counter, midnight)
        steps = await first_steps(connection, context)
        bar = await read_bar(
            connection,
            context,
            ViewList.CAMPAIGNS,
            url=request.url.path,
            form=asked,
            opened=request.query_params.get(VIEW_PARAMETER, ""),
        )

    def address(**changes: str) -> str:
        kept = {name: value for name, value in (asked | changes).items() if value}
        return f"{request.url.path}?{urlencode(kept)}" if kept else request.url.path

    return page(
        request,
        "campaign_board/list.html",
        context,
        board=board,
        first_steps=steps,
        figures=figures,
        views=bar,
        query=query,
        address=address,
        now=now,
        most=MOST,
    )


def _values(query: BoardQuery) -> dict[str, str]:
    """Return the values of the address of the list, empty where they are the usual ones."""
    return {
        "name": query.name,
        "sort": query.sort if query.sort is not BoardSort.NEWEST else "",
        "section": query.section or "",
        "archived": "true" if query.is_archived else "",
    }


def _query(values: Mapping[str, str]) -> BoardQuery:
    """Read the address of the list; what it does not know is as if it were not there."""
    asked = text_values(values, ("name", "sort", "section", "archived", "page"))
    number = asked["page"]
    return BoardQuery(
        name=asked["name"],
        sort=BoardSort(asked["sort"]) if asked["sort"] in list(BoardSort) else BoardSort.NEWEST,
        section=BoardSection(asked["section"]) if asked["section"] in list(BoardSection) else None,
        page=min(max(int(number), 1), _LAST_PAGE) if number.isascii() and number.isdigit() else 1,
        is_archived=asked["archived"] == "true",
    )
