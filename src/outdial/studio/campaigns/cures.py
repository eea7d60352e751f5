"""What ends the wait of a campaign: a button or a page for each reason, or in words why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias, assert_never
from uuid import UUID

from outdial.dialer.admission import SkipReason, WaitReason
from outdial.dialer.doctor import LimitReason, PermissionReason, RunReason
from outdial.domain.policies.budget import BudgetLevel, BudgetScope
from outdial.studio.campaigns.actions import CampaignAction
from outdial.studio.campaigns.service import CampaignProgress
from outdial.studio.web.context import MemberRole, OrganizationContext

WaitCode: TypeAlias = WaitReason | SkipReason | RunReason


class CureBase(StrEnum):
    """What the path of a cure begins with."""

    ORGANIZATION = "organization"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurePage:
    """A page that ends a wait: its label, its path below the organization or the campaign, and who may open it."""

    label: str
    path: str
    base: CureBase = CureBase.ORGANIZATION
    role: MemberRole = "viewer"


@dataclass(frozen=True, slots=True, kw_only=True)
class CureAction:
    """A button of the campaign's page that ends a wait: its label and its action, for operators."""

    label: str
    action: CampaignAction


@dataclass(frozen=True, slots=True)
class NoCure:
    """No page ends the wait; `why` is for the reader of this table."""

    why: str


@dataclass(frozen=True, slots=True)
class CureLink:
    """A cure as the page shows it: a link, or with `is_action` a button that sends a form to its URL."""

    label: str
    url: str
    is_action: bool = False


Cure: TypeAlias = CurePage | CureAction | NoCure


def _setting(label: str, field: str) -> CurePage:
    return CurePage(label=label, path=f"edit#field-{field}", base=CureBase.CAMPAIGN, role="operator")


_HOURS: Final = _setting("Change hours", "calling_hours")
_RULES: Final = CurePage(label="View calling rules", path="rules")
_NUMBERS: Final = CurePage(label="View caller numbers", path="numbers")
_SCREENING: Final = CurePage(label="Upload screening lists", path="screening")

_CURES_BY_STATUS: Final[Mapping[WaitReason, CureAction]] = {
    WaitReason.DRAFT: CureAction(label="Start", action="start"),
    WaitReason.SCHEDULED: CureAction(label="Start now", action="start"),
    WaitReason.PAUSED: CureAction(label="Resume", action="resume"),
}


def cure_of(reason: WaitCode, *, campaign_budget: bool = False) -> Cure:
    """Return what ends a wait. `campaign_budget` says that the budget of the campaign is the one used up."""
    match reason:
        case WaitReason():
            return _cure_of_wait(reason, campaign_budget)
        case SkipReason():
            return _cure_of_skip(reason)
        case RunReason.NO_DIALER:
            return NoCure("a dialer is started on a machine, not on a page")
        case RunReason.BACKED_OFF:
            return NoCure("Retell has no capacity; the rate recovers without a change")
        case RunReason.FAILING:
            return NoCure("the cause may be anything; the sentence has it")
        case never:
            assert_never(never)


def _cure_of_wait(reason: WaitReason, campaign_budget: bool) -> Cure:
    match reason:
        case WaitReason.DRAFT | WaitReason.SCHEDULED | WaitReason.PAUSED:
            return _CURES_BY_STATUS[reason]
        case WaitReason.CALLS_UNDER_WAY | WaitReason.LIVE_ELSEWHERE:
            return NoCure("it ends when the calls end")
        case WaitReason.NO_CONTACTS:
            return CurePage(label="Import contacts", path="import", base=CureBase.CAMPAIGN, role="operator")
        case WaitReason.ZONE_OPENS:
            return _HOURS
        case WaitReason.RETRY_DUE:
            return _setting("Change retries", "retry_policy")
        case WaitReason.DAY_PART:
            return _setting("Change parts of the day", "day_parts")
        case WaitReason.STOPPED:
            return CurePage(label="Resume all calls", path="stop")
        case WaitReason.NO_API_KEY:
            return CurePage(label="Connect Retell", path="settings/retell", role="admin")
        case (
            WaitReason.LAW_OPENS
            | WaitReason.NO_RULES
            | WaitReason.KEYS_MISSING
            | WaitReason.RULE_CAP
            | WaitReason.NOT_SCREENED
            | WaitReason.PRE_DIAL_HOOK
        ):
            return _cure_of_permission(reason)
        case _:
            return _cure_of_limit(reason, campaign_budget)


