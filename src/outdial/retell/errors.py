"""Errors of requests to Retell that end without a response."""


class RetellError(Exception):
    """A request to Retell failed."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or type(self).__doc__)

    @property
    def reason(self) -> str:
        """The cause, in one line."""
        return str(self)


class TransportFailed(RetellError):
    """The request may have reached Retell, but no response was read."""


class NotSent(RetellError):
    """The request was never sent: there was no connection, so Retell created nothing."""


class ConnectionClosed(NotSent):
    """The connection was closed before the request was sent."""
