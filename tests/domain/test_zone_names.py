"""Time zones as people write them."""

import pytest

from outdial.domain.calling_hours import is_zone_name
from outdial.domain.geography.zone_names import _by_name, suggest_zone


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("Eastern", "America/New_York"),
        ("eastern time", "America/New_York"),
        ("EST", "America/New_York"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("america/new_york", "America/New_York"),
        ("Argentina/Buenos_Aires", None),
        ("Buenos Aires", "America/Argentina/Buenos_Aires"),
        ("Germany", None),
        ("France", "Europe/Paris"),
        ("California", "America/Los_Angeles"),
        ("Tennessee", None),
        ("Mars", None),
        ("", None),
        ("UTC+1", None),
    ],
)
def test_a_name_suggests_the_zone_that_it_most_likely_means(written: str, zone: str | None) -> None:
    assert suggest_zone(written) == zone


def test_every_suggestion_is_a_zone() -> None:
    assert [zone for zone in _by_name().values() if not is_zone_name(zone)] == []
