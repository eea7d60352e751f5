"""The launch check: key, agent, caller numbers, webhooks and voicemail of a campaign, and what its contacts lack."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec

from outdial.db.queries.dialing import launch_checks
from outdial.db.session import Connection
from outdial.domain.errors import DomainError
from outdial.domain.geography.countries import country_name
from outdial.domain.place import UNKNOWN_COUNTRY
from outdial.domain.policies.voicemail import (
    VoicemailPolicy,
    message_variables,
    parse_voicemail_policy,
    unreachable_attempt,
)
from outdial.domain.retry import parse_retry_policy
from outdial.provider import (
    AgentFound,
    AssetMissing,
    KeyAccepted,
    KeyRefused,
    ProviderUnavailable,
    WorkspaceDirectory,
    WorkspaceNumber,
)

FILLED_BY_OUTDIAL: Final = frozenset({"current_date", "current_day", "is_callback", "last_call_summary"})


class FindingLevel(StrEnum):
    """How much a finding matters: with a problem, calls fail or sound wrong."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class CheckedPart(StrEnum):
    """What a finding is about; the value is the code in the API."""

    KEY = "key"
    AGENT = "agent"
    NUMBER = "number"
    WEBHOOKS = "webhooks"
    VARIABLES = "variables"
    VOICEMAIL = "voicemail"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFinding:
    """One line of a launch check: a sentence without a period."""

    code: CheckedPart
    level: FindingLevel
    text: str


async def check_launch(
    transaction: Callable[[], AbstractAsyncContextManager[Connection]], directory: WorkspaceDirectory, campaign_id: UUID
) -> list[CheckFinding] | None:
    """Check a campaign; no transaction is open while the provider is asked. None if the campaign does not exist."""
    async with transaction() as connection:
        subject = await launch_checks.check_subject(connection, campaign_id=campaign_id)
        rows = await launch_checks.pending_jurisdictions(connection, campaign_id=campaign_id)
    if subject is None:
        return None
    key = _key_finding(await directory.check_key(subject.credential))
    findings = [key]
    if key.level is FindingLevel.PROBLEM:
        return [*findings, _webhook_finding(subject)]
    agent = await directory.find_agent(subject.credential, subject.retell_agent_id)
    findings.append(_agent_finding(subject.retell_agent_id, agent))
    countries = _countries(rows)
    for phone in (subject.from_number, *subject.more_numbers):
        findings.append(_number_finding(phone, await directory.find_number(subject.credential, phone), countries))
    findings.append(_webhook_finding(subject))
    async with transaction() as connection:
        if isinstance(agent, AgentFound):
            prompt = agent.variables or frozenset()
            findings += await _variable_findings(connection, subject, CheckedPart.VARIABLES, prompt)
        try:
            policy = parse_voicemail_policy(msgspec.json.decode(subject.voicemail_policy))
            unreachable = _attempt_finding(subject, policy)
        except DomainError as invalid:  # settings stored past the studio
            text = f"The voicemail or retry settings are invalid ({invalid}): save the settings of the campaign again"
            return [*findings, CheckFinding(code=CheckedPart.VOICEMAIL, level=FindingLevel.PROBLEM, text=text)]
        message = frozenset(name for name in message_variables(policy) if not directory.fills_variable(name))
        findings += await _variable_findings(connection, subject, CheckedPart.VOICEMAIL, message)
    return findings + unreachable


def _key_finding(key: KeyAccepted | KeyRefused | ProviderUnavailable) -> CheckFinding:
    match key:
        case KeyAccepted(workspace):
            level, text = FindingLevel.OK, f"The API key is valid, for the workspace {workspace or 'without a name'}"
        case KeyRefused(reason):
            level, text = (
                FindingLevel.PROBLEM,
                f"Retell rejects the API key ({reason}): enter a valid key in the settings",
            )
        case ProviderUnavailable(reason=reason):
            level, text = FindingLevel.WARNING, f"Retell could not be asked about the API key ({reason}): check again"
        case never:
            assert_never(never)
    return CheckFinding(code=CheckedPart.KEY, level=level, text=text)


def _agent_finding(agent_id: str, agent: AgentFound | AssetMissing | ProviderUnavailable) -> CheckFinding:
    match agent:
        case AgentFound(name, None):
            level, text = FindingLevel.WARNING, f"The agent {name} exists, but its prompt cannot be read"
        case AgentFound(name, _):
            level, text = FindingLevel.OK, f"The agent {name} exists"
        case AssetMissing():
            level, text = FindingLevel.PROBLEM, f"The workspace has no agent {agent_id}: choose another one"
        case ProviderUnavailable(reason=reason):
            level, text = FindingLevel.WARNING, f"Retell could not be asked about the agent ({reason}): check again"
        case never:
            assert_never(never)
    return CheckFinding(code=CheckedPart.AGENT, level=level, text=text)


