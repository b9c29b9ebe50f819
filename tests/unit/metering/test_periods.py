"""Periods are cut without overlap and without a gap, in any zone."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.frame import BUCKET_MS
from agentspec_usage.metering.periods import (
    DAY_MS,
    LocalDay,
    Span,
    day_at,
    local_days,
    month_at,
    pieces_of,
)

times = st.integers(1_700_000_000_000, 1_700_000_000_000 + 5 * DAY_MS)
spans = st.tuples(times, times).map(lambda pair: Span(min(pair), max(pair)))
zones = st.sampled_from(
    ["UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham"]
).map(ZoneInfo)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@given(spans)
def test_the_pieces_of_a_span_make_it_up_exactly(span: Span) -> None:
    pieces = pieces_of(span)
    parts = sorted((*pieces.calls, *pieces.buckets, *pieces.days), key=lambda part: part.start)
    edges = [span.start, *(part.end for part in parts)]
    assert [part.start for part in parts] == edges[: len(parts)]
    assert edges[-1] == span.end
    assert all(part.start < part.end for part in parts)


@given(spans)
def test_pieces_are_as_coarse_as_they_can_be(span: Span) -> None:
    pieces = pieces_of(span)
    assert all(part.end - part.start < BUCKET_MS for part in pieces.calls)
    assert all(part.start % BUCKET_MS == part.end % BUCKET_MS == 0 for part in pieces.buckets)
    assert all(part.start % DAY_MS == part.end % DAY_MS == 0 for part in pieces.days)
    if pieces.days:
        assert all(part.end - part.start < DAY_MS for part in pieces.buckets)


@given(spans, zones)
def test_local_days_make_up_the_span_and_need_no_single_call(span: Span, zone: ZoneInfo) -> None:
    days = list(local_days(span, zone))
    edges = [span.start, *(day.span.end for day in days)]
    assert [day.span.start for day in days] == edges[: len(days)]
    assert edges[-1] == span.end
    for day in days[1:-1]:
        assert pieces_of(day.span).calls == ()


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        pytest.param("Asia/Kathmandu", "2026-11-01", 24, id="an offset of a quarter of an hour"),
        pytest.param("Europe/Berlin", "2026-03-29", 23, id="clocks go forward"),
        pytest.param("Europe/Berlin", "2026-10-25", 25, id="clocks go back"),
        pytest.param("Africa/Cairo", "2026-04-24", 23, id="midnight is skipped"),
        pytest.param("Australia/Lord_Howe", "2026-04-05", 24.5, id="half an hour back"),
    ],
)
def test_a_day_is_as_long_as_its_zone_says(zone: str, day: str, hours: float) -> None:
    wide = Span(at(f"{day}T00:00:00+00:00") - DAY_MS, at(f"{day}T00:00:00+00:00") + 2 * DAY_MS)
    found = {each.day: each for each in local_days(wide, ZoneInfo(zone))}
    span = found[date.fromisoformat(day)].span
    assert span.end - span.start == hours * 60 * 60 * 1000
    assert span.start % BUCKET_MS == 0


def test_a_month_of_kathmandu_begins_at_a_quarter_past_six() -> None:
    start = at("2026-11-01T00:00:00+05:45")
    (day,) = local_days(Span(start, start + 1), ZoneInfo("Asia/Kathmandu"))
    assert day == LocalDay(date(2026, 11, 1), Span(start, start + 1))
    assert datetime.fromtimestamp(start / 1000, tz=UTC).strftime("%d %H:%M") == "31 18:15"


@given(times, zones)
def test_a_moment_is_in_its_day_and_its_month_and_the_next_ones_follow(
    moment: int, zone: ZoneInfo
) -> None:
    day, month = day_at(moment, zone), month_at(moment, zone)
    assert month.start <= day.start <= moment < day.end <= month.end
    assert day_at(day.end, zone).start == day.end
    assert month_at(month.end, zone).start == month.end
    assert month_at(month.start, zone) == month_at(month.end - 1, zone) == month
    assert (LocalDay(datetime.fromtimestamp(moment / 1000, zone).date(), day),) == tuple(
        local_days(day, zone)
    )


def test_december_ends_with_the_year() -> None:
    month = month_at(at("2026-12-31T12:00:00Z"), ZoneInfo("Asia/Kathmandu"))
    assert month == Span(at("2026-11-30T18:15:00Z"), at("2026-12-31T18:15:00Z"))


def test_an_empty_span_has_no_days_and_no_pieces() -> None:
    empty = Span(5, 5)
    assert not empty
    assert list(local_days(empty, ZoneInfo("UTC"))) == []
    assert pieces_of(empty) == pieces_of(Span(BUCKET_MS, BUCKET_MS))


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError, match="from 2 to 1: expected start <= end"):
        Span(2, 1)
