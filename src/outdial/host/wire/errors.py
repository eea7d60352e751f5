"""Errors of the host itself. What happens to a request is an outcome, not an exception."""

from collections.abc import Sequence


class HostError(Exception):
    """The host cannot do what was requested."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").partition("\n")[0]


class BadConfig(HostError):
    """A setting in config.toml is invalid."""


class BootFailed(HostError):
    """A function did not start. The message is its traceback or the limit that it exceeded."""


class ZygoteLost(HostError):
    """The zygote process has ended."""


class WeakSandbox(HostError):
    """This machine cannot isolate functions as documented."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"this machine cannot isolate functions as documented ({'; '.join(missing)}): use Linux 5.13 or later with "
            "Landlock and seccomp, or set OUTDIAL_ALLOW_WEAK_FENCES=true if you trust every function"
        )


class BadFrame(HostError):
    """A worker sent invalid data on its socket."""


class GatewayFailed(HostError):
    """The gateway process ended before it was ready."""
