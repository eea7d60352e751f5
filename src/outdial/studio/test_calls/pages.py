"""The form of test calls, on the page of the launch check and on that of a draft."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from outdial.studio.launch_checks.pages import show_launch_check, shown_on
from outdial.studio.test_calls import service as test_calls
from outdial.studio.test_calls.service import NewTestCall
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput, ResourceConflict, TooManyRequests
from outdial.studio.web.forms import Form, redirect, text

router = APIRouter(prefix="/o/{organization_id}/campaigns/{campaign_id}/test-calls")


@router.post("")
async def request_test_call_page(
    request: Request, context: CurrentOrganization, campaign_id: UUID, form: Form
) -> Response:
    """Request a test call; show the page of the launch check with what is wrong."""
    context.require("operator")
    given = {name: text(form, name) for name in ("to", "row", "is_own_phone")}
    try:
        new = NewTestCall(
            to=given["to"],
            row=int(given["row"]) if given["row"] else None,
            is_own_phone=given["is_own_phone"] == "true",
        )
        async with context.transaction() as connection:
            requested = await test_calls.create_test_call(connection, context, campaign_id, new)
    except (ValidationError, ValueError):
        errors = {"row": "must be a row of the contacts, from 1, or empty"}
        return await show_launch_check(request, context, campaign_id, given, errors, status=400)
    except InvalidInput as error:
        return await show_launch_check(request, context, campaign_id, given, error.fields, status=400)
    except (ResourceConflict, TooManyRequests) as error:
        return await show_launch_check(
            request, context, campaign_id, given, {"to": error.message}, status=error.status, headers=error.headers
        )
    url = shown_on(form, f"/o/{context.organization_id}/campaigns/{campaign_id}/launch-check")
    return redirect(url, f"Calling {requested.phone}.", "info")
