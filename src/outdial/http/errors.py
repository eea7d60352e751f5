"""Errors of starting a server. A client's mistake is a response, not an exception."""


class HttpServerError(Exception):
    """The HTTP server cannot start."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class CannotListen(HttpServerError):
    """The server cannot listen on the address."""
