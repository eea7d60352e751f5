"""Filters of the list of calls in addresses, which lead from the list to a call and on to the calls beside it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from outdial.domain.call import CallStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.calls.service import CallFilters
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import parse_day, parse_last_day, query_values, search_text

FILTER_NAMES: Final = ("campaign", "outcome", "status", "reviewed", "q", "from", "to")


def typed_filters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the filters in the query of an address, as they were typed."""
    return query_values(query, FILTER_NAMES, max_length=100)


def read_filters(form: Mapping[str, str], zone: ZoneInfo) -> CallFilters:
    """Return the filters of the list; raises InvalidInput."""
    try:
        return CallFilters(
            campaign_id=UUID(form["campaign"]) if form["campaign"] else None,
            status=CallStatus(form["status"]) if form["status"] else None,
            outcome=Outcome(form["outcome"]) if form["outcome"] else None,
            is_reviewed={"": None, "yes": True, "no": False}[form["reviewed"]],
            search=search_text("q", form["q"]),
            since=parse_day("from", form["from"], zone),
            until=parse_last_day("to", form["to"], zone),
        )
    except (ValueError, KeyError):
        raise InvalidInput("Unknown campaign, status, outcome or review: choose one from the list") from None


def filter_query(form: Mapping[str, str]) -> str:
    """Return the filters as the end of an address: empty, or from the question mark on."""
    given = {name: value for name, value in form.items() if value}
    return f"?{urlencode(given)}" if given else ""
