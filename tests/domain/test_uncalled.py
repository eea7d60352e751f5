"""The reasons for which contacts are not called, in groups that repeat nothing that a person has typed."""

from datetime import date

import pytest

from outdial.dialer.plan import CALLER_BLOCKED, EVERY_CALLER_BLOCKED, ON_DO_NOT_CALL_LIST
from outdial.domain.contact import FORBIDDEN_BY, NEVER_LEGAL, NEVER_OPEN
from outdial.domain.permission.consent import no_consent
from outdial.domain.permission.screening import ScreeningList, listed_on
from outdial.domain.policies.uncalled import BY_MEMBER, uncalled_group
from outdial.domain.purpose import ListKind, Purpose, RequiredConsent

LISTS = [
    listed_on(ScreeningList(kind=kind, jurisdiction="US-TX", registry_date=date(2026, 3, 1)).name, date(2026, 3, 1))
    for kind in ListKind
]


@pytest.mark.parametrize(
    ("reasons", "group"),
    [
        ([NEVER_OPEN], "Never within the calling hours"),
        ([NEVER_LEGAL], "Calling rules allow no call within the calling hours"),
        ([f"{FORBIDDEN_BY}us-tx-hours-2026"], "Forbidden by a calling rule"),
        ([ON_DO_NOT_CALL_LIST], "On the do-not-call list"),
        (LISTS, "On a screening list"),
        ([no_consent(required, Purpose.SALES) for required in RequiredConsent], "No consent on record"),
        (["3 attempts were made; the campaign allows 2"], "All attempts were made"),
        ([CALLER_BLOCKED, EVERY_CALLER_BLOCKED], "Caller number blocked"),
        (["denied by the pre-dial hook: Ada is a customer"], "Denied by the pre-dial hook"),
        (["campaign cancelled"], "Campaign cancelled"),
        ([None, "", "Ada asked at the counter", "Ada is on the do-not-call list of her bank"], BY_MEMBER),
    ],
)
def test_every_reason_of_outdial_has_a_group_and_a_typed_one_is_not_repeated(
    reasons: list[str | None], group: str
) -> None:
    assert {uncalled_group(reason) for reason in reasons} == {group}
