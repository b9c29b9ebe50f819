"""Which calls of the background are waited for, and for how long."""

from __future__ import annotations

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.sdk.background import MAX_BEGUN, BackgroundCalls

DAY = 24 * 60 * 60.0


def call(number: int) -> UsageRecord:
    return UsageRecord(0, 0, SeriesKey(), TokenCounts(calls=1), call_id=str(number))


def test_whoever_asks_first_takes_the_call() -> None:
    calls = BackgroundCalls()
    assert calls.begin("a", call(1), 0.0) == []
    assert calls.take("b") is None
    assert calls.take("a") == call(1)
    assert calls.take("a") is None


def test_the_oldest_is_given_up_when_there_are_too_many() -> None:
    calls = BackgroundCalls()
    for number in range(MAX_BEGUN):
        assert calls.begin(str(number), call(number), 0.0) == []
    assert calls.begin("one more", call(MAX_BEGUN), 0.0) == [call(0)]
    assert calls.take("0") is None
    assert len(calls.take_all()) == MAX_BEGUN


def test_a_call_is_given_up_after_a_day() -> None:
    calls = BackgroundCalls()
    calls.begin("a", call(1), 0.0)
    assert calls.begin("b", call(2), DAY) == []
    assert calls.begin("c", call(3), DAY + 1) == [call(1)]


def test_at_the_end_nobody_is_waited_for() -> None:
    calls = BackgroundCalls()
    calls.begin("a", call(1), 0.0)
    assert calls.take_all() == [call(1)]
    assert calls.take_all() == []
