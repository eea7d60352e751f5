"""Errors of the client. It does not retry requests; repeating one is safe."""

from collections.abc import Mapping
from typing import Any


class CampaignTriggerError(Exception):
    """The request failed, or its outcome is unknown.

    `status` is the HTTP status, None without a response. `code` is for programs, `message` for people. `details` are
    the other fields of the response, and `retry_after` in seconds if the server sent one.
    """

    def __init__(
        self, message: str, *, code: str, status: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.details: Mapping[str, Any] = dict(details or {})


class ResponseError(CampaignTriggerError):
    """The server responded with an error."""


class InvalidRequestError(ResponseError):
    """400: an argument is missing or wrong."""


class NotAuthenticatedError(ResponseError):
    """401: the token or key is missing or invalid."""


class ForbiddenError(ResponseError):
    """403: viewers can see campaigns but not run them."""


class NotFoundError(ResponseError):
    """404: the campaign or organization does not exist or is not the caller's, or the function is not deployed."""


class ConflictError(ResponseError):
    """409: the campaign's status does not allow the action."""

    @property
    def campaign_status(self) -> str:
        """Current status of the campaign."""
        return str(self.details.get("status", ""))


class UnavailableError(ResponseError):
    """429 or 5xx: too many requests, or a failure of the server. Try again later."""


class ConnectionFailedError(CampaignTriggerError):
    """There is no response: the connection failed or was lost. The action may have happened."""


class RequestTimeoutError(CampaignTriggerError):
    """There was no response in time. The action may have happened."""


class InvalidResponseError(CampaignTriggerError):
    """The response is not from campaign-trigger: the URL may be wrong."""


class TokenUnavailableError(CampaignTriggerError):
    """The token function raised or returned an unusable token. No request was sent."""
