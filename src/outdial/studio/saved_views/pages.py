"""The forms of saved views: each returns to the list that it was sent from."""

from uuid import UUID

from fastapi import APIRouter, Response
from starlette.datastructures import FormData

from outdial.domain.limits import LONGEST_VIEW_NAME
from outdial.studio.saved_views import service as saved_views
from outdial.studio.saved_views.service import VIEW_PARAMETER, ViewInput, ViewList, filters_of_address
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict
from outdial.studio.web.forms import Form, back_of, redirect, short_text, text

router = APIRouter(prefix="/o/{organization_id}/views")


@router.post("")
async def save(context: CurrentOrganization, form: Form) -> Response:
    """Save the filters of a list, and open the list with them."""
    listed = _list_of(form)
    entered = _entered(form, listed)
    try:
        async with context.transaction() as connection:
            view_id = await saved_views.save_view(connection, context, listed, entered)
    except (InvalidInput, ResourceConflict) as error:
        return redirect(_back(context, form), f"{error.message}.", "warn")
    return redirect(_back(context, form, view_id), f"View {entered.name} saved.")


@router.post("/{view_id}")
async def change(context: CurrentOrganization, view_id: UUID, form: Form) -> Response:
    """Rename a view, share it or not, and give it the filters that are set."""
    entered = _entered(form, _list_of(form))
    try:
        async with context.transaction() as connection:
            await saved_views.change_view(connection, context, view_id, entered)
    except (InvalidInput, ResourceConflict) as error:
        return redirect(_back(context, form), f"{error.message}.", "warn")
    return redirect(_back(context, form, view_id), f"View {entered.name} saved.")


@router.post("/{view_id}/delete")
async def delete(context: CurrentOrganization, view_id: UUID, form: Form) -> Response:
    """Delete a view."""
    try:
        async with context.transaction() as connection:
            name = await saved_views.delete_view(connection, context, view_id)
    except ResourceConflict as error:
        return redirect(_back(context, form), f"{error.message}.", "warn")
    return redirect(_back(context, form), f"View {name} deleted.", "info")


def _list_of(form: FormData) -> ViewList:
    try:
        return ViewList(text(form, "list"))
    except ValueError:
        raise InvalidInput("Unknown list: save the view from its list") from None


def _entered(form: FormData, listed: ViewList) -> ViewInput:
    return ViewInput(
        # One character more than allowed, so that a longer name is refused and not cut.
        name=short_text(form, "name", LONGEST_VIEW_NAME + 1),
        filters=filters_of_address(listed, text(form, "filters")),
        is_shared=text(form, "is_shared") == "true",
    )


def _back(context: OrganizationContext, form: FormData, view_id: UUID | None = None) -> str:
    """Return the address of the list with the filters of the form."""
    url = back_of(form, f"/o/{context.organization_id}/calls").partition("?")[0]
    query = "&".join(part for part in (text(form, "filters"), view_id and f"{VIEW_PARAMETER}={view_id}") if part)
    return f"{url}?{query}" if query else url
