"""The page of the search, which Ctrl-K opens as a dialog."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from outdial.studio.search.service import search_studio
from outdial.studio.web.context import CurrentOrganization
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import query_values, search_text
from outdial.studio.web.rendering import page

router = APIRouter()


@router.get("/o/{organization_id}/search")
async def search_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show what matches `q`; static/search.js shows the same results while one types."""
    typed = query_values(request.query_params, ("q",), max_length=200)["q"]
    problem, groups = None, []
    try:
        text = search_text("q", typed) or ""
        async with context.transaction() as connection:
            groups = await search_studio(connection, context, text)
    except InvalidInput as error:
        problem = error.message
    status = 200 if problem is None else 400
    return page(request, "search/show.html", context, status=status, typed=typed, groups=groups, problem=problem)
