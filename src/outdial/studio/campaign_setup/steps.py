"""The steps of the setup: which settings each of them asks for, and which of them are done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from outdial.domain.limits import BATCH_SIZE, MAX_ATTEMPTS, MAX_CONCURRENCY, PRIORITY, SHARE
from outdial.studio.campaigns.form import CampaignForm
from outdial.studio.campaigns.retry_form import PRESETS
from outdial.studio.campaigns.service import Campaign
from outdial.studio.view.format import money, number
from outdial.studio.web.preconditions import etag_of


class SetupStep(StrEnum):
    """A step of the setup, as its URL names it."""

    WHO = "who"
    CONTACTS = "contacts"
    WHEN = "when"
    RETRIES = "retries"
    PACE = "pace"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepContent:
    """What a step asks for: the attributes and limits of the form, and the settings that they become."""

    label: str
    attributes: Sequence[str] = ()
    limits: Sequence[str] = ()
    settings: Sequence[str] = ()


CONTENTS: Final[Mapping[SetupStep, StepContent]] = {
    SetupStep.WHO: StepContent(
        label="Who calls",
        attributes=(
            "name",
            "retell_agent_id",
            "from_number",
            "more_numbers",
            "provider_account_id",
            "variables",
        ),
        settings=("name", "retell_agent_id", "from_number", "more_numbers", "dynamic_variables"),
    ),
    SetupStep.CONTACTS: StepContent(
        label="Contacts",
        attributes=("keep_open", "reentry_after"),
        settings=("keep_open", "reentry_after"),
    ),
    SetupStep.WHEN: StepContent(
        label="When",
        attributes=(
            "purpose",
            "consent_required",
            "lists_required",
            "hours",
            "excluded_dates",
            "day_parts",
            "is_scheduled",
            "scheduled_local",
            "zone",
        ),
        settings=("purpose", "consent_required", "lists_required", "calling_hours", "day_parts", "scheduled_at"),
    ),
    SetupStep.RETRIES: StepContent(
        label="Retries",
        attributes=("rules", "voicemail", "callbacks"),
        limits=(MAX_ATTEMPTS.name,),
        settings=("retry_policy", MAX_ATTEMPTS.name, "voicemail_policy", "callback_policy"),
    ),
    SetupStep.PACE: StepContent(
        label="Pace and budget",
        attributes=("budget",),
        limits=(MAX_CONCURRENCY.name, BATCH_SIZE.name, PRIORITY.name, SHARE.name),
        settings=("budget_cents", MAX_CONCURRENCY.name, BATCH_SIZE.name, PRIORITY.name, SHARE.name),
    ),
    SetupStep.REVIEW: StepContent(label="Review"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """A step in the list of steps: whether it is done, and its summary."""

    step: SetupStep
    label: str
    is_done: bool
    summary: str


def merged_form(stored: CampaignForm, typed: CampaignForm, step: SetupStep) -> CampaignForm:
    """Return the stored form with what a step asks for as typed."""
    content = CONTENTS[step]
    limits = {**stored.limits, **{name: typed.limits.get(name, "") for name in content.limits}}
    return replace(stored, limits=limits, **{name: getattr(typed, name) for name in content.attributes})


def step_etag(campaign: Campaign, step: SetupStep) -> str:
    """Return the ETag of the settings of a step: steps do not overtake each other."""
    return etag_of(*(getattr(campaign, name) for name in CONTENTS[step].settings))


def neighbor(step: SetupStep, by: int) -> SetupStep:
    """Return the next step or the one before; the first and the last have none, and are returned."""
    steps = list(SetupStep)
    return steps[max(0, min(len(steps) - 1, steps.index(step) + by))]


def step_marks(
    campaign: Campaign | None, form: CampaignForm, agents: Mapping[str, str], contacts: int
) -> list[StepMark]:
    """Return the list of steps; without a campaign, nothing is done."""
    summaries = _summaries(campaign, form, agents, contacts) if campaign is not None else {}
    return [
        StepMark(
            step=step,
            label=content.label,
            is_done=step in summaries and (step != SetupStep.CONTACTS or bool(contacts) or form.keep_open),
            summary=summaries.get(step, ""),
        )
        for step, content in CONTENTS.items()
    ]


def _summaries(
    campaign: Campaign, form: CampaignForm, agents: Mapping[str, str], contacts: int
) -> dict[SetupStep, str]:
    days = sum(bool(windows) for windows in form.hours.values())
    retries = next((preset.label for preset in PRESETS if preset.key == form.preset), "Custom")
    return {
        SetupStep.WHO: agents.get(campaign.retell_agent_id) or campaign.retell_agent_id,
        SetupStep.CONTACTS: f"{number(contacts)} {'contact' if contacts == 1 else 'contacts'}"
        if contacts
        else "None yet",
        SetupStep.WHEN: "Every day" if days == 7 else f"{days} {'day' if days == 1 else 'days'} a week",
        SetupStep.RETRIES: f"{retries}, {campaign.max_attempts} attempts",
        SetupStep.PACE: "No budget" if campaign.budget_cents is None else f"{money(campaign.budget_cents)} budget",
    }
