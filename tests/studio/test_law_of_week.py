"""The calling rules over the painted week: a letter for each half hour."""

from outdial.domain.calling_hours import WEEKDAYS
from outdial.studio.campaigns.effective_hours import law_of_week


def test_each_half_hour_says_whether_all_some_or_no_places_allow_it() -> None:
    usual = {day: [["08:00", "21:00"]] for day in WEEKDAYS}
    texas = usual | {"sunday": [["12:15", "21:00"]]}
    closed = {day: windows for day, windows in usual.items() if day != "saturday"}

    law = law_of_week([usual, texas, closed])

    assert law["monday"] == 16 * "n" + 26 * "a" + 6 * "n"
    # The half hour from 12:00 is open in part only.
    assert law["sunday"] == 16 * "n" + 9 * "s" + 17 * "a" + 6 * "n"
    assert law["saturday"] == 16 * "n" + 26 * "s" + 6 * "n"
    assert law_of_week([]) == {}
