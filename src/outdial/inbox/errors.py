"""Errors of the inbox.

InboxError
└── EventNotStored
"""


class InboxError(Exception):
    """Base class of inbox errors."""


class EventNotStored(InboxError):
    """The event could not be verified or stored. Respond with an error, so that Retell sends it again."""

    def __init__(self) -> None:
        super().__init__("the event could not be stored; send it again")
