"""One number per instance tells a repetition from a gap, and answers wait for the commit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame
from agentspec_usage.metering.receiving import (
    NOTHING,
    AlreadyHave,
    Apply,
    Gap,
    Intake,
    Watermark,
    accept,
)
from agentspec_usage.metering.snapshot import Observer
from tests.unit.metering.readings import A, B
from tests.unit.metering.records import record


def frame(since: int, last: int, *, instance_id: str = A) -> Frame:
    """Of calls of 10 tokens each."""
    items = tuple(record(seq) for seq in range(since + 1, last + 1))
    totals = TokenCounts(input=10 * last, calls=last)
    return Frame(instance_id, Observer.SDK, since, last, totals, items)


def standing_at(last: int) -> Watermark:
    verdict = accept(NOTHING, frame(0, last), "first")
    assert isinstance(verdict, Apply)
    return verdict.next


def test_a_frame_that_begins_where_the_receiver_stands_is_applied() -> None:
    verdict = accept(standing_at(2), frame(2, 5), "second")
    assert isinstance(verdict, Apply)
    assert (verdict.next.seq, verdict.next.totals) == (5, TokenCounts(input=50, calls=5))
    assert verdict.missing == ZERO


def test_a_frame_that_comes_again_changes_nothing() -> None:
    durable = standing_at(2)
    assert accept(durable, frame(0, 2), "first") == AlreadyHave(durable)
    assert accept(durable, frame(0, 1), "older") == AlreadyHave(durable)


def test_a_frame_that_comes_again_in_other_bytes_is_a_conflict_and_the_first_stays() -> None:
    durable = standing_at(2)
    assert accept(durable, frame(0, 2), "other bytes") == AlreadyHave(durable, conflict=True)


@pytest.mark.parametrize(
    ("since", "last"), [pytest.param(3, 5, id="later"), pytest.param(1, 5, id="across")]
)
def test_a_frame_that_begins_elsewhere_is_a_gap(since: int, last: int) -> None:
    assert accept(standing_at(2), frame(since, last), "x") == Gap(2)


def test_of_a_lost_frame_the_difference_of_the_totals_is_missing() -> None:
    lost = replace(frame(2, 5), items=(), lost=True)
    verdict = accept(standing_at(2), lost, "x")
    assert isinstance(verdict, Apply)
    assert verdict.missing == TokenCounts(input=30, calls=3)
    assert verdict.next.totals == lost.totals


def test_an_end_without_calls_is_applied_once() -> None:
    durable = standing_at(2)
    end = replace(frame(2, 2), final=True)
    verdict = accept(durable, end, "end")
    assert isinstance(verdict, Apply)
    assert verdict.next.final
    assert isinstance(accept(verdict.next, end, "end"), AlreadyHave)


def test_frames_of_one_transaction_follow_each_other() -> None:
    intake = Intake(lambda _: NOTHING)
    assert isinstance(intake.offer(frame(0, 2), "1"), Apply)
    assert isinstance(intake.offer(frame(2, 3), "2"), Apply)
    assert isinstance(intake.offer(frame(5, 6, instance_id=B), "3"), Gap)
    answers = intake.commit(lambda: None)
    assert (answers.durable, answers.gaps) == ({A: 3}, {B: 0})


def test_a_transaction_that_fails_answers_nothing() -> None:
    intake = Intake(lambda _: NOTHING)
    intake.offer(frame(0, 2), "1")

    def fails() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        intake.commit(fails)
