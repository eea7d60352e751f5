"""The page of imports, exports and jobs of no single campaign, and the downloads of exports."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from starlette.datastructures import FormData

from outdial.domain.outcomes import Outcome
from outdial.studio.bulk_jobs.pages import action_in_words
from outdial.studio.bulk_jobs.service import BulkJobView, list_jobs
from outdial.studio.calls.navigation import FILTER_NAMES, read_filters, typed_filters
from outdial.studio.campaign_contacts.panel import FORMATS
from outdial.studio.exports import service as exports_service
from outdial.studio.exports.api import export_file_response
from outdial.studio.exports.service import Export, NewExport
from outdial.studio.imports.service import Import, list_imports
from outdial.studio.view.badges import humanize
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import PageRequest
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}")

LIMIT: Final = 20
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "results": ("status", "outcome", "reached", "search", "phone", "phone_ends", "name", "external_id"),
    "contacts": ("search", "phone", "name", "external_id"),
}
_KINDS: Final = (("calls", "Calls"), ("contacts", "Contacts"), ("do_not_call", "Do-not-call list"))


@router.get("/jobs")
async def jobs_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show imports, exports, and jobs on contacts and calls of all campaigns, with their progress."""
    query, url = request.query_params, request.url.path
    cursors = {name: query.get(name) or None for name in ("imports", "exports", "changes")}
    async with context.transaction() as connection:
        imports = await list_imports(connection, context, PageRequest(cursors["imports"], LIMIT))
        exports = await exports_service.list_exports(connection, context, PageRequest(cursors["exports"], LIMIT))
        changes = await list_jobs(connection, context, None, PageRequest(cursors["changes"], LIMIT))
    jobs: list[Import | Export | BulkJobView] = [*imports.items, *exports.items, *changes.items]
    return page(
        request,
        "exports/list.html",
        context,
        imports=imports.items,
        exports=exports.items,
        is_at_work=any(job.is_open for job in jobs),
        changes=[(job, action_in_words(job.action, job.decision)) for job in changes.items],
        next_changes=f"{url}?{urlencode({'changes': changes.next})}" if changes.next else None,
        next_imports=f"{url}?{urlencode({'imports': imports.next})}" if imports.next else None,
        next_exports=f"{url}?{urlencode({'exports': exports.next})}" if exports.next else None,
        first=url if any(cursors.values()) else None,
        kinds=_KINDS,
        formats=FORMATS,
        outcomes=[("", "Any"), *((outcome.value, humanize(outcome)) for outcome in Outcome)],
    )


@router.post("/exports")
async def create(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Start an export in the background."""
    context.require("operator")
    kind, zone = text(form, "kind"), viewer_zone(request)
    given: dict[str, object] = {"time_zone": zone.key, "campaign_id": text(form, "campaign_id")}
    if kind == "calls":
        given |= _calls_of(form, zone, context.studio.clock.now())
    else:
        given |= {name: text(form, name) for name in _FIELDS.get(kind, ())}
    given["ids"] = None if kind == "do_not_call" else form.getlist("ids")
    try:
        new = NewExport.model_validate(
            {
                "kind": kind,
                "format": text(form, "format") or "csv",
                "include": [name for name in ("transcript", "recording") if text(form, name)],
                "filters": {name: value for name, value in given.items() if value not in (None, "", [])},
            }
        )
    except ValidationError as error:
        fields = {str(problem["loc"][-1]): str(problem["msg"]) for problem in error.errors()}
        raise InvalidInput("Invalid export", fields) from None
    async with context.transaction() as connection:
        await exports_service.create_export(connection, context, new)
    return redirect(f"/o/{context.organization_id}/jobs", "Export started. The file will appear here when it is ready.")


def _calls_of(form: FormData, zone: ZoneInfo, now: datetime) -> dict[str, object]:
    """Return the filters of calls in a form of their list, or of the page of exports; raises InvalidInput."""
    typed = typed_filters({name: text(form, name) for name in FILTER_NAMES})
    others = {"campaign": "campaign_id", "from": "since", "to": "until"}
    typed |= {name: typed[name] or text(form, other) for name, other in others.items()}
    return asdict(read_filters(typed, zone, now))


@router.post("/exports/{export_id}/cancel")
async def cancel(context: CurrentOrganization, export_id: UUID, form: Form) -> Response:
    """Cancel an export."""
    context.require("operator")
    async with context.transaction() as connection:
        await exports_service.cancel_export(connection, context, export_id)
    return redirect(f"/o/{context.organization_id}/jobs", "Export cancelled.", "info")


@router.get("/exports/{export_id}/file")
async def download(context: CurrentOrganization, export_id: UUID) -> Response:
    """Download the file of an export."""
    return await export_file_response(context, export_id)
