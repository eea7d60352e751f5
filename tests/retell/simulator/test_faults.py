"""Faults on demand, under virtual time."""

from datetime import timedelta

import pytest

from outdial.retell.simulator.faults import MAX_FAULTS, Fault, FaultKind
from outdial.retell.simulator.ledger import LedgerResult
from outdial.retell.simulator.workspace import SimulatedWorkspace
from tests.retell.simulator.requests import CONFIG, LATER, START, asked, asking, created, events

ANSWERS = "+14155559901"


def world_with(*faults: Fault) -> SimulatedWorkspace:
    workspace = SimulatedWorkspace(CONFIG)
    workspace.faults.replace(faults)
    return workspace


@pytest.mark.parametrize(
    ("kind", "status", "lost", "result"),
    [
        (FaultKind.refuse, 503, None, LedgerResult.refused),
        (FaultKind.drop_request, 503, "drop", LedgerResult.refused),
        (FaultKind.drop_reply, 201, "drop", LedgerResult.accepted),
        (FaultKind.hang_reply, 201, "hang", LedgerResult.accepted),
        (FaultKind.fail_reply, 500, None, LedgerResult.accepted),
        (FaultKind.garble_reply, 201, None, LedgerResult.accepted),
    ],
)
def test_a_fault_occurs_the_given_number_of_times(
    kind: FaultKind, status: int, lost: str | None, result: LedgerResult
) -> None:
    workspace = world_with(Fault(kind=kind, times=2))
    for _ in range(2):
        given = asking(workspace, ANSWERS)
        assert (given.status, given.lost) == (status, lost)
        assert workspace.ledger.read()[-1].result is result
    assert asking(workspace, ANSWERS).lost is None
    assert workspace.faults.report()[0]["struck"] == 2
    assert len(workspace.calls) == (3 if result is LedgerResult.accepted else 1)


def test_a_garbled_response_is_html() -> None:
    given = asking(world_with(Fault(kind=FaultKind.garble_reply)))
    assert (given.content_type, given.body[:9]) == ("text/html", b"<!doctype")


def test_a_refusal_may_have_retry_after() -> None:
    given = asking(world_with(Fault(kind=FaultKind.refuse, status=429, retry_after_s=3)))
    assert (given.status, given.retry_after_s) == (429, 3)


def test_a_lost_response_does_not_apply_to_a_refused_call() -> None:
    workspace = world_with(Fault(kind=FaultKind.drop_reply, times=1))
    assert asking(workspace, "+14155559941").lost is None
    assert asking(workspace).lost == "drop"


def test_a_fault_affects_only_its_operation() -> None:
    workspace = world_with(Fault(kind=FaultKind.refuse, operation="list-calls"))
    created(workspace)
    assert asked(workspace, "POST", "/v3/list-calls", {})[0] == 503
    workspace.faults.replace([Fault(kind=FaultKind.refuse, operation=None, status=500)])
    assert asked(workspace, "GET", "/get-concurrency")[0] == 500


def test_a_fault_occurs_with_its_probability() -> None:
    workspace = world_with(Fault(kind=FaultKind.refuse, probability=0.3))
    refused = sum(asking(workspace).status == 503 for _ in range(1000))
    assert 240 < refused < 360


def test_webhooks_are_dropped_by_name() -> None:
    workspace = world_with(Fault(kind=FaultKind.drop_webhook, event="call_ended"))
    created(workspace, ANSWERS)
    assert events(workspace.advance(LATER)) == ["call_started", "call_analyzed"]
    assert workspace.state()["webhooks"]["dropped"] == 1


def test_webhooks_are_repeated() -> None:
    workspace = world_with(Fault(kind=FaultKind.repeat_webhook, event="call_started", copies=2, delay_s=0))
    created(workspace, ANSWERS)
    webhooks = workspace.advance(LATER)
    assert events(webhooks) == ["call_started"] * 3 + ["call_ended", "call_analyzed"]
    assert len({webhook.body for webhook in webhooks}) == 3


def test_webhooks_are_delayed() -> None:
    healthy, late = SimulatedWorkspace(CONFIG), world_with(Fault(kind=FaultKind.delay_webhook, delay_s=90))
    created(healthy, ANSWERS)
    created(late, ANSWERS)
    pairs = zip(healthy.advance(LATER), late.advance(LATER), strict=True)
    assert all(slow.due - quick.due == timedelta(seconds=90) and slow.body == quick.body for quick, slow in pairs)


def test_webhooks_are_reordered() -> None:
    workspace = world_with(Fault(kind=FaultKind.reorder_webhook, delay_s=600))
    for line in range(20):
        created(workspace, f"+1415{line:03}9901", at=START)
    webhooks = workspace.advance(LATER)
    order: dict[str, list[str]] = {}
    for webhook in webhooks:
        order.setdefault(webhook.call_id, []).append(webhook.event)
    assert len({tuple(sequence) for sequence in order.values()}) > 2
    assert [webhook.due for webhook in webhooks] == sorted(webhook.due for webhook in webhooks)


def test_too_many_faults_are_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        world_with(*[Fault(kind=FaultKind.refuse)] * (MAX_FAULTS + 1))
