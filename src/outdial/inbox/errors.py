"""What can go wrong in the inbox.

InboxError
└── NotStored
"""


class InboxError(Exception):
    """Something in the inbox failed."""


class NotStored(InboxError):
    """The event could not be written to the ledger: it must not be answered with 2xx, so that Retell sends it again."""

    def __init__(self) -> None:
        super().__init__("the event could not be stored; send it again")
