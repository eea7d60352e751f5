"""Applies events to test calls. They change nothing else: no contact, no list and no campaign."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from outdial.db.queries import batches
from outdial.db.queries.dialing import test_calls
from outdial.db.session import Connection
from outdial.domain.call import CallReport, CallState, CallStatus, merge
from outdial.domain.policies.test_calls import StatusOfTestCall
from outdial.inbox.deliveries import EventDelivery, EventVerdict
from outdial.inbox.stored_details import stored_details
from outdial.provider import EventReader

_S = StatusOfTestCall
_STATUS: Final = {_S.SENT: CallStatus.PLACED, _S.FAILED: CallStatus.PLACED, _S.ENDED: CallStatus.ENDED}
"""The state of a call that the status of a test call amounts to. The others have no call."""


async def apply_to_test_calls(
    connection: Connection,
    deliveries: Sequence[EventDelivery],
    *,
    reader: EventReader,
    now: datetime,
    check_after: timedelta,
) -> dict[int, EventVerdict]:
    """Apply the events that name a test call, and return their verdicts by position; others are left out.

    Without such an event, nothing is read.
    """
    wanted = {position: test_id for position, each in enumerate(deliveries) if (test_id := each.event.test_call_id)}
    if not wanted:
        return {}
    rows = await test_calls.lock_reported_test_calls(connection, ids=list(set(wanted.values())))
    by_id = {row.id: row for row in rows}
    verdicts: dict[int, EventVerdict] = {}
    reports: dict[UUID, list[CallReport]] = {}
    for position, test_id in wanted.items():
        event, row = deliveries[position].event, by_id.get(test_id)
        verdict = _verdict(deliveries[position], row)
        verdicts[position] = verdict
        if verdict.status == "applied" and event.report is not None:
            reports.setdefault(test_id, []).append(event.report)
    for test_id, of_call in sorted(reports.items()):
        await _write(connection, by_id[test_id], of_call, reader=reader, now=now, check_after=check_after)
    return verdicts


def _verdict(delivery: EventDelivery, row: test_calls.ReportedTestCall | None) -> EventVerdict:
    if delivery.event.malformed is not None:
        return EventVerdict("quarantined", error=delivery.event.malformed)
    if row is None or StatusOfTestCall(row.status) not in _STATUS:
        return EventVerdict("unmatched", error="no test call has this id")
    if row.credential != delivery.credential:
        return EventVerdict(
            "unmatched", error=f"signed for {delivery.credential!r}, but the test call belongs to another account"
        )
    if row.retell_call_id not in (None, delivery.event.provider_call_id):
        return EventVerdict("unmatched", error="another call at Retell has the metadata of this test call")
    return EventVerdict("applied", row.organization_id, is_erased=row.is_erased)


async def _write(
    connection: Connection,
    row: test_calls.ReportedTestCall,
    reports: Sequence[CallReport],
    *,
    reader: EventReader,
    now: datetime,
    check_after: timedelta,
) -> None:
    before = after = CallState(
        status=_STATUS[StatusOfTestCall(row.status)],
        provider_call_id=row.retell_call_id,
        details=stored_details(row, reader),
        ranks=tuple(row.detail_ranks),
    )
    for report in reports:
        if before.provider_call_id in (None, report.provider_call_id):
            after = merge(after, report)
    if after == before:
        return
    details, reason = after.details, after.details.disconnection_reason
    has_ended = after.status is CallStatus.ENDED
    await test_calls.write_test_call(
        connection,
        id=row.id,
        status=StatusOfTestCall.ENDED if has_ended else row.status,
        retell_call_id=after.provider_call_id,
        detail_ranks="{" + ",".join(map(str, after.ranks)) + "}",
        outcome=after.outcome,
        disconnection_reason=None if reason is None else reason.code,
        started_at=details.started_at,
        ended_at=details.ended_at,
        duration_ms=details.duration_ms,
        cost_cents=details.cost_cents,
        transcript=details.transcript,
        recording_url=details.recording_url,
        public_log_url=details.public_log_url,
        analysis=details.analysis,
        next_check_at=None if after.is_complete else now + check_after,
    )
    if has_ended and before.status is not CallStatus.ENDED:
        # Its line is free.
        await batches.wake_campaigns(connection, now=now, ids=[], provider_account_ids=[row.provider_account_id])
