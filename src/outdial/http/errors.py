"""What can go wrong before a server runs; what a client does wrong is an answer."""


class HttpServerError(Exception):
    """The server cannot do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class CannotListen(HttpServerError):
    """The address cannot be listened on."""
