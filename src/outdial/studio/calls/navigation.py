"""Filters of the list of calls in addresses, which lead from the list to a call and on to the calls beside it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from outdial.domain.call import CallStatus
from outdial.domain.outcomes import Outcome
from outdial.studio.calls.service import CallFilters
from outdial.studio.web.errors import InvalidInput
from outdial.studio.web.filters import RecentDays, parse_day, parse_last_day, query_values, search_text

FILTER_NAMES: Final = ("campaign", "outcome", "status", "reviewed", "q", "when", "from", "to")


def typed_filters(query: Mapping[str, str]) -> dict[str, str]:
    """Return the filters in the query of an address, as they were typed. Days of the calendar go before recent ones."""
    form = query_values(query, FILTER_NAMES, max_length=100)
    return form | {"when": ""} if form["from"] or form["to"] else form


def read_filters(form: Mapping[str, str], zone: ZoneInfo, now: datetime) -> CallFilters:
    """Return the filters of the list; raises InvalidInput."""
    try:
        since, until = parse_day("from", form["from"], zone), parse_last_day("to", form["to"], zone)
        if form["when"]:
            since, until = RecentDays(form["when"]).bounds(zone, now)
        return CallFilters(
            campaign_id=UUID(form["campaign"]) if form["campaign"] else None,
            status=CallStatus(form["status"]) if form["status"] else None,
            outcome=Outcome(form["outcome"]) if form["outcome"] else None,
            is_reviewed={"": None, "yes": True, "no": False}[form["reviewed"]],
            search=search_text("q", form["q"]),
            since=since,
            until=until,
        )
    except (ValueError, KeyError):
        raise InvalidInput("Unknown campaign, status, outcome, review or days: choose one from the list") from None


def filter_query(form: Mapping[str, str]) -> str:
    """Return the filters as the end of an address: empty, or from the question mark on."""
    given = {name: value for name, value in form.items() if value}
    return f"?{urlencode(given)}" if given else ""


def day_links(url: str, form: Mapping[str, str], view: str) -> list[tuple[str, str, bool]]:
    """Return label, address and whether it is chosen, for each choice of recent days; the first has all days.

    `view` is the id of the open view, which the links keep; empty without one.
    """
    others = dict(form) | {"from": "", "to": "", "when": ""}
    has_days = any(form[name] for name in ("when", "from", "to"))
    # An address without filters that names a view would have those of the view.
    all_days = others | {"view": view if any(others.values()) else ""}
    links = [("Any day", f"{url}{filter_query(all_days)}", not has_days)]
    return links + [
        (days.label, f"{url}{filter_query(others | {'when': days.value, 'view': view})}", form["when"] == days)
        for days in RecentDays
    ]
