"""Limits of the log buffer."""

from outdial.host.log.buffer import LogAllowance, RecordBuffer


def test_takes_records_in_order_up_to_a_count_and_a_weight() -> None:
    buffer = RecordBuffer[str](100, len, lambda _: None)
    for record in ("aaa", "bb", "c", "dddd"):
        buffer.add(record)

    assert buffer.take(2, 100) == ["aaa", "bb"]
    assert buffer.take(10, 1) == ["c"]
    assert buffer.take(10, 100) == ["dddd"]
    assert buffer.take(10, 100) == []


def test_drops_and_reports_the_oldest_records_over_the_limit() -> None:
    lost: list[str] = []
    buffer = RecordBuffer[str](5, len, lost.append)
    for record in ("aa", "bb", "cc", "ddddd"):
        buffer.add(record)

    assert lost == ["aa", "bb", "cc"]
    assert buffer.take(10, 100) == ["ddddd"]


def test_records_put_back_are_the_oldest_again() -> None:
    lost: list[str] = []
    buffer = RecordBuffer[str](6, len, lost.append)
    for record in ("aa", "bb"):
        buffer.add(record)
    taken = buffer.take(10, 100)
    buffer.add("cccc")
    buffer.put_back(taken)

    assert lost == ["aa"]
    assert buffer.take(10, 100) == ["bb", "cccc"]
    buffer.add("dddddd")
    assert lost == ["aa"], "the weights add up"


def test_an_allowance_refills_up_to_its_limit() -> None:
    allowance = LogAllowance(burst=10, per_second=2, now=100.0)

    assert [allowance.take(6, 100.0), allowance.take(6, 100.0), allowance.take(4, 100.0)] == [True, False, True]
    assert [allowance.take(3, 101.0), allowance.take(2, 101.0)] == [False, True]
    assert [allowance.take(11, 200.0), allowance.take(10, 200.0)] == [False, True]
