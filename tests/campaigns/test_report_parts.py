"""The parts of an end report: each contact is in one of them, whatever its status, calls and decisions."""

from itertools import product
from typing import Any

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from outdial.campaigns.results.report import compute_report, split_contacts
from outdial.campaigns.results.report_tables import report_rows
from outdial.db.queries.results.report import ReportContacts
from outdial.domain.contact import ContactStatus
from outdial.domain.outcomes import Outcome
from tests.support.factories import NOW, create_call, create_campaign, create_campaign_contact, create_tenant

groups = st.builds(
    ReportContacts,
    status=st.sampled_from([status.value for status in ContactStatus]),
    reason=st.none() | st.sampled_from(["on the do-not-call list", "skipped by ann", "callback ended by ann"]),
    last_outcome=st.none() | st.sampled_from([outcome.value for outcome in Outcome]),
    is_reached=st.booleans(),
    by_member=st.booleans(),
    contacts=st.integers(min_value=1, max_value=10_000),
)


@given(st.lists(groups))
def test_each_contact_is_in_one_part(rows: list[ReportContacts]) -> None:
    parts = split_contacts(rows)
    assert sorted(map(id, rows)) == sorted(id(row) for part in parts.values() for row in part)


async def test_the_parts_of_a_report_and_of_its_file_add_up_to_the_contacts(connection: asyncpg.Connection) -> None:
    campaign = await create_campaign(connection, await create_tenant(connection), status="active")
    decided = {"decided_at": NOW, "decided_by": "ann"}
    decisions: list[dict[str, Any]] = [
        {},
        {"decision": "completed", "decided_calls": 1, **decided},
        {"decision": "completed", "decided_calls": 0, **decided},
        {"decision": "failed", "decided_calls": 1, **decided},
    ]
    statuses = [status for status in ContactStatus if status is not ContactStatus.CALLING]
    combinations = list(product(statuses, ("answered", "voicemail"), decisions))
    for status, outcome, decision in combinations:
        entry = await create_campaign_contact(
            connection, campaign, status=status, last_outcome=outcome, call_count=1, **decision
        )
        await create_call(connection, entry, status="ended", request_deadline=None, next_check_at=None, outcome=outcome)

    report = await compute_report(connection, campaign.id, NOW, fewest=1)
    assert report is not None
    rows = [(table, row, contacts) for table, row, contacts, *_ in report_rows(report) if contacts is not None]
    missed = sum(row.contacts for row in report.not_reached)
    # No call since the decision: one contact. A decision before the last call, or another one, is none.
    assert (report.contacts, report.reached, report.completed_by_members, missed) == (
        len(combinations),
        len(combinations) // 2,
        1,
        3 + 4,
    )
    assert report.open + sum(row.contacts for row in report.uncalled) == 4 * 4
    assert ("contacts", "completed by members", 1) in rows
    assert sum(int(contacts) for _, row, contacts in rows if row != "all") == report.contacts
