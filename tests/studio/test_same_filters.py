"""The list of contacts, the API and the commands take the same filters."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from outdial.campaigns.selection import SEARCH_TERMS, SELECTION_FILTERS
from outdial.cli.campaigns import bulk, new_campaign, results, selecting
from outdial.studio.bulk_jobs.service import NewBulkJob
from outdial.studio.calls.service import CallFilters
from outdial.studio.campaign_contacts.new_campaign import NewCampaignRequest, SelectedContacts
from outdial.studio.campaign_contacts.panel import CHOICES
from outdial.studio.campaign_contacts.service import ContactFilters, contact_filters
from outdial.studio.contacts.service import ContactSearch
from outdial.studio.exports.service import _FILTERS_BY_KIND, ExportCriteria

FILTERS = set(SELECTION_FILTERS)


def of_function(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("found", "besides"),
    [
        (of_function(selecting.read_selection), set()),
        (
            of_function(results.results),
            {"campaign", "file", "transcript", "recording", "zone", "as_json"},
        ),
        (of_function(new_campaign.new_campaign), {"campaign", "campaign_name", "reason", "as_json"}),
        (
            of_function(bulk.start),
            {"campaign", "action", "reason", "decision", "at", "campaign_name", "as_json"},
        ),
        # The order of the list shows pending contacts only.
        (of_function(contact_filters), {"order"}),
        (set(ContactFilters.__dataclass_fields__), {"order"}),
        # Rows that are ticked in the list.
        (set(SelectedContacts.model_fields), {"ids"}),
        (set(NewCampaignRequest.model_fields), {"campaign_name", "reason", "ids"}),
        (set(ExportCriteria.model_fields), {"campaign_id", "time_zone", "since", "until", "is_reviewed", "ids"}),
        (set(_FILTERS_BY_KIND["results"]), {"campaign_id", "time_zone", "ids"}),
        ({"status", "outcome", "reached", *(value or "search" for value, _ in CHOICES["by"])}, set()),
    ],
)
def test_every_way_to_select_contacts_has_every_filter_of_the_list(found: set[str], besides: set[str]) -> None:
    assert found - besides == FILTERS
    assert besides <= found


def test_bulk_jobs_take_the_filters_as_they_are() -> None:
    assert NewBulkJob.model_fields["filters"].annotation is SelectedContacts
    assert set(SEARCH_TERMS) == FILTERS - {"status", "outcome", "reached"}


@pytest.mark.parametrize(
    ("kind", "listed", "besides"),
    [
        ("calls", set(CallFilters.__dataclass_fields__), {"ids", "time_zone"}),
        # A status and an outcome are those in the campaign.
        (
            "contacts",
            set(ContactSearch.__dataclass_fields__),
            {"campaign_id", "status", "outcome", "ids", "time_zone"},
        ),
    ],
)
def test_an_export_has_every_filter_of_its_list(kind: str, listed: set[str], besides: set[str]) -> None:
    assert set(_FILTERS_BY_KIND[kind]) - besides == listed
    assert not besides & listed
