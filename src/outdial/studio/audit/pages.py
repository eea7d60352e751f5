"""The page of the audit log."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.audit.service import AuditEntry, AuditFilters, list_entries
from outdial.studio.members.service import list_members
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.dates import day_of
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.paging import Page, PageRequest
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50


@router.get("/o/{organization_id}/audit")
async def list_entries_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show who did what."""
    query, url = request.query_params, request.url.path
    names = ("action", "actor", "subject_type", "subject_id", "from", "to")
    form = {name: query.get(name, "").replace("\x00", "").strip()[:200] for name in names}
    kept = {name: value for name, value in form.items() if value}
    found, problem = Page[AuditEntry](items=[]), None
    async with context.transaction() as connection:
        people = await list_members(connection, context)
        try:
            asked = PageRequest(query.get("cursor") or None, LIMIT)
            found = await list_entries(connection, context.organization_id, asked, _filters(form))
        except InvalidInput as error:
            problem = f"{error.message}: {'; '.join(error.fields.values())}"
    names_of = {str(one.user_id): one.email or str(one.user_id) for one in people}
    if form["actor"]:
        # A process, or somebody who works there no more.
        names_of.setdefault(form["actor"], form["actor"])
    return page(
        request,
        "audit/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        problem=problem,
        people=[("", "Anybody"), *names_of.items()],
        form=form,
        is_narrowed=bool(kept),
        entries=found.items,
        next_url=f"{url}?{urlencode({**kept, 'cursor': found.next})}" if found.next else None,
        first_url=f"{url}?{urlencode(kept)}" if "cursor" in query else None,
    )


def _filters(form: Mapping[str, str]) -> AuditFilters:
    until = day_of("to", form["to"])
    return AuditFilters(
        # As people read it on the page: "Pause campaign".
        form["action"].lower().replace(" ", "_") or None,
        form["actor"] or None,
        form["subject_id"] or None,
        form["subject_type"].lower().replace(" ", "_") or None,
        since=day_of("from", form["from"]),
        until=None if until is None else until + timedelta(days=1),
    )
