"""What can go wrong between us and Retell without an answer coming back."""


class RetellError(Exception):
    """The conversation with Retell failed."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or type(self).__doc__)

    @property
    def reason(self) -> str:
        """What happened, in one line."""
        return str(self)


class TransportFailed(RetellError):
    """The request may have reached Retell, but no answer to it was read."""


class NotSent(RetellError):
    """The request never left: no connection was made, so nothing can have been created."""
