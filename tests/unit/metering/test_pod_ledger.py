"""A call that two observers saw counts once, by the better of both; the rest is listed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.frame import Aggregate, Frame
from agentspec_usage.metering.pod_calls import MATCH_MS, MAX_CALLS, REMEMBER_MS, Now
from agentspec_usage.metering.pod_ledger import (
    MAX_LISTED,
    CallDropped,
    CallEnded,
    CallOpened,
    FrameCame,
    InstanceBegan,
    InstanceEnded,
    PodLedger,
    TimePassed,
    TotalsSeen,
)
from agentspec_usage.metering.record import CallContext, CallStatus, UsageRecord
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from tests.unit.metering.readings import A, tokens
from tests.unit.metering.records import START
from tests.unit.metering.records import record as plain


class Stage:
    """A ledger, a clock, and an SDK that numbers what it tells."""

    def __init__(self) -> None:
        self.ledger = PodLedger()
        self.entered: list[UsageRecord] = []
        self.steady = 0
        self.told = 0
        self.totals = TokenCounts()

    @property
    def now(self) -> Now:
        return Now(self.steady, START + self.steady)

    def proxied(
        self,
        key: str,
        amount: int,
        status: CallStatus = CallStatus.OK,
        *,
        call_id: str = "",
        response_id: str = "",
    ) -> None:
        self.entered += self.ledger.handle(CallOpened(key, call_id), self.now)
        self.end(key, amount, status, call_id=call_id, response_id=response_id)

    def end(
        self,
        key: str,
        amount: int,
        status: CallStatus = CallStatus.OK,
        *,
        call_id: str = "",
        response_id: str = "",
    ) -> None:
        record = self.read(0, amount, status, call_id, response_id)
        self.entered += self.ledger.handle(CallEnded(key, record), self.now)

    def read(
        self, seq: int, amount: int, status: CallStatus, call_id: str, response_id: str
    ) -> UsageRecord:
        read = plain(seq, amount, at=self.now.wall)
        return replace(read, status=status, call_id=call_id, response_id=response_id)

    def tells(
        self,
        amount: int,
        status: CallStatus = CallStatus.OK,
        *,
        call_id: str = "",
        response_id: str = "",
    ) -> None:
        self.told += 1
        record = self.read(self.told, amount, status, call_id, response_id)
        record = replace(record, context=CallContext(team="blue"))
        self.totals += record.counts
        frame = Frame(A, Observer.SDK, self.told - 1, self.told, self.totals, (record,))
        self.entered += self.ledger.handle(FrameCame(frame, str(self.told)), self.now)

    def later(self, milliseconds: int) -> None:
        self.steady += milliseconds
        self.entered += self.ledger.handle(TimePassed(), self.now)

    @property
    def counted(self) -> list[tuple[int, str]]:
        return [(one.counts.input, one.context.team) for one in self.entered]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize(
    ("call_id", "response_id"),
    [pytest.param("c1", "", id="call id"), pytest.param("", "r1", id="response id")],
)
def test_a_call_that_both_saw_counts_once(stage: Stage, call_id: str, response_id: str) -> None:
    stage.proxied("k", 10, call_id=call_id, response_id=response_id)
    stage.tells(10, call_id=call_id, response_id=response_id)
    assert stage.counted == [(10, "")]
    assert stage.ledger.upper_tokens is None


def test_a_report_before_the_end_of_its_call_waits_and_adds_its_context(stage: Stage) -> None:
    stage.ledger.handle(CallOpened("k", "c1"), stage.now)
    stage.tells(10, call_id="c1")
    assert stage.counted == []
    stage.end("k", 12, call_id="c1")
    assert stage.counted == [(12, "blue")]


def test_complete_counts_win_over_aborted_ones(stage: Stage) -> None:
    stage.proxied("k", 4, CallStatus.ABORTED, call_id="c1")
    assert stage.counted == []
    stage.tells(10, call_id="c1")
    assert stage.counted == [(10, "blue")]


def test_an_aborted_call_that_nobody_tells_of_counts_after_15_minutes(stage: Stage) -> None:
    stage.proxied("k", 4, CallStatus.ABORTED, call_id="c1")
    stage.later(MATCH_MS - 1)
    assert stage.counted == []
    stage.later(1)
    assert stage.counted == [(4, "")]


def test_a_better_report_that_comes_too_late_raises_the_upper_bound_alone(stage: Stage) -> None:
    stage.proxied("k", 4, CallStatus.ABORTED, call_id="c1")
    stage.later(MATCH_MS)
    stage.tells(10, call_id="c1")
    assert stage.counted == [(4, "")]
    assert stage.ledger.upper_tokens == 10


def test_an_aborted_call_counts_at_once_where_no_sdk_tells_of_calls(stage: Stage) -> None:
    stage.proxied("k", 4, CallStatus.ABORTED, response_id="r1")
    assert stage.counted == [(4, "")]


def test_a_call_around_the_proxy_counts_when_no_proxied_call_can_be_it(stage: Stage) -> None:
    stage.proxied("k", 4, response_id="r1")
    stage.tells(10, response_id="r2")
    assert stage.counted == [(4, ""), (10, "blue")]


def test_a_report_that_may_be_of_a_call_without_ids_is_listed(stage: Stage) -> None:
    stage.proxied("k", 10)
    stage.tells(10, response_id="r1")
    assert stage.counted == [(10, "")]
    assert stage.ledger.upper_tokens == 20


def test_a_report_without_ids_is_never_joined_by_its_size(stage: Stage) -> None:
    stage.proxied("k", 10, response_id="r1")
    stage.tells(10)
    assert stage.counted == [(10, "")]
    assert stage.ledger.upper_tokens == 20


def test_a_report_counts_once_the_open_call_it_might_have_been_shows_another_id(
    stage: Stage,
) -> None:
    stage.ledger.handle(CallOpened("k"), stage.now)
    stage.tells(10, response_id="r1")
    assert stage.counted == []
    stage.end("k", 5, response_id="r2")
    assert sorted(stage.counted) == [(5, ""), (10, "blue")]


def test_what_is_told_of_a_time_before_memory_is_listed(stage: Stage) -> None:
    stage.proxied("k", 10, response_id="r1")
    old = stage.now.wall
    stage.later(REMEMBER_MS + MATCH_MS)
    record = replace(plain(1, 7, at=old), response_id="r1")
    frame = Frame(A, Observer.SDK, 0, 1, record.counts, (record,))
    stage.entered += stage.ledger.handle(FrameCame(frame, "1"), stage.now)
    assert stage.counted == [(10, "")]
    assert stage.ledger.upper_tokens == 17


def test_after_a_step_of_the_clock_nothing_is_certain_to_be_alone(stage: Stage) -> None:
    stage.proxied("k", 10, response_id="r1")
    stage.later(REMEMBER_MS + MATCH_MS)
    stepped = Now(stage.steady + 1, stage.now.wall + 3_600_000)
    stage.ledger.handle(TimePassed(), stepped)
    record = replace(plain(1, 7, at=stepped.wall), response_id="r9")
    frame = Frame(A, Observer.SDK, 0, 1, record.counts, (record,))
    assert stage.ledger.handle(FrameCame(frame, "1"), stepped) == ()


def test_a_frame_that_comes_again_is_counted_once(stage: Stage) -> None:
    record = replace(plain(1, 7, at=stage.now.wall), call_id="c")
    event = FrameCame(Frame(A, Observer.SDK, 0, 1, record.counts, (record,)), "1")
    assert len(stage.ledger.handle(event, stage.now)) == 1
    assert stage.ledger.handle(event, stage.now) == ()
    assert stage.ledger.sender(A).seq == 1


def test_merged_calls_of_an_sdk_are_listed(stage: Stage) -> None:
    item = Aggregate(1, 3, 0, plain(1).key, tokens(30, calls=3))
    frame = Frame(A, Observer.SDK, 0, 3, item.counts, (item,))
    assert stage.ledger.handle(FrameCame(frame, "1"), stage.now) == ()
    assert stage.ledger.upper_tokens == 30


def test_of_two_observers_totals_the_greater_counts_and_the_sum_is_the_bound(stage: Stage) -> None:
    stage.proxied("k", 10)
    own = UsageSnapshot(tokens(25), instance_id=A)
    stage.ledger.handle(TotalsSeen(own), stage.now)
    assert (stage.ledger.totals.input, stage.ledger.upper_tokens) == (25, 35)


def test_totals_of_an_agent_whose_frames_come_here_are_not_counted_again(stage: Stage) -> None:
    own = UsageSnapshot(tokens(25), instance_id=A, via="sidecar")
    stage.ledger.handle(TotalsSeen(own), stage.now)
    assert stage.ledger.totals == TokenCounts()


def test_calls_without_an_end_are_named_for_whoever_restarts(stage: Stage) -> None:
    stage.ledger.handle(CallOpened("k", "c1"), stage.now)
    assert list(stage.ledger.open_calls) == ["k"]
    stage.end("k", 0, CallStatus.UNMETERED)
    assert list(stage.ledger.open_calls) == []


def test_a_crowd_of_calls_and_reports_is_bounded_and_none_is_lost_from_the_bound(
    stage: Stage,
) -> None:
    """Reports without ids beside calls without ends: nothing can ever be decided."""
    for number in range(MAX_CALLS + 100):
        stage.ledger.handle(CallOpened(f"open-{number}"), stage.now)
    told = MAX_LISTED + 50
    for _ in range(told):
        stage.tells(3)
    assert len(stage.ledger.open_calls) <= MAX_CALLS
    assert stage.ledger.listed <= MAX_LISTED
    assert stage.entered == []
    assert stage.ledger.upper_tokens == 3 * told


def test_a_crowd_of_aborted_calls_counts_before_it_is_forgotten(stage: Stage) -> None:
    for number in range(MAX_CALLS + 100):
        stage.proxied(f"k-{number}", 2, CallStatus.ABORTED, call_id=f"c-{number}")
    stage.later(MATCH_MS)
    assert stage.ledger.totals.input == 2 * (MAX_CALLS + 100)


def test_a_call_that_used_nothing_is_none_and_is_waited_for_no_more(stage: Stage) -> None:
    stage.ledger.handle(CallOpened("k"), stage.now)
    stage.tells(10, response_id="r1")
    assert stage.counted == []
    stage.entered += stage.ledger.handle(CallDropped("k"), stage.now)
    assert stage.counted == [(10, "blue")]
    assert stage.ledger.open_calls == ()
    assert stage.ledger.upper_tokens is None


def test_a_call_that_ended_cannot_be_dropped(stage: Stage) -> None:
    stage.proxied("k", 10, call_id="c1")
    stage.ledger.handle(CallDropped("k"), stage.now)
    stage.tells(10, call_id="c1")
    assert stage.counted == [(10, "")]


def test_a_call_that_waits_for_a_better_report_counts_when_the_instance_ends(stage: Stage) -> None:
    stage.proxied("k", 4, CallStatus.ABORTED, call_id="c1")
    assert stage.counted == []
    stage.entered += stage.ledger.handle(InstanceEnded(), stage.now)
    assert stage.counted == [(4, "")]
    assert stage.ledger.totals.input == 4


def test_another_instance_begins_at_nothing_and_remembers_every_call(stage: Stage) -> None:
    stage.proxied("k", 10, call_id="c1")
    stage.ledger.handle(InstanceEnded(), stage.now)
    stage.ledger.handle(InstanceBegan(), stage.now)
    assert (stage.ledger.totals, stage.ledger.seq) == (TokenCounts(), 0)
    assert stage.ledger.upper_tokens is None
    stage.tells(10, call_id="c1")
    assert stage.ledger.totals == TokenCounts()
    stage.proxied("l", 3, call_id="c2")
    assert [one.seq for one in stage.entered] == [1, 1]
    assert stage.ledger.totals.input == 3


def test_totals_of_another_side_count_in_a_new_instance_only_beyond_what_was_shown(
    stage: Stage,
) -> None:
    stage.proxied("k", 10)
    stage.ledger.handle(TotalsSeen(UsageSnapshot(tokens(25), instance_id=A)), stage.now)
    stage.ledger.handle(InstanceEnded(), stage.now)
    stage.ledger.handle(InstanceBegan(), stage.now)
    stage.ledger.handle(TotalsSeen(UsageSnapshot(tokens(25), instance_id=A)), stage.now)
    assert stage.ledger.totals.input == 0
    stage.ledger.handle(TotalsSeen(UsageSnapshot(tokens(32), instance_id=A)), stage.now)
    assert stage.ledger.totals.input == 7
    stage.proxied("l", 9)
    assert stage.ledger.totals.input == 9
