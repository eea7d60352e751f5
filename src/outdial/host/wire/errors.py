"""What can go wrong with the host itself; what a request meets is an outcome, not an exception."""


class HostError(Exception):
    """The host cannot do what was asked."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class BadConfig(HostError):
    """A setting in config.toml cannot be used."""


class BootFailed(HostError):
    """A function did not start; the text is its traceback or the limit that it met."""


class ZygoteLost(HostError):
    """The process that workers are forked from has ended."""


class BadFrame(HostError):
    """What came over a worker's socket is no frame."""


class GatewayFailed(HostError):
    """The gateway process ended before it was ready."""
