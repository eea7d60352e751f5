"""Bounds on what waits to be written."""

from outdial.host.log.buffer import LogAllowance, RecordBuffer


def test_records_come_out_in_the_order_of_their_coming_in_steps_of_a_number_and_a_weight() -> None:
    buffer = RecordBuffer[str](100, len, lambda _: None)
    for record in ("aaa", "bb", "c", "dddd"):
        buffer.add(record)

    assert buffer.take(2, 100) == ["aaa", "bb"]
    assert buffer.take(10, 1) == ["c"]
    assert buffer.take(10, 100) == ["dddd"]
    assert buffer.take(10, 100) == []


def test_over_the_bound_the_oldest_go_and_are_told_of() -> None:
    lost: list[str] = []
    buffer = RecordBuffer[str](5, len, lost.append)
    for record in ("aa", "bb", "cc", "ddddd"):
        buffer.add(record)

    assert lost == ["aa", "bb", "cc"]
    assert buffer.take(10, 100) == ["ddddd"]


def test_what_was_put_back_is_the_oldest_again() -> None:
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


def test_an_allowance_fills_up_again_to_its_bound() -> None:
    allowance = LogAllowance(burst=10, per_second=2, now=100.0)

    assert [allowance.take(6, 100.0), allowance.take(6, 100.0), allowance.take(4, 100.0)] == [True, False, True]
    assert [allowance.take(3, 101.0), allowance.take(2, 101.0)] == [False, True]
    assert [allowance.take(11, 200.0), allowance.take(10, 200.0)] == [False, True]
