"""The button that undoes an act, in the message about it."""

from uuid import UUID

from fastapi import APIRouter, Response

from outdial.studio.undo import service as undoing
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import ResourceConflict
from outdial.studio.web.forms import Form, back_of, redirect

router = APIRouter(prefix="/o/{organization_id}/acts/{act_id}")


@router.post("/undo")
async def undo(context: CurrentOrganization, act_id: UUID, form: Form) -> Response:
    """Undo an act, and return to the page with the button, which says what is as before, or why nothing is."""
    context.require("operator")
    back = back_of(form, f"/o/{context.organization_id}/campaigns")
    try:
        async with context.transaction() as connection:
            undone = await undoing.undo(connection, context, act_id)
    except ResourceConflict as error:
        return redirect(back, f"{error.message}.", "warn")
    if undone.bulk_job_id is not None:
        job = f"/o/{context.organization_id}/campaigns/{undone.campaign_id}/bulk-jobs/{undone.bulk_job_id}"
        return redirect(job, undoing.in_one_line(undone))
    return redirect(back, undoing.in_one_line(undone))
