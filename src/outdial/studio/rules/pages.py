"""Pages for calling rules."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import HTMLResponse

from outdial.campaigns.calling_rules import LONGEST_REASON
from outdial.domain.explaining.rule_wording import (
    CONFIDENCES,
    NOT_LEGAL_ADVICE,
    cap_text,
    default_hours_text,
    force_text,
    hours_text,
    purposes_text,
    rule_text,
    stale_text,
)
from outdial.domain.purpose import Purpose
from outdial.domain.rule_parsing import parse_rule
from outdial.domain.rules import CallingRule
from outdial.rules.pack import shipped_rules
from outdial.studio.rules import service as rules
from outdial.studio.rules.form import (
    DAYS,
    PERIODS,
    RuleForm,
    empty_rule_form,
    rule_form_from_request,
    rule_from_form,
)
from outdial.studio.rules.service import RuleDetails, RuleFilters, RuleState
from outdial.studio.view.format import minute_text, sentence_case
from outdial.studio.view.purposes import CONSENTS, PURPOSES
from outdial.studio.web.context import CurrentOrganization, OrganizationContext
from outdial.studio.web.errors import InvalidInput, ResourceConflict, StudioError
from outdial.studio.web.filters import query_values
from outdial.studio.web.forms import Form, redirect, text
from outdial.studio.web.paging import Page, PageRequest, page_links
from outdial.studio.web.rendering import environment, page

router = APIRouter(prefix="/o/{organization_id}/rules")

LIMIT: Final = 25
_STATES: Final[Mapping[RuleState, str]] = {"on": "On", "off": "Switched off", "own": "Your own"}
_PURPOSES: Final = [("", "Any"), *PURPOSES.items()]
RuleId = Annotated[str, Path(max_length=100)]


def parsed(details: RuleDetails) -> CallingRule:
    """Return the rule behind its JSON."""
    return parse_rule(details.rule)


environment.filters |= {
    "parsed_rule": parsed,
    "rule_asks": lambda rule: rule_text(rule, minute_text),
    "rule_hours": lambda rule: hours_text(rule, minute_text),
    "rule_cap": cap_text,
    "rule_force": force_text,
    "rule_purposes": purposes_text,
    "stale_text": stale_text,
}
environment.globals |= {
    "confidences": CONFIDENCES,
    "not_legal_advice": NOT_LEGAL_ADVICE,
    "default_hours": f"{sentence_case(default_hours_text(shipped_rules(), minute_text))}.",
}


@router.get("")
async def list_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the rules with filters, and the contacts in places without one."""
    query, url = request.query_params, request.url.path
    form = query_values(query, ("jurisdiction", "purpose", "state"), max_length=20)
    page_request = PageRequest(query.get("cursor") or None, LIMIT)
    found, problem = Page[RuleDetails](items=[]), None
    async with context.transaction() as connection:
        overview = await rules.overview(connection, context)
        try:
            filters = RuleFilters(
                jurisdiction=form["jurisdiction"] or None,
                purpose=Purpose(form["purpose"]) if form["purpose"] else None,
                state=next((state for state in _STATES if state == form["state"]), None),
            )
            found = await rules.list_rules(connection, context, page_request, filters)
        except ValueError:
            problem = "Unknown purpose: choose one from the list"
        except InvalidInput as error:
            problem = error.summary
    return page(
        request,
        "rules/list.html",
        context,
        status=400 if problem else 200,
        url=url,
        form=form,
        problem=problem,
        is_narrowed=any(form.values()),
        overview=overview,
        rules=found.items,
        states=[("", "Any"), *_STATES.items()],
        purpose_options=_PURPOSES,
        **page_links(url, form, page_request, found.next),
    )


@router.get("/new")
async def new_page(request: Request, context: CurrentOrganization) -> HTMLResponse:
    """Show the form of a new rule."""
    context.require("admin")
    jurisdiction = query_values(request.query_params, ("jurisdiction",), max_length=6)["jurisdiction"].upper()
    return _form_page(request, context, empty_rule_form(jurisdiction, context.studio.clock.now().date()))


@router.post("")
async def add(request: Request, context: CurrentOrganization, form: Form) -> Response:
    """Add a rule of the organization."""
    context.require("admin")
    typed = rule_form_from_request(form)
    try:
        document = rule_from_form(typed)
        async with context.transaction() as connection:
            added = await rules.add_rule(connection, context, document)
    except (InvalidInput, ResourceConflict) as error:
        return _form_page(request, context, typed, error=error)
    return redirect(f"/o/{context.organization_id}/rules/{added.id}", f"Rule {added.id} added.")


@router.get("/{rule_id}")
async def show_page(request: Request, context: CurrentOrganization, rule_id: RuleId) -> HTMLResponse:
    """Show a rule, or the check of a country without one."""
    return await _show(request, context, rule_id)


@router.post("/{rule_id}/switch")
async def switch(request: Request, context: CurrentOrganization, rule_id: RuleId, form: Form) -> Response:
    """Switch a rule off or on, with a reason."""
    context.require("admin")
    is_off = text(form, "is_off") == "true"
    try:
        async with context.transaction() as connection:
            changed = await rules.switch_rule(connection, context, rule_id, is_off=is_off, reason=text(form, "reason"))
    except InvalidInput as error:
        return await _show(request, context, rule_id, error=error)
    state = "off" if is_off else "on"
    message = f"{rule_id} is switched {state}." if changed else f"{rule_id} is already {state}."
    return redirect(f"/o/{context.organization_id}/rules/{rule_id}", message, "good" if changed else "info")


async def _show(
    request: Request, context: OrganizationContext, rule_id: str, *, error: InvalidInput | None = None
) -> HTMLResponse:
    async with context.transaction() as connection:
        check = await rules.find_check(connection, context, rule_id)
        values: dict[str, Any] = {"check": check, "rule": None, "is_off": check is not None and check.place.is_off}
        if check is None:
            values["rule"] = await rules.find_rule(connection, context, rule_id)
            values["is_off"] = values["rule"].is_off
        history = await rules.rule_history(connection, context, rule_id)
    return page(
        request,
        "rules/show.html",
        context,
        status=200 if error is None else error.status,
        rule_id=rule_id,
        history=history,
        errors={} if error is None else error.fields,
        longest_reason=LONGEST_REASON,
        **values,
    )


def _form_page(
    request: Request, context: OrganizationContext, form: RuleForm, *, error: StudioError | None = None
) -> HTMLResponse:
    return page(
        request,
        "rules/form.html",
        context,
        status=200 if error is None else error.status,
        form=form,
        problem=None if error is None else error.message,
        errors=error.fields if isinstance(error, InvalidInput) else {},
        days=DAYS,
        periods=PERIODS,
        purposes=PURPOSES,
        consents=CONSENTS,
    )
