"""What the parts of the campaign form show: the options of its selects, and the hours that calling rules allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID

from outdial.db.queries import accounts as account_queries
from outdial.db.queries import campaigns as campaign_queries
from outdial.db.queries.dialing import agents as agent_queries
from outdial.db.session import Connection
from outdial.domain.calling_hours import WEEKDAYS
from outdial.domain.policies.day_parts import DayPart
from outdial.domain.policies.voicemail import LONGEST_MESSAGE
from outdial.domain.purpose import Purpose
from outdial.studio.campaigns.callback_form import CHOICES
from outdial.studio.campaigns.effective_hours import FormHours, HoursQuestion, hours_of_form
from outdial.studio.campaigns.form import CampaignForm, parse_hours
from outdial.studio.campaigns.retry_form import PRESETS, attempt_options, delay_options
from outdial.studio.campaigns.service import Campaign
from outdial.studio.campaigns.voicemail_form import ACTIONS, THEN
from outdial.studio.web.context import OrganizationContext
from outdial.studio.web.errors import InvalidInput, StudioError

_OFFERED_AGENTS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class FormChoices:
    """The options of the form. `agents` and `numbers` have names by id and phone; names may be empty.

    The default `agent` and `caller` are those of the newest campaign. Until a dialer has read the agents or the numbers
    of the workspaces, any may be typed: `has_agents` and `has_numbers` are false.
    So it is where there are more agents than a page can hold: `has_all_agents` is false.
    """

    accounts: Sequence[tuple[str, str]]
    numbers: Mapping[str, str]
    agents: Mapping[str, str]
    agent: str
    caller: str
    has_agents: bool
    has_all_agents: bool
    has_numbers: bool


async def form_choices(connection: Connection, organization_id: UUID) -> FormChoices:
    """Return the options of the form for an organization."""
    accounts = await account_queries.list_accounts(connection, organization_id=organization_id)
    callers = await account_queries.list_caller_numbers(connection, organization_id=organization_id)
    recent = await campaign_queries.recent_callers(connection, organization_id=organization_id)
    numbers = {caller.phone: caller.nickname or "" for caller in callers}
    numbers |= {row.from_number: "" for row in recent if row.from_number not in numbers}
    listed = await agent_queries.list_agents(connection, organization_id=organization_id)
    agents = {agent.agent_id: agent.name for agent in listed if not agent.is_suspended}
    used = [row.retell_agent_id for row in recent] + [caller.retell_agent_id for caller in callers]
    known_agents = [agent for agent in dict.fromkeys(filter(None, used)) if agent in agents or not listed]
    agents |= {agent: "" for agent in known_agents if agent not in agents}
    return FormChoices(
        accounts=[("", "Select one"), *((str(account.id), account.name) for account in accounts)],
        numbers=numbers,
        agents=dict([*agents.items()][:_OFFERED_AGENTS]),
        agent=known_agents[0] if known_agents else next(iter(agents), ""),
        caller=recent[0].from_number if recent else next(iter(numbers), ""),
        has_agents=bool(listed),
        has_all_agents=len(agents) <= _OFFERED_AGENTS,
        has_numbers=bool(callers),
    )


async def effective_of_form(
    connection: Connection, context: OrganizationContext, form: CampaignForm, campaign_id: UUID | None = None
) -> FormHours | None:
    """Return the hours in a form that the rules allow; None if the hours or the purpose cannot be read."""
    fields: dict[str, str] = {}
    hours = parse_hours(fields, form)
    if fields or form.purpose not in list(Purpose):
        return None
    question = HoursQuestion(calling_hours=hours, purpose=Purpose(form.purpose), campaign_id=campaign_id)
    try:
        return await hours_of_form(connection, context, question)
    except InvalidInput:
        return None


def is_date(text: str) -> bool:
    """Return whether a date input shows the text; it drops any other."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def form_values(
    form: CampaignForm,
    choices: FormChoices,
    *,
    effective: FormHours | None,
    campaign: Campaign | None,
    error: StudioError | None,
) -> dict[str, Any]:
    """Return what the templates of the form's parts need."""
    return {
        "form": form,
        "choices": choices,
        "effective": effective,
        "campaign": campaign,
        "error": error,
        "errors": error.fields if isinstance(error, InvalidInput) else {},
        "weekdays": WEEKDAYS,
        "delay_options": delay_options,
        "attempt_options": attempt_options,
        "presets": PRESETS,
        "day_parts": tuple(DayPart),
        "callback_choices": CHOICES,
        "voicemail_actions": ACTIONS,
        "voicemail_then": THEN,
        "longest_message": LONGEST_MESSAGE,
    }
