"""The audit log page."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.audit.service import AuditEntry, AuditFilters, list_entries
from outdial.studio.members.service import list_members
from outdial.studio.view.format import money
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import parse_day, parse_last_day, text_values, viewer_zone
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import page

router = APIRouter()
LIMIT: Final = 50
_ID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ISO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@router.get("/o/{organization_id}/audit")
async def list_entries_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the audit log with its filters."""
    query, url = request.query_params, request.url.path
    form = text_values(query, ("action", "actor", "subject_type", "subject_id", "from", "to"))
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    found, problem = Page[AuditEntry](items=[]), None
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
        details=details_in_words,
        **page_links(url, form, page_request, found.next),
    )


def details_in_words(details: Mapping[str, object]) -> Iterator[tuple[str, str | datetime]]:
    """Yield the name and the value of each detail of an entry as a reader wants it.

    Cents become dollars and ISO times become times; filters and lists lose their brackets. IDs say nothing to a reader
    and are left out, several are counted; the API and the CLI have them.
    """
    for name, value in details.items():
        match value:
            case None:
                continue
            case bool():
                yield name, "yes" if value else "no"
            case int() | float() if name.endswith("_cents"):
                yield name.removesuffix("_cents"), money(value)
            case dict():
                yield name, ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
            case list():
                yield name, str(len(value)) if _are_ids(value) else ", ".join(str(each) for each in value) or "none"
            case str() if _are_ids([value]):
                continue
            case str() if _ISO_TIME.fullmatch(value):
                yield name, datetime.fromisoformat(value)
            case _:
                yield name, str(value)


def _are_ids(values: Sequence[object]) -> bool:
    return bool(values) and all(isinstance(value, str) and _ID.fullmatch(value) for value in values)
