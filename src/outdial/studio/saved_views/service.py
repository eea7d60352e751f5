"""Saved views: which filters a list has, the views that a member may open, and their changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import asyncpg

from outdial.db.queries import saved_views as queries
from outdial.db.session import Connection, encode_json
from outdial.domain.ids import new_id
from outdial.domain.limits import LONGEST_VIEW_NAME, MOST_VIEWS
from outdial.studio.calls.navigation import FILTER_NAMES
from outdial.studio.view.payloads import decode_object
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, ResourceNotFound

MOST_LISTED: Final = 40
"""Views above a list: all of the member, then those that others share."""
VIEW_PARAMETER: Final = "view"
"""The parameter of an address that names the view it was opened with."""
UNFIT: Final = "This view has a filter that this list does not know, such as a deleted campaign. All rows are shown."
LONGEST_VALUE: Final = 200
_USUAL: Final = {"order": "contact", "sort": "newest", "archived": "false"}
"""Choices that are the same as none."""


class ViewList(StrEnum):
    """A list that has views. A view of the contacts or the calls of a campaign is there in every campaign."""

    CAMPAIGNS = "campaigns"
    CALLS = "calls"
    CAMPAIGN_CALLS = "campaign_calls"
    CONTACTS = "contacts"
    CAMPAIGN_CONTACTS = "campaign_contacts"

    @property
    def filters(self) -> tuple[str, ...]:
        """The parameters of its address that a view keeps."""
        return _FILTERS[self]


_FILTERS: Final[Mapping[ViewList, tuple[str, ...]]] = {
    ViewList.CAMPAIGNS: ("name", "sort", "section", "archived"),
    ViewList.CALLS: FILTER_NAMES,
    ViewList.CAMPAIGN_CALLS: tuple(name for name in FILTER_NAMES if name != "campaign"),
    ViewList.CONTACTS: ("q",),
    ViewList.CAMPAIGN_CONTACTS: ("q", "by", "status", "outcome", "reached", "order"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A view of a list, with the address that opens it."""

    id: UUID
    name: str
    url: str
    filters: Mapping[str, str]
    is_shared: bool
    is_mine: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewBar:
    """The views above a list. `current` is the open one, and `filters` what a new one would keep, as in an address."""

    listed: ViewList
    url: str
    filters: str
    views: list[SavedView] = field(default_factory=list)
    current: SavedView | None = None

    @property
    def is_as_saved(self) -> bool:
        """Whether a view is open and the filters are its own."""
        return self.current is not None and urlencode(self.current.filters) == self.filters

    @property
    def is_changed(self) -> bool:
        """Whether the filters differ from those of the open view."""
        return self.current is not None and not self.is_as_saved


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewInput:
    """A view as a member has entered it."""

    name: str
    filters: Mapping[str, str]
    is_shared: bool


def kept_filters(listed: ViewList, form: Mapping[str, str]) -> dict[str, str]:
    """Return the filters of a list that are set, in their order."""
    given = {name: form.get(name, "").replace("\0", "").strip()[:LONGEST_VALUE] for name in listed.filters}
    return {name: value for name, value in given.items() if value and _USUAL.get(name) != value}


def filters_of_address(listed: ViewList, text: str) -> dict[str, str]:
    """Return the filters in the query of an address; what the list does not know is left out."""
    return kept_filters(listed, dict(parse_qsl(text)))


