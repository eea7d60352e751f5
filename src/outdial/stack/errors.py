"""Errors of the local stack. The message says what is wrong and what to do.

StackError
├── InvalidConfig
├── UnknownEnvironment
├── StackUnavailable
├── PortTaken
└── LoginFailed
"""


class StackError(Exception):
    """The local stack, or its configuration, does not allow what was asked."""


class InvalidConfig(StackError):
    """supabase/config.toml cannot be used."""


class UnknownEnvironment(StackError):
    """supabase/config.toml does not define the environment."""


class StackUnavailable(StackError):
    """A local stack runs already, or its database is in use by another process."""


class PortTaken(StackError):
    """Another process listens on a port of the local stack."""

    def __init__(self, port: int, what: str, instead: str) -> None:
        super().__init__(f"port {port}, for the {what}, is taken by another process: stop it, or {instead}")


class LoginFailed(StackError):
    """Auth refused to create the first user."""
