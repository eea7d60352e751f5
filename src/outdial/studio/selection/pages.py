"""The question before an action on selected contacts, and the action. selection.js shows the question as a dialog."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from starlette.datastructures import FormData, QueryParams

from outdial.campaigns.operations.bulk_request import applicable, count_by_status
from outdial.campaigns.operations.selected import SelectedRequest, in_one_line
from outdial.campaigns.selection import MOST_TICKED
from outdial.db.queries.dialing import acts
from outdial.db.session import Connection
from outdial.domain.contact import ContactStatus
from outdial.domain.limits import LONGEST_DECISION_NOTE
from outdial.domain.policies.bulk_action import BulkAction, SelectedContact
from outdial.domain.policies.selection import SelectedAction
from outdial.studio.bulk_jobs.pages import filters_in_words
from outdial.studio.calls.reviews import CallsToReview, mark_calls
from outdial.studio.campaign_contacts.new_campaign import SelectedContacts
from outdial.studio.campaign_contacts.panel import FORMATS
from outdial.studio.campaign_contacts.service import find_campaign
from outdial.studio.do_not_call import service as do_not_call
from outdial.studio.do_not_call.service import NewBlockedNumbers
from outdial.studio.selection import service as selection
from outdial.studio.selection import whole_lists, words
from outdial.studio.selection.question import Question
from outdial.studio.undo.service import undo_url
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import viewer_zone
from outdial.studio.web.forms import FlashKind, Form, back_of, own_path, redirect, short_text
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/selection")
EXPORT: Final = "export"


@router.get("")
async def ask(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Say what an action would do to the selected contacts, and ask for the reason."""
    context.require("operator")
    query = request.query_params
    back = own_path(query.get("back", "")) if query.get("back") else f"/o/{context.organization_id}/campaigns"
    action, ids = query.get("action", ""), _ticked(query)
    async with context.transaction() as connection:
        if query.get("of") == "contacts":
            question = await whole_lists.about_contacts(connection, context, query, list(ids))
        elif query.get("of") == "calls":
            question = await whole_lists.about_calls(connection, context, query, list(ids), viewer_zone(request))
        elif query.get("all") and (campaign_id := _uuid(query.get("campaign", ""))) is not None:
            question = await _about_all(connection, context, campaign_id, action, query)
        elif not ids:
            question = Question(title="No contacts selected", lines=["Go back and select the contacts first."])
        elif action == EXPORT:
            question = _export(context, query, [("ids", str(id)) for id in ids], len(ids))
        else:
            question = await _about_selected(connection, context, _action(action), ids)
    return page(
        request,
        "selection/ask.html",
        context,
        question=question,
        back=back,
        formats=FORMATS,
        longest=LONGEST_DECISION_NOTE,
    )


@router.post("")
async def act(context: CurrentOrganization, form: Form) -> Response:
    """Act on the selected contacts, and return to their list, which says what was done."""
    context.require("operator")
    back = back_of(form, f"/o/{context.organization_id}/campaigns")
    reason = short_text(form, "reason", LONGEST_DECISION_NOTE) or None
    seen = _ticked(form)
    async with context.transaction() as connection:
        if form.get("of") == "contacts":
            rows = await acts.phones_of_contacts(connection, organization_id=context.organization_id, ids=list(seen))
            if not rows:
                return redirect(back, "No contacts selected.", "warn")
            numbers = NewBlockedNumbers(
                numbers=[row.phone for row in rows], reason=None if not reason else reason[:500]
            )
            blocked = (await do_not_call.block_numbers(connection, context, numbers)).result
            numbers_added = "1 number" if blocked.added == 1 else f"{blocked.added:,} numbers"
            already = blocked.already_listed
            before = f", {already:,} {'was' if already == 1 else 'were'} on it already" if already else ""
            message = f"{numbers_added} put on the do-not-call list{before}."
            return redirect(back, message, "good" if blocked.added else "info", undo=undo_url(context, blocked.act_id))
        if form.get("of") == "calls":
            if not seen:
                return redirect(back, "No calls selected.", "warn")
            marked = await mark_calls(connection, context, CallsToReview(call_ids=list(seen), note=reason))
            kind: FlashKind = "good" if marked.changed else "info"
            return redirect(back, whole_lists.marked_in_words(marked), kind, undo=undo_url(context, marked.act_id))
        action = _action(str(form.get("action", "")))
        request = SelectedRequest(action=action, ids=list(seen), reason=reason, seen=_known(seen))
        done = await selection.act(connection, context, request)
    kind = "good" if done.changed else "warn"
    return redirect(back, f"{in_one_line(action, done)}.", kind, undo=undo_url(context, done.act_id))


