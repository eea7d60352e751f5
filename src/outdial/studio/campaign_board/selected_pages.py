"""The bar below the list of campaigns: what it does, the question before a deletion, and the undo."""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData, QueryParams

from outdial.studio.campaign_board.selected import (
    MOST_CAMPAIGNS,
    OPPOSITES,
    BoardAction,
    CampaignsChanged,
    UnchangedCampaign,
    act_on_campaigns,
    applies_to,
    campaigns_in_words,
    left_out_lines,
    undo_acts,
    why_not,
)
from outdial.studio.campaigns.service import find_campaign
from outdial.studio.selection.question import Question
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceNotFound
from outdial.studio.web.forms import Form, back_of, own_path, redirect
from outdial.studio.web.rendering import page

router = APIRouter(prefix="/o/{organization_id}/campaigns/selected")
_NAMED: Final = 10


@router.get("")
async def ask(request: Request, context: CurrentOrganization) -> Response:
    """Ask before the selected drafts are deleted, which cannot be undone."""
    context.require("operator")
    query = request.query_params
    back = own_path(query.get("back", "")) if query.get("back") else _list_of(context)
    question = await _about_drafts(context, _chosen(query))
    return page(request, "selection/ask.html", context, question=question, back=back)


@router.post("")
async def act(context: CurrentOrganization, form: Form) -> Response:
    """Act on the selected campaigns, and return to their list, which says what was done."""
    context.require("operator")
    back = back_of(form, _list_of(context))
    action, ids = _action(form), _chosen(form)
    if not ids:
        return redirect(back, "No campaigns selected.", "warn")
    if action is BoardAction.DELETE and not form.get("confirmed"):
        # Without JavaScript, the bar is one form for all actions.
        asked = [("back", back), *(("chosen", str(id)) for id in ids)]
        return redirect(f"{_list_of(context)}/selected?{urlencode(asked)}")
    done = await act_on_campaigns(context, action, ids)
    return redirect(back, done.in_one_line(), "good" if done.ids else "warn", undo=_undo_url(context, done))


@router.post("/undo")
async def take_back(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Undo what was done to selected campaigns; the address has the acts, or the opposite action and its campaigns."""
    context.require("operator")
    back = back_of(form, _list_of(context))
    query = request.query_params
    if "acts" in query:
        undone = await undo_acts(context, _ids(query["acts"].split(",")))
        return redirect(back, undone.in_one_line(), "good" if undone.changed else "warn")
    action = _action(query)
    if action not in OPPOSITES:
        raise InvalidInput("This cannot be undone here: go back to the list")
    done = await act_on_campaigns(context, action, _ids(query.get("ids", "").split(",")))
    return redirect(back, done.in_one_line(), "good" if done.ids else "warn")


def _undo_url(context: OrganizationContext, done: CampaignsChanged) -> str | None:
    """Return where the message undoes an action; its address has no room for dashes in ids."""
    url = f"{_list_of(context)}/selected/undo"
    if done.acts:
        return f"{url}?acts={','.join(id.hex for id in done.acts)}"
    if done.action in OPPOSITES and done.ids:
        return f"{url}?action={OPPOSITES[done.action]}&ids={','.join(id.hex for id in done.ids)}"
    return None


async def _about_drafts(context: OrganizationContext, ids: Sequence[UUID]) -> Question:
    drafts, others = [], []
    async with context.transaction() as connection:
        for campaign_id in ids:
            try:
                campaign = await find_campaign(connection, context.organization_id, campaign_id)
            except ResourceNotFound:
                continue
            if applies_to(BoardAction.DELETE, campaign):
                drafts.append(campaign)
            else:
                others.append(UnchangedCampaign(campaign.name, why_not(BoardAction.DELETE, campaign.status)))
    stays = left_out_lines(others)
    if not drafts:
        return Question(title="No drafts to delete", lines=["Only drafts can be deleted."], stays=stays)
    count = "1 draft" if len(drafts) == 1 else f"{len(drafts)} drafts"
    names = ", ".join(each.name for each in drafts[:_NAMED])
    more = f" and {len(drafts) - _NAMED} more" if len(drafts) > _NAMED else ""
    lists = "its contact list" if len(drafts) == 1 else "their contact lists"
    return Question(
        title=f"Delete {count}?",
        lines=[f"This deletes {names}{more} and {lists}. The contacts themselves stay in your organization."],
        stays=stays,
        undo="This cannot be undone.",
        url=f"{_list_of(context)}/selected",
        button=f"Delete {count}",
        is_danger=True,
        fields=[
            ("action", BoardAction.DELETE),
            ("confirmed", "true"),
            *(("chosen", str(each.id)) for each in drafts),
        ],
        asks_reason=False,
    )


def _list_of(context: OrganizationContext) -> str:
    return f"/o/{context.organization_id}/campaigns"


def _action(values: FormData | QueryParams) -> BoardAction:
    try:
        return BoardAction(str(values.get("action", "")))
    except ValueError:
        raise InvalidInput("Unknown action: choose one from the list") from None


def _chosen(values: FormData | QueryParams) -> list[UUID]:
    return _ids(map(str, values.getlist("chosen")))


def _ids(texts: Iterable[str]) -> list[UUID]:
    try:
        ids = list(dict.fromkeys(map(UUID, texts)))
    except ValueError:
        raise InvalidInput("Unknown campaign: go back to the list and select again") from None
    if len(ids) > MOST_CAMPAIGNS:
        raise InvalidInput(f"Select at most {campaigns_in_words(MOST_CAMPAIGNS)}")
    return ids