def _cure_of_permission(reason: PermissionReason) -> CurePage | NoCure:
    match reason:
        case WaitReason.LAW_OPENS | WaitReason.NO_RULES | WaitReason.RULE_CAP:
            return _RULES
        case WaitReason.KEYS_MISSING:
            return NoCure("a dialer computes the keys in the background")
        case WaitReason.NOT_SCREENED:
            return _SCREENING
        case WaitReason.PRE_DIAL_HOOK:
            return CurePage(label="Check the pre-dial hook", path="settings/pre-dial-hook")
        case never:
            assert_never(never)


def _cure_of_limit(reason: LimitReason | Literal[WaitReason.DAILY_CAP], campaign_budget: bool) -> CurePage:
    match reason:
        case WaitReason.CAMPAIGN_FULL:
            return _setting("Raise the limit", "max_concurrency")
        case WaitReason.SHARE_TAKEN:
            return _setting("Change the share", "share")
        case WaitReason.DAILY_CAP | WaitReason.ACCOUNT_FULL | WaitReason.PACING:
            return CurePage(label="Change limits", path="settings")
        case WaitReason.NUMBERS:
            return _NUMBERS
        case WaitReason.BUDGET if campaign_budget:
            return _setting("Add budget", "budget")
        case WaitReason.BUDGET:
            return CurePage(label="Add budget", path="settings/budgets")
        case never:
            assert_never(never)


def _cure_of_skip(reason: SkipReason) -> CurePage | NoCure:
    match reason:
        case SkipReason.CANCELLED | SkipReason.FINISHED:
            # Nothing ends this wait: the report is what a member wants then.
            return CurePage(label="Open report", path="report", base=CureBase.CAMPAIGN)
        case SkipReason.NOTHING_TO_DO:
            return NoCure("the campaign is about to complete")
        case SkipReason.NEVER_OPENS:
            return _HOURS
        case SkipReason.LAW_NEVER_OPENS | SkipReason.PROHIBITED:
            return _RULES
        case SkipReason.DO_NOT_CALL:
            return CurePage(label="View do-not-call list", path="do-not-call")
        case SkipReason.LISTED:
            return _SCREENING
        case SkipReason.CALLER_BLOCKED:
            return _NUMBERS
        case SkipReason.ATTEMPTS_USED:
            return _setting("Allow more attempts", "max_attempts")
        case SkipReason.NO_CONSENT:
            return NoCure("consent is given by contacts, and the import has it")
        case never:
            assert_never(never)


def code_of(text: str) -> WaitCode:
    """Return the reason with a code of the API; the codes of the three kinds differ."""
    kinds: tuple[type[WaitReason], type[SkipReason], type[RunReason]] = (WaitReason, SkipReason, RunReason)
    return next(kind(text) for kind in kinds if text in list(kind))


def cure_link(progress: CampaignProgress, context: OrganizationContext, campaign_id: UUID) -> CureLink | None:
    """Return what ends the wait of a campaign, if it is something that the member may do."""
    if progress.waiting is None:
        return None
    used_up = {each.budget for each in progress.budgets if each.level == BudgetLevel.USED_UP}
    code = code_of(progress.waiting.code)
    organization = f"/o/{context.organization_id}"
    campaign = f"{organization}/campaigns/{campaign_id}"
    match cure_of(code, campaign_budget=BudgetScope.CAMPAIGN in used_up):
        case NoCure():
            return None
        case CureAction() if code is WaitReason.DRAFT and not progress.total:
            # A draft without contacts cannot start.
            return CureLink("Import contacts", f"{campaign}/import") if context.may("operator") else None
        case CureAction(label=label, action=action):
            return CureLink(label, f"{campaign}/{action}", is_action=True) if context.may("operator") else None
        case CurePage(role=role) if not context.may(role):
            return None
        case CurePage(label=label, path=path, base=CureBase.ORGANIZATION):
            return CureLink(label, f"{organization}/{path}")
        case CurePage(label=label, path=path):
            return CureLink(label, f"{campaign}/{path}")
        case never:
            assert_never(never)
