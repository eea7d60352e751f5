"""Errors of a check of the promises."""


class PromisesError(Exception):
    """A check cannot be completed; the message says why."""


class DemoFailed(PromisesError):
    """The demo did not run to its end."""


class LedgerIncomplete(PromisesError):
    """The provider's ledger no longer holds every request."""