async def _about_selected(
    connection: Connection,
    context: OrganizationContext,
    action: SelectedAction,
    seen: Mapping[UUID, SelectedContact | None],
) -> Question:
    request = SelectedRequest(action=action, ids=list(seen), seen=_known(seen))
    plan = await selection.plan(connection, context, request)
    count = sum(len(ids) for ids in plan.steps.values())
    if not count:
        return Question(title="Nothing to change", stays=words.stays(plan.names(), most=10))
    chosen = [
        (id, seen[id] or SelectedContact(status=ContactStatus(plan.rows[id].status), calls=plan.rows[id].call_count))
        for ids in plan.steps.values()
        for id in ids
    ]
    return Question(
        title=words.title(action, count),
        lines=[words.effect(action)],
        undo=words.undo(action, count),
        stays=words.stays(plan.names()),
        url=f"/o/{context.organization_id}/selection",
        button=words.button(action, count),
        is_danger=action in (SelectedAction.SKIP, SelectedAction.DO_NOT_CALL),
        fields=[("action", action), *(("chosen", f"{id}.{was.status}.{was.calls}") for id, was in chosen)],
    )


async def _about_all(
    connection: Connection, context: OrganizationContext, campaign_id: UUID, action: str, query: QueryParams
) -> Question:
    """Ask about all contacts of a campaign that match the filters of the list."""
    given = {name: value for name in SelectedContacts.model_fields if name != "ids" and (value := query.get(name))}
    try:
        filters = SelectedContacts.model_validate(given)
    except ValidationError:
        raise InvalidInput("Unknown filter: open the list of contacts and filter there", {}) from None
    await find_campaign(connection, context.organization_id, campaign_id)
    counts = await count_by_status(connection, context.organization_id, campaign_id, filters.selection())
    matching = sum(counts.values())
    if action == EXPORT:
        return _export(context, query, list(given.items()), matching)
    chosen = _action(action)
    bulk = words.bulk_action(chosen, filters.status)
    count = applicable(BulkAction(bulk.partition(":")[0]), counts)
    which = f"These match: {filters_in_words(given)}."
    if not count:
        return Question(title="Nothing to change", lines=[which, "This action applies to none of them."])
    others = matching - count
    return Question(
        title=words.title(chosen, count),
        lines=[
            which,
            "A job in the background changes them. It leaves out, and lists, each one that has changed by then.",
            words.effect(chosen),
        ],
        undo=words.undo(chosen, count),
        stays=[f"{words.counted(others)} that match{'es' * (others == 1)} with another status"] if others else [],
        url=f"/o/{context.organization_id}/campaigns/{campaign_id}/bulk-jobs",
        button=words.button(chosen, count),
        is_danger=chosen in (SelectedAction.SKIP, SelectedAction.DO_NOT_CALL),
        fields=[("action", bulk), *given.items()],
        needs_reason=True,
    )


def _export(context: OrganizationContext, query: QueryParams, fields: list[tuple[str, str]], count: int) -> Question:
    return Question(
        title=f"Export {words.counted(count)}?",
        lines=["A file with one row per contact: its last call, the analysis and every variable."],
        url=f"/o/{context.organization_id}/exports",
        button=f"Export {words.counted(count)}",
        fields=[("kind", "results"), ("campaign_id", query.get("campaign", "")), *fields],
        asks_reason=False,
        is_export=True,
    )


def _action(text: str) -> SelectedAction:
    try:
        return SelectedAction(text)
    except ValueError:
        raise InvalidInput("Unknown action: choose one from the list") from None


def _ticked(values: QueryParams | FormData) -> dict[UUID, SelectedContact | None]:
    """Return the ticked rows. A row is an id, with the status and the number of calls that the member saw of it."""
    found: dict[UUID, SelectedContact | None] = {}
    for value in values.getlist("chosen")[:MOST_TICKED]:
        text, _, seen = str(value).partition(".")
        status, _, calls = seen.partition(".")
        if (id := _uuid(text)) is None:
            raise InvalidInput("Unknown contact: go back to the list and select again")
        is_known = status in set(ContactStatus) and calls.isascii() and calls.isdecimal() and len(calls) < 10
        found[id] = SelectedContact(status=ContactStatus(status), calls=int(calls)) if is_known else None
    return found


def _known(seen: Mapping[UUID, SelectedContact | None]) -> dict[UUID, SelectedContact]:
    return {id: contact for id, contact in seen.items() if contact is not None}


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
