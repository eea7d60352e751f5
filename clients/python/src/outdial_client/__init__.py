"""A client for `campaign-trigger`, the function of Outdial that runs campaigns.

`CampaignTriggers` is synchronous, `AsyncCampaignTriggers` is for asyncio. Both have the same methods, return the same
results and raise the same errors.
"""

from outdial_client.asynchronous import AsyncCampaignTriggers
from outdial_client.errors import (
    CampaignTriggerError,
    ConflictError,
    ConnectionFailedError,
    ForbiddenError,
    InvalidRequestError,
    InvalidResponseError,
    NotAuthenticatedError,
    NotFoundError,
    RequestTimeoutError,
    ResponseError,
    TokenUnavailableError,
    UnavailableError,
)
from outdial_client.results import CampaignResult, ContactAddition, ContactsResult, ProgressCounts, ScheduleResult
from outdial_client.synchronous import CampaignTriggers

__all__ = [
    "AsyncCampaignTriggers",
    "CampaignResult",
    "CampaignTriggerError",
    "CampaignTriggers",
    "ConflictError",
    "ConnectionFailedError",
    "ContactAddition",
    "ContactsResult",
    "ForbiddenError",
    "InvalidRequestError",
    "InvalidResponseError",
    "NotAuthenticatedError",
    "NotFoundError",
    "ProgressCounts",
    "RequestTimeoutError",
    "ResponseError",
    "ScheduleResult",
    "TokenUnavailableError",
    "UnavailableError",
]
