"""Members who hear a live call: why they do not, each with what to do."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

GIVEN_UP_AFTER: Final = timedelta(seconds=12)
"""Who has asked waits so long for a dialer and for Retell; a dialer begins nothing that was asked earlier."""


class ListenRefusal(StrEnum):
    """Why a member does not hear a call, or does not take it over."""

    NOT_ON_THE_LINE = "not_on_the_line"
    OUT_OF_REACH = "out_of_reach"
    DASHBOARD_ONLY = "dashboard_only"
    CARD_DATA = "card_data"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"


REFUSALS: Final[Mapping[ListenRefusal, str]] = {
    ListenRefusal.NOT_ON_THE_LINE: "No one is on the line: this call has ended or has not been answered yet",
    ListenRefusal.OUT_OF_REACH: "This call is in a Retell workspace whose key Outdial no longer has. Open it in Retell,"
    " or enter the key of that workspace again",
    ListenRefusal.DASHBOARD_ONLY: "This call can be heard only in Retell's dashboard, under Live Monitoring",
    ListenRefusal.CARD_DATA: "The contact is giving card data in a protected session (PCI), in which Retell lets no one"
    " take the call over. Try again when it is over",
    ListenRefusal.RATE_LIMITED: "Retell receives too many requests right now. Try again in a few seconds",
    ListenRefusal.FAILED: "Retell has not allowed this",
}
