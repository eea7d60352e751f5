"""Checks the promises about calls twice: where calls are claimed, and again where their requests leave.

The promises, by their numbers in the README: 1, one outstanding create-call request per call, always with the
same idempotency key; 3, one live call per organization and phone; 4, no request for a campaign that is not active;
7, live calls and starts within the limits of the account; 8, calls within the hours of the campaign and of the law. The
checks read only what the claim has in memory.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID

from outdial.dialer.admission import LimitFacts
from outdial.dialer.plan import PlannedCall
from outdial.domain.campaign import CampaignStatus
from outdial.domain.errors import InvariantBroken
from outdial.provider import RequestKeys

ReadRequest = Callable[[bytes], RequestKeys | None]

UNEVENNESS = timedelta(milliseconds=5)
"""Jitter of the event loop: a request may leave this much early, which the headroom of the spacing absorbs."""


def check_claim(
    calls: Sequence[PlannedCall], limits: LimitFacts, request_timeout: timedelta, read_request: ReadRequest
) -> None:
    """Check the calls of one claim before they are committed; raises InvariantBroken.

    `limits` are the facts of the claim, counted under the lock of the account's row.
    """
    phones = set()
    for call in calls:
        _check_call(call, read_request(call.body))
        if call.phone in phones:
            raise InvariantBroken(f"promise 3: two calls of one claim go to the phone of call {call.id}")
        phones.add(call.phone)
        if call.deadline < call.start_at + request_timeout:
            raise InvariantBroken(f"promise 4: the request of call {call.id} could outlive its deadline")
        if not call.window.is_open(call.start_at):
            raise InvariantBroken(f"promise 8: call {call.id} starts outside the hours of its place")
    if calls and limits.account_live + len(calls) > limits.concurrency_limit - limits.reserved_inbound:
        raise InvariantBroken(f"promise 7: {len(calls)} calls more than the account's concurrency limit allows")
    if limits.budget is not None and len(calls) > limits.budget.room:
        raise InvariantBroken(f"{len(calls)} calls are more than a budget has room for")
    if calls and calls[0].start_at < limits.pace.next_start_at:
        raise InvariantBroken(f"promise 7: call {calls[0].id} starts before the account's next start time")
    for earlier, later in pairwise(calls):
        if later.start_at - earlier.start_at < later.spacing:
            raise InvariantBroken(f"promise 7: calls {earlier.id} and {later.id} start too close together")


class OutstandingRequests:
    """The create-call requests of this process that have left and have no response yet."""

    def __init__(self, read_request: ReadRequest) -> None:
        self._read_request = read_request
        self._call_ids: set[UUID] = set()
        self._phones: set[tuple[UUID, str]] = set()

    def begin(self, call: PlannedCall, now: datetime, request_timeout: timedelta) -> None:
        """Check a call at the moment its request leaves, and remember it; raises InvariantBroken."""
        _check_call(call, self._read_request(call.body))
        if call.id in self._call_ids:
            raise InvariantBroken(f"promise 1: a request for call {call.id} is outstanding already")
        if (call.organization_id, call.phone) in self._phones:
            raise InvariantBroken(f"promise 3: a request to the phone of call {call.id} is outstanding already")
        if now + request_timeout > call.deadline:
            raise InvariantBroken(f"promise 4: the request of call {call.id} could outlive its deadline")
        if now < call.start_at - UNEVENNESS:
            raise InvariantBroken(f"promise 7: the request of call {call.id} leaves before its start time")
        if not call.window.is_open(now):
            raise InvariantBroken(f"promise 8: the request of call {call.id} leaves outside the hours of its place")
        if call.needs_clearance and call.cleared_at is None:
            raise InvariantBroken(f"the pre-dial hook has not allowed call {call.id}")
        self._call_ids.add(call.id)
        self._phones.add((call.organization_id, call.phone))

    def end(self, call: PlannedCall) -> None:
        """Forget a request that has its response, or never will."""
        self._call_ids.discard(call.id)
        self._phones.discard((call.organization_id, call.phone))


def _check_call(call: PlannedCall, keys: RequestKeys | None) -> None:
    if keys is None:
        raise InvariantBroken(f"promise 1: the request of call {call.id} cannot be read")
    if keys.idempotency_key != str(call.id):
        raise InvariantBroken(f"promise 1: the request of call {call.id} has the key {keys.idempotency_key}")
    if keys.to_number != call.phone:
        raise InvariantBroken(f"promise 3: the request of call {call.id} goes to another phone than its row says")
    if call.campaign_status is not CampaignStatus.ACTIVE:
        raise InvariantBroken(f"promise 4: call {call.id} belongs to a campaign that is {call.campaign_status}")
