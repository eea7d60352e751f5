"""What can go wrong when a campaign is to be changed. No request is repeated here; asking twice does no harm."""

from collections.abc import Mapping
from typing import Any


class CampaignTriggerError(Exception):
    """What was asked for was not done, or nobody knows whether it was.

    `status` is the HTTP status, None when no answer came; `code` names the error for a program and `message` tells it
    to a person; `details` are the other fields of the answer, and `retry_after` in seconds where a server sent one.
    """

    def __init__(
        self, message: str, *, code: str, status: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.details: Mapping[str, Any] = dict(details or {})


class Refused(CampaignTriggerError):
    """An answer came, and it is a refusal."""


class InvalidRequest(Refused):
    """400: an argument is missing or wrong."""


class NotAuthenticated(Refused):
    """401: no token or key was sent, or a bad one."""


class Forbidden(Refused):
    """403: a viewer may look at campaigns, and not run them."""


class NotFound(Refused):
    """404: there is no such campaign or organization, or it is not the caller's; or the function is not deployed."""


class Conflict(Refused):
    """409: the state of the campaign does not allow it."""

    @property
    def campaign_status(self) -> str:
        """The state that the campaign is in."""
        return str(self.details.get("status", ""))


class Unavailable(Refused):
    """429 or 5xx: too many requests, or trouble on the other side. Asking again later may help."""


class ConnectionFailed(CampaignTriggerError):
    """No answer came: no connection was made, or it was lost. What was asked for may have been done all the same."""


class TimedOut(CampaignTriggerError):
    """No answer came in time. What was asked for may have been done all the same."""


class UnreadableAnswer(CampaignTriggerError):
    """Something answered that is not campaign-trigger: the URL may lead elsewhere."""


class TokenUnavailable(CampaignTriggerError):
    """The function that gives the token raised, or gave none that can be sent; nothing was asked for."""
