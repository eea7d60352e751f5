"""Errors of the pre-dial hook."""


class PreDialError(Exception):
    """The pre-dial hook could not be used."""


class InvalidHookUrl(PreDialError, ValueError):
    """The URL of a hook is not valid; the message says how to correct it."""


class InvalidHookSecret(PreDialError, ValueError):
    """The signing secret of a hook is not valid; the message never includes it."""


class UnreadableResponse(PreDialError):
    """The response of the hook does not decide about every call, exactly once."""


class PrivateAddress(PreDialError, OSError):
    """The host of the hook is on a private network, which this deployment does not allow."""