async def opened_query(
    connection: Connection, context: OrganizationContext, listed: ViewList, query: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the query of an address. One that only names a view has those of the view: links stay short."""
    try:
        view_id = UUID(query.get(VIEW_PARAMETER, ""))
    except ValueError:
        return query
    if any(name in query for name in listed.filters):
        return query
    found = await queries.find_view(connection, view_id=view_id, organization_id=context.organization_id)
    may_open = found is not None and (found.is_shared or found.user_id == context.actor.user_id)
    if found is None or not may_open or found.listed != listed:
        return query
    return {**query, **stored_filters(listed, found.filters)}


async def read_bar(
    connection: Connection,
    context: OrganizationContext,
    listed: ViewList,
    *,
    url: str,
    form: Mapping[str, str],
    opened: str = "",
) -> ViewBar:
    """Return the views of a list; `opened` is the id in the address of the view that was opened."""
    views = await list_views(connection, context, listed, url=url)
    filters = kept_filters(listed, form)
    current = next((view for view in views if str(view.id) == opened), None)
    current = current or next((view for view in views if view.filters == filters), None)
    return ViewBar(listed=listed, url=url, filters=urlencode(filters), views=views, current=current)


async def list_views(
    connection: Connection, context: OrganizationContext, listed: ViewList, *, url: str = ""
) -> list[SavedView]:
    """Return the views of a list that the caller may open: their own first, then those that others share."""
    rows = await queries.saved_views(
        connection,
        organization_id=context.organization_id,
        listed=listed,
        user_id=context.actor.user_id,
        limit=MOST_LISTED,
    )
    return [_view(listed, url, row) for row in rows]


def stored_filters(listed: ViewList, stored: str) -> dict[str, str]:
    """Return the filters that a view has as JSON text, without what the list does not know."""
    # Members may write any object past the studio.
    return kept_filters(
        listed, {name: value for name, value in decode_object(stored).items() if isinstance(value, str)}
    )


def _view(listed: ViewList, url: str, row: queries.SavedViewRow) -> SavedView:
    filters = stored_filters(listed, row.filters)
    return SavedView(
        id=row.id,
        name=row.name,
        url=f"{url}?{urlencode({**filters, VIEW_PARAMETER: str(row.id)})}",
        filters=filters,
        is_shared=row.is_shared,
        is_mine=row.is_mine,
    )


async def save_view(connection: Connection, context: OrganizationContext, listed: ViewList, entered: ViewInput) -> UUID:
    """Save a view; raises InvalidInput, PermissionDenied for a viewer who shares, and ResourceConflict."""
    user_id = _check(context, entered)
    now = context.studio.clock.now()
    view_id = await queries.save_view(
        connection,
        id=new_id(now),
        organization_id=context.organization_id,
        user_id=user_id,
        listed=listed,
        name=entered.name,
        filters=encode_json(entered.filters),
        is_shared=entered.is_shared,
        most=MOST_VIEWS,
        now=now,
    )
    if view_id is None:
        have = await queries.count_views(
            connection, organization_id=context.organization_id, listed=listed, user_id=user_id
        )
        if have >= MOST_VIEWS:
            raise ResourceConflict(f"You have {MOST_VIEWS} views of this list: delete one first")
        raise _name_is_taken(entered.name)
    return view_id


async def change_view(connection: Connection, context: OrganizationContext, view_id: UUID, entered: ViewInput) -> None:
    """Change a view of the caller; raises what `save_view` raises, and ResourceNotFound."""
    user_id = _check(context, entered)
    found = await find_view(connection, context, view_id)
    if found.user_id != user_id:
        raise ResourceConflict("Only the member who saved this view can change it")
    try:
        changed = await queries.change_view(
            connection,
            view_id=view_id,
            organization_id=context.organization_id,
            user_id=user_id,
            name=entered.name,
            filters=encode_json(entered.filters),
            is_shared=entered.is_shared,
            now=context.studio.clock.now(),
        )
    except asyncpg.UniqueViolationError as error:
        # Another request of the member has just given the name.
        raise _name_is_taken(entered.name) from error
    if changed is None:
        raise _name_is_taken(entered.name)


async def find_view(connection: Connection, context: OrganizationContext, view_id: UUID) -> queries.FoundView:
    """Return a view that the caller may see; raises ResourceNotFound."""
    found = await queries.find_view(connection, view_id=view_id, organization_id=context.organization_id)
    if found is None:
        raise ResourceNotFound("This view has been deleted")
    return found


async def delete_view(connection: Connection, context: OrganizationContext, view_id: UUID) -> str:
    """Delete a view and return its name; raises ResourceNotFound, ResourceConflict and InvalidInput."""
    _require_user(context)
    found = await find_view(connection, context, view_id)
    if await queries.delete_view(connection, view_id=view_id, organization_id=context.organization_id) is None:
        raise ResourceConflict("Only the member who saved this view, or an admin, can delete it")
    return found.name


def _check(context: OrganizationContext, entered: ViewInput) -> UUID:
    """Return the id of the caller, who may save the view."""
    if not 0 < len(entered.name) <= LONGEST_VIEW_NAME:
        raise InvalidInput(f"Enter a name with at most {LONGEST_VIEW_NAME} characters")
    if not entered.filters:
        raise InvalidInput("Filter or sort the list first: there is nothing to save yet")
    if entered.is_shared:
        context.require("operator")
    return _require_user(context)


def _require_user(context: OrganizationContext) -> UUID:
    if (user_id := context.actor.user_id) is None:
        raise InvalidInput("Sign in to save, change or delete views: they belong to members")
    return user_id


def _name_is_taken(name: str) -> ResourceConflict:
    return ResourceConflict(f"You have a view of this list with the name {name}")
