"""Rules whose texts are old are warned about once a day, and stay in force."""

from datetime import UTC, datetime, timedelta

import pytest

from outdial.clock import VirtualClock
from outdial.dialer.rules_check import StaleRulesCheck
from outdial.domain.calling_hours import ALWAYS_OPEN, parse_calling_hours
from outdial.domain.place import Place
from outdial.domain.purpose import Purpose
from tests.support.rules import BOOK, PACK_DATE

CHECKED = datetime(PACK_DATE.year, PACK_DATE.month, PACK_DATE.day, 12, tzinfo=UTC)


async def test_old_rules_are_warned_about_once_a_day_and_never_open_wider(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock(CHECKED + timedelta(days=180))
    check = StaleRulesCheck(BOOK, clock)
    assert await check.run_once() == 0
    clock.advance(timedelta(days=1))

    for _ in range(2):
        assert await check.run_once() == len(BOOK.rules)

    assert [record.getMessage() for record in caplog.records] == ["dialer.calling_rules_old"]
    paris = BOOK.window(parse_calling_hours(ALWAYS_OPEN), Place("Europe/Paris", "FR"), Purpose.SALES)
    assert not paris.is_open(clock.now().replace(hour=22))
