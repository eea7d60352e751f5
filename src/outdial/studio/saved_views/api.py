"""API routes for saved views."""

from collections.abc import Mapping
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from outdial.db.session import Connection
from outdial.domain.limits import LONGEST_VIEW_NAME
from outdial.studio.saved_views import service as saved_views
from outdial.studio.saved_views.service import ViewInput, ViewList, kept_filters, stored_filters
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.openapi import ApiRouter

router = ApiRouter(prefix="/organizations/{organization_id}/views", tags=["views"])

_MOST_FILTERS: Final = 20
_Name = Annotated[str, Field(max_length=LONGEST_VIEW_NAME, pattern=r"^[^\x00]*$")]
_Filters = Annotated[
    dict[str, Annotated[str, Field(max_length=saved_views.LONGEST_VALUE)]],
    Field(
        max_length=_MOST_FILTERS,
        description="As in the address of the page with the list. Those of calls are campaign, outcome, status, "
        "reviewed, q, when, from and to; of the calls of a campaign the same without campaign; of contacts q; of the "
        "contacts of a campaign q, by, status, outcome, reached and order; of campaigns name, sort, section and "
        "archived",
        examples=[{"outcome": "no_answer", "when": "last_7_days"}],
    ),
]


class NewSavedView(BaseModel):
    """Filters and the order of a list, with a name. A shared view is there for all members."""

    model_config = ConfigDict(extra="forbid")
    list: ViewList
    name: _Name
    filters: _Filters
    is_shared: bool = False


class SavedViewChanges(BaseModel):
    """What to change about a view; omitted fields stay."""

    model_config = ConfigDict(extra="forbid")
    name: _Name | None = None
    filters: _Filters | None = None
    is_shared: bool | None = None


class SavedViewItem(BaseModel):
    """A saved view. `is_mine`: the caller has saved it, and may change it."""

    id: UUID
    list: ViewList
    name: str
    filters: dict[str, str]
    is_shared: bool
    is_mine: bool


@router.get("")
async def list_saved_views(
    context: CurrentOrganization,
    listed: Annotated[ViewList, Query(alias="list", description="The list that the views are of")],
) -> list[SavedViewItem]:
    """List the views of a list: those of the caller, then those that other members share."""
    async with context.transaction() as connection:
        views = await saved_views.list_views(connection, context, listed)
    return [
        SavedViewItem(
            id=view.id,
            list=listed,
            name=view.name,
            filters=dict(view.filters),
            is_shared=view.is_shared,
            is_mine=view.is_mine,
        )
        for view in views
    ]


@router.post("", status_code=201)
async def create_saved_view(context: CurrentOrganization, new: NewSavedView) -> SavedViewItem:
    """Save a view. Sharing it takes the role operator. Returns 409 when the caller has one of this name on the list."""
    entered = ViewInput(name=new.name.strip(), filters=_known(new.list, new.filters), is_shared=new.is_shared)
    async with context.transaction() as connection:
        view_id = await saved_views.save_view(connection, context, new.list, entered)
        return await _find(connection, context, view_id)


@router.patch("/{view_id}")
async def change_saved_view(context: CurrentOrganization, view_id: UUID, changes: SavedViewChanges) -> SavedViewItem:
    """Rename a view, share it or not, or give it other filters. Only the member who saved it may."""
    async with context.transaction() as connection:
        found = await _find(connection, context, view_id)
        entered = ViewInput(
            name=found.name if changes.name is None else changes.name.strip(),
            filters=found.filters if changes.filters is None else _known(found.list, changes.filters),
            is_shared=found.is_shared if changes.is_shared is None else changes.is_shared,
        )
        await saved_views.change_view(connection, context, view_id, entered)
        return await _find(connection, context, view_id)


@router.delete("/{view_id}", status_code=204)
async def delete_saved_view(context: CurrentOrganization, view_id: UUID) -> Response:
    """Delete a view of the caller, or, as an admin, one that another member shares."""
    async with context.transaction() as connection:
        await saved_views.delete_view(connection, context, view_id)
    return Response(status_code=204)


async def _find(connection: Connection, context: OrganizationContext, view_id: UUID) -> SavedViewItem:
    found = await saved_views.find_view(connection, context, view_id)
    listed = ViewList(found.listed)
    return SavedViewItem(
        id=found.id,
        list=listed,
        name=found.name,
        filters=stored_filters(listed, found.filters),
        is_shared=found.is_shared,
        is_mine=found.user_id == context.actor.user_id,
    )


def _known(listed: ViewList, filters: Mapping[str, str]) -> dict[str, str]:
    """Return the filters as a view keeps them; raises InvalidInput for one that the list does not have."""
    if unknown := sorted(filters.keys() - set(listed.filters)):
        known = f"not a filter of this list: use {', '.join(listed.filters)}"
        raise InvalidInput("Unknown filter", {f"filters.{name}": known for name in unknown})
    return kept_filters(listed, filters)