def _number_finding(
    phone: str, number: WorkspaceNumber | AssetMissing | ProviderUnavailable, countries: Counter[str]
) -> CheckFinding:
    match number:
        case WorkspaceNumber(countries=None):
            level, text = FindingLevel.OK, f"The number {phone} belongs to the workspace"
        case WorkspaceNumber(countries=allowed):
            unreached = {country: count for country, count in countries.items() if country not in (allowed or ())}
            if unreached:
                names = ", ".join(
                    f"{country_name(country)} ({count:,})" for country, count in sorted(unreached.items())
                )
                level = FindingLevel.PROBLEM
                text = f"The number {phone} cannot call contacts in {names}: allow the country at Retell"
            else:
                level, text = FindingLevel.OK, f"The number {phone} belongs to the workspace and can call all contacts"
        case AssetMissing():
            level = FindingLevel.PROBLEM
            text = f"The workspace has no number {phone}: import it at Retell, or choose another one"
        case ProviderUnavailable(reason=reason):
            level, text = FindingLevel.WARNING, f"Retell could not be asked about {phone} ({reason}): check again"
        case never:
            assert_never(never)
    return CheckFinding(code=CheckedPart.NUMBER, level=level, text=text)


def _webhook_finding(subject: launch_checks.CheckSubject) -> CheckFinding:
    if subject.last_event_at is None:
        level = FindingLevel.WARNING
        text = "No webhook has arrived for this account yet: set the webhook URL at Retell, then place a test call"
    else:
        level, text = FindingLevel.OK, f"Webhooks arrive; the last one on {subject.last_event_at:%Y-%m-%d at %H:%M UTC}"
    return CheckFinding(code=CheckedPart.WEBHOOKS, level=level, text=text)


def _countries(rows: Sequence[launch_checks.PendingJurisdiction]) -> Counter[str]:
    """Count contacts by the countries that they may be in; contacts whose country is unknown count nowhere."""
    countries: Counter[str] = Counter()
    for row in rows:
        for country in {name.partition("-")[0] for name in row.jurisdiction_key.split("|")} - {"", UNKNOWN_COUNTRY}:
            countries[country] += row.contacts
    return countries


async def _variable_findings(
    connection: Connection, subject: launch_checks.CheckSubject, part: CheckedPart, used: frozenset[str]
) -> list[CheckFinding]:
    """Name the variables of the prompt or the voicemail message that contacts lack, and how many contacts that are."""
    given: dict[str, Any] = msgspec.json.decode(subject.dynamic_variables)
    names = sorted(used - given.keys() - FILLED_BY_OUTDIAL)
    if not names:
        return []
    where = "voicemail message" if part is CheckedPart.VOICEMAIL else "prompt"
    rows = await launch_checks.count_empty_variables(connection, campaign_id=subject.id, names=names)
    lacking = [row for row in rows if row.without]
    if not lacking:
        text = f"Every contact has the variables of the {where}: {', '.join(names)}"
        return [CheckFinding(code=part, level=FindingLevel.OK, text=text)]
    return [
        CheckFinding(
            code=part,
            # The message has nothing in place of such a variable. The agent reads the braces of its prompt aloud.
            level=FindingLevel.WARNING
            if part is CheckedPart.VOICEMAIL and row.without < row.contacts
            else FindingLevel.PROBLEM,
            text=f"The {where} uses {{{{{row.name}}}}}, which " + _lack(row),
        )
        for row in lacking
    ]


def _attempt_finding(subject: launch_checks.CheckSubject, policy: VoicemailPolicy) -> list[CheckFinding]:
    """Report a message that no attempt leaves: campaigns may be older than the check of their settings."""
    retry = parse_retry_policy(msgspec.json.decode(subject.retry_policy))
    reason = unreachable_attempt(policy, retry, subject.max_attempts)
    if reason is None:
        return []
    text = f"The voicemail message is never left: {reason}. Choose a lower number, or the last attempt"
    return [CheckFinding(code=CheckedPart.VOICEMAIL, level=FindingLevel.PROBLEM, text=text)]


def _lack(row: launch_checks.EmptyVariable) -> str:
    if row.without < row.contacts:
        return f"is empty for {row.without:,} of {row.contacts:,} contacts"
    if row.name == "phone":
        return "calls do not send: use {{user_number}}, which Retell fills in with the contact's number"
    return f"no contact has: import a column {row.name}, or give the campaign a variable of this name"
