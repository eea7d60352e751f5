"""The audit log page."""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.audit.details import details_in_words
from outdial.studio.audit.service import AuditEntry, AuditFilters, campaign_names, list_entries
from outdial.studio.members.service import list_members
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import parse_day, parse_last_day, text_values, viewer_zone
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50


@router.get("/o/{organization_id}/audit")
async def list_entries_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the audit log with its filters."""
    query, url = request.query_params, request.url.path
    form = text_values(query, ("action", "actor", "subject_type", "subject_id", "from", "to"))
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    found, problem = Page[AuditEntry](items=[]), None
    campaigns: Mapping[str, str] = {}
    zone = viewer_zone(request)
    async with context.transaction() as connection:
        members = await list_members(connection, context)
        try:
            filters = AuditFilters(
                # The page shows "Start campaign", the log stores start_campaign.
                action=form["action"].lower().replace(" ", "_") or None,
                actor=form["actor"] or None,
                subject_id=form["subject_id"] or None,
                subject_type=form["subject_type"].lower().replace(" ", "_") or None,
                since=parse_day("from", form["from"], zone),
                until=parse_last_day("to", form["to"], zone),
            )
            found = await list_entries(connection, context.organization_id, page_request, filters)
            campaigns = await campaign_names(connection, context.organization_id, found.items)
        except InvalidInput as error:
            problem = error.summary
    actors = {str(member.user_id): member.email or str(member.user_id) for member in members}
    if form["actor"]:
        # A process or a former member.
        actors.setdefault(form["actor"], form["actor"])
    return page(
        request,
        "audit/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        problem=problem,
        actors=[("", "Anyone"), *actors.items()],
        form=form,
        is_narrowed=any(form.values()),
        entries=found.items,
        campaigns=campaigns,
        details=details_in_words,
        **page_links(url, form, page_request, found.next),
    )
