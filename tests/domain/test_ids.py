"""Ids carry their time and sort in the order they were made."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outdial.domain.errors import InvalidId
from outdial.domain.ids import new_id, timestamp_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments)
def test_an_id_is_a_version_7_uuid_of_its_moment(now: datetime) -> None:
    id = new_id(now)

    assert (id.version, id.variant) == (7, "specified in RFC 4122")
    assert timestamp_of(id) == now.replace(microsecond=now.microsecond // 1000 * 1000)


def test_ids_of_one_millisecond_sort_in_creation_order_beyond_the_counter() -> None:
    ids = [new_id(NOON) for _ in range(10_000)]

    assert all(earlier < later for earlier, later in pairwise(ids))
    assert timestamp_of(ids[-1]) - NOON <= timedelta(milliseconds=4)


def test_ids_stay_in_order_when_the_clock_reaches_a_borrowed_millisecond() -> None:
    start = NOON + timedelta(days=1)
    ids = [new_id(start) for _ in range(6_000)]
    ids += [new_id(start + timedelta(milliseconds=1)) for _ in range(100)]

    assert ids == sorted(ids)


def test_a_clock_that_is_set_back_gives_ids_of_its_own_time() -> None:
    new_id(NOON)

    assert timestamp_of(new_id(NOON - timedelta(days=400))) == NOON - timedelta(days=400)


def test_the_time_of_a_published_version_7_uuid_is_read() -> None:
    example = UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")  # RFC 9562, appendix A.6

    assert timestamp_of(example) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


def test_an_id_without_a_time_is_refused() -> None:
    with pytest.raises(InvalidId, match="version 7"):
        timestamp_of(uuid4())
