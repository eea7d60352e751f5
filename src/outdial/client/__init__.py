"""Starts, pauses, resumes and cancels campaigns from a program of your own, by way of campaign-trigger.

`CampaignTriggers` waits for each answer, `AsyncCampaignTriggers` awaits it; they take the same arguments, return the
same values and raise the same errors.
"""

from outdial.client.asynchronous import AsyncCampaignTriggers
from outdial.client.errors import (
    CampaignTriggerError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    Refused,
    TimedOut,
    TokenUnavailable,
    Unavailable,
    UnreadableAnswer,
)
from outdial.client.results import CampaignResult, Progress, ScheduleResult
from outdial.client.synchronous import CampaignTriggers

__all__ = [
    "AsyncCampaignTriggers",
    "CampaignResult",
    "CampaignTriggerError",
    "CampaignTriggers",
    "Conflict",
    "ConnectionFailed",
    "Forbidden",
    "InvalidRequest",
    "NotAuthenticated",
    "NotFound",
    "Progress",
    "Refused",
    "ScheduleResult",
    "TimedOut",
    "TokenUnavailable",
    "Unavailable",
    "UnreadableAnswer",
]
