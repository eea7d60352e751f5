"""What must hold for every state machine, and for each of them."""

from enum import StrEnum
from typing import Any

import pytest

from outdial.domain import call, campaign, contact
from outdial.domain.call import CALL, CallStatus
from outdial.domain.campaign import CAMPAIGN, CampaignStatus
from outdial.domain.contact import CONTACT, ContactStatus
from outdial.domain.jobs import BULK_JOB, EXPORT, IMPORT, BulkJobStatus, ExportStatus, ImportStatus
from outdial.domain.machine import Machine
from outdial.domain.permission.screening import SCREENING_LIST, ScreeningListStatus

MACHINES: list[tuple[Machine[Any], type[StrEnum], str]] = [
    (CAMPAIGN, CampaignStatus, "draft"),
    (CONTACT, ContactStatus, "pending"),
    (CALL, CallStatus, "placing"),
    (IMPORT, ImportStatus, "uploading"),
    (EXPORT, ExportStatus, "queued"),
    (BULK_JOB, BulkJobStatus, "queued"),
    (SCREENING_LIST, ScreeningListStatus, "loading"),
]
each_machine = pytest.mark.parametrize(
    ("machine", "states", "first"), MACHINES, ids=[machine.name for machine, _, _ in MACHINES]
)


def reachable(machine: Machine[Any], start: object) -> set[object]:
    seen, waiting = {start}, [start]
    while waiting:
        new = set(machine.arrows[waiting.pop()]) - seen
        seen |= new
        waiting += new
    return seen


@each_machine
def test_a_machine_knows_each_state_once_and_no_other(machine: Machine[Any], states: type[StrEnum], first: str) -> None:
    assert set(machine.arrows) == set(states)
    assert {to for _, to in machine.pairs()} <= set(states)
    assert sum(len(targets) for targets in machine.arrows.values()) == len(machine.pairs())


@each_machine
def test_no_arrow_leads_from_a_state_to_itself(machine: Machine[Any], states: type[StrEnum], first: str) -> None:
    assert [source for source, to in machine.pairs() if source == to] == []


@each_machine
def test_every_state_can_be_reached_from_the_first(machine: Machine[Any], states: type[StrEnum], first: str) -> None:
    assert reachable(machine, states(first)) == set(states)


@each_machine
def test_from_every_state_a_final_one_can_be_reached(machine: Machine[Any], states: type[StrEnum], first: str) -> None:
    assert [state for state in states if not reachable(machine, state) & machine.final] == []


@each_machine
def test_the_states_that_may_be_left_are_the_arrows_read_backwards(
    machine: Machine[Any], states: type[StrEnum], first: str
) -> None:
    assert {(source, to) for to in states for source in machine.may_leave(to)} == machine.pairs()


@each_machine
def test_the_chart_draws_every_arrow_and_marks_every_final_state(
    machine: Machine[Any], states: type[StrEnum], first: str
) -> None:
    head, *lines = machine.chart().splitlines()

    assert head == "stateDiagram-v2"
    assert sorted(line.strip() for line in lines) == sorted(
        [f"{source} --> {to}" for source, to in machine.pairs()] + [f"{state} --> [*]" for state in machine.final]
    )


def test_the_final_states_are_the_ones_that_the_promises_speak_of() -> None:
    assert CAMPAIGN.final == {"completed", "cancelled"}
    assert CONTACT.final == {"cancelled"}
    assert CALL.final == {"ended", "refused"}
    assert IMPORT.final == {"completed", "failed", "cancelled"}
    assert BULK_JOB.final == {"completed", "failed", "cancelled"}
    assert EXPORT.final == {"failed", "cancelled", "expired"}


def test_a_campaign_becomes_paused_only_by_way_of_pausing_and_completed_only_from_active() -> None:
    assert CAMPAIGN.may_leave(CampaignStatus.PAUSED) == ["pausing"]
    assert CAMPAIGN.may_leave(CampaignStatus.CANCELLED) == ["cancelling"]
    assert CAMPAIGN.may_leave(CampaignStatus.COMPLETED) == ["active"]
    assert set(CAMPAIGN.may_leave(CampaignStatus.CANCELLING)) == set(CampaignStatus) - CAMPAIGN.final - {"cancelling"}


def test_contacts_are_added_to_a_campaign_only_while_it_can_still_call_them() -> None:
    assert {state for state in CampaignStatus if CampaignStatus.ACTIVE in reachable(CAMPAIGN, state)} == (
        campaign.OPEN_TO_IMPORT
    )


def test_a_contact_is_dialed_from_pending_only_and_a_call_a_setting_or_a_member_brings_it_back_there() -> None:
    assert CONTACT.may_leave(ContactStatus.CALLING) == ["pending"]
    assert CONTACT.may_leave(ContactStatus.PENDING) == ["calling", "completed", "failed", "review", "skipped"]
    back = {(status, "pending") for status in ("review", "completed", "failed")}
    assert back | {("failed", "review")} == contact.MEMBERS_ONLY
    dialed = {state for state in ContactStatus if ContactStatus.CALLING in reachable(CONTACT, state)}
    assert dialed == contact.OPEN | {ContactStatus.REVIEW, *contact.MAY_COME_AGAIN}


def test_a_call_is_live_from_its_request_until_it_is_known_to_be_over() -> None:
    assert {"placing", "placed", "ongoing", "unknown"} == call.LIVE
    assert CALL.may_leave(CallStatus.PLACING) == []
    assert [pair for pair in CALL.pairs() if pair[0] not in call.LIVE and pair[1] in call.LIVE] == []
