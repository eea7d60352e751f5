"""Which contacts an action on many of them leaves out, and the sentence that says why."""

import pytest

from outdial.domain.campaign import CampaignStatus
from outdial.domain.contact import ContactStatus, FinalContactStatus, ReviewDecision
from outdial.domain.policies.bulk_action import (
    APPLIES_TO,
    BulkAction,
    BulkTarget,
    CampaignJobAction,
    LeftOutKind,
    PresentContact,
    SelectedContact,
    left_out,
)

_A, _S, _K = BulkAction, ContactStatus, LeftOutKind
CALL_AGAIN, FAILED = ReviewDecision.CALL_AGAIN, ReviewDecision.FAILED
ACTIVE = BulkTarget(status=CampaignStatus.ACTIVE, max_attempts=3)
COMPLETED = BulkTarget(status=CampaignStatus.COMPLETED, max_attempts=3)


@pytest.mark.parametrize(
    ("action", "decision", "was", "now", "target", "kind", "reason"),
    [
        (_A.SKIP, None, (_S.PENDING, 0), (_S.PENDING, 0), COMPLETED, None, ""),
        (_A.SKIP, None, (_S.PENDING, 0), (_S.CALLING, 1), ACTIVE, _K.CHANGED, "to calling, after 1 more call"),
        (_A.SKIP, None, (_S.PENDING, 1), (_S.PENDING, 3), ACTIVE, _K.CHANGED, "is pending again, after 2 more calls"),
        (_A.SKIP, None, (_S.PENDING, 1), (_S.SKIPPED, 1), ACTIVE, _K.CHANGED, "has changed from pending to skipped"),
        (_A.RETRY, None, (_S.FAILED, 2), (_S.FAILED, 2), ACTIVE, None, ""),
        (_A.RETRY, None, (_S.FAILED, 2), (_S.COMPLETED, 3), ACTIVE, _K.CHANGED, "has changed from failed to completed"),
        (_A.RETRY, None, (_S.FAILED, 2), (_S.FAILED, 2), COMPLETED, _K.CAMPAIGN_CLOSED, "places no more calls"),
        (_A.DECIDE, FAILED, (_S.REVIEW, 2), (_S.REVIEW, 2), COMPLETED, None, ""),
        (_A.DECIDE, CALL_AGAIN, (_S.REVIEW, 2), (_S.REVIEW, 2), ACTIVE, None, ""),
        (_A.DECIDE, CALL_AGAIN, (_S.REVIEW, 2), (_S.REVIEW, 2), COMPLETED, _K.CAMPAIGN_CLOSED, "add the contact"),
        (_A.NEW_CAMPAIGN, None, (_S.FAILED, 2), (_S.FAILED, 2), ACTIVE, None, ""),
        (_A.NEW_CAMPAIGN, None, (_S.FAILED, 2), (_S.FAILED, 2), None, _K.CAMPAIGN_CLOSED, "has been deleted"),
    ],
)  # fmt: skip
def test_a_contact_that_has_changed_is_left_out_with_the_reason(
    action: BulkAction,
    decision: ReviewDecision | None,
    was: tuple[ContactStatus, int],
    now: tuple[ContactStatus, int],
    target: BulkTarget | None,
    kind: LeftOutKind | None,
    reason: str,
) -> None:
    selected = SelectedContact(status=was[0], calls=was[1])
    contact = PresentContact(status=now[0], calls=now[1], attempts=2, do_not_call=False, is_erased=False)

    found = left_out(action, decision, selected, contact, target)

    assert (None if found is None else found.kind) == kind
    assert found is None or reason in found.reason


@pytest.mark.parametrize(
    ("action", "decision", "do_not_call", "attempts", "is_erased", "kind"),
    [
        (_A.RETRY, None, True, 0, False, _K.DO_NOT_CALL),
        (_A.RETRY, None, False, 3, False, None),
        (_A.DECIDE, CALL_AGAIN, True, 0, False, _K.DO_NOT_CALL),
        (_A.DECIDE, CALL_AGAIN, False, 3, False, _K.NO_ATTEMPT_LEFT),
        (_A.DECIDE, FAILED, True, 3, False, None),
        (_A.SKIP, None, True, 0, False, None),
        (_A.SKIP, None, False, 0, True, _K.ERASED),
        (_A.NEW_CAMPAIGN, None, False, 0, True, _K.ERASED),
    ],
)
def test_no_contact_is_called_again_that_may_not_be_called(
    action: BulkAction,
    decision: ReviewDecision | None,
    do_not_call: bool,
    attempts: int,
    is_erased: bool,
    kind: LeftOutKind | None,
) -> None:
    status = APPLIES_TO[action][0]
    contact = PresentContact(status=status, calls=2, attempts=attempts, do_not_call=do_not_call, is_erased=is_erased)

    found = left_out(action, decision, SelectedContact(status=status, calls=2), contact, ACTIVE)

    assert (None if found is None else found.kind) == kind


def test_requests_name_all_actions_and_statuses_that_have_an_effect_and_no_others() -> None:
    assert set(CampaignJobAction) == {action for action in BulkAction if APPLIES_TO[action]}
    assert set(FinalContactStatus) == set(APPLIES_TO[BulkAction.NEW_CAMPAIGN])
