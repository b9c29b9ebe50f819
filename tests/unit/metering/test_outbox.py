"""A sender repeats itself byte for byte, forgets only on an acknowledgement, and repairs a receiver
that went back in time."""

from __future__ import annotations

import pytest

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.metering.frame import Frame, SealedFrame
from agentspec_usage.metering.outbox import Outbox, outbox_of_spool
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.wire.records_encoding import encode_frame
from tests.unit.metering.readings import A, B
from tests.unit.metering.records import SMALL, outbox_with, record


def sent(outbox: Outbox) -> SealedFrame:
    sealed = outbox.to_send()
    assert sealed is not None
    return sealed


def stretch(frame: Frame) -> tuple[int, int, int]:
    return frame.since, frame.last, frame.totals.input


def test_an_outbox_without_calls_has_nothing_to_send() -> None:
    outbox = outbox_with(0)
    assert outbox.to_send() is None
    assert outbox.settled


def test_a_frame_is_repeated_byte_for_byte_though_more_calls_came() -> None:
    outbox = outbox_with(2)
    first = sent(outbox)
    outbox.append(record(3))
    assert sent(outbox).body == first.body
    assert stretch(first.frame) == (0, 2, 20)


def test_the_next_frame_begins_where_the_acknowledged_one_ended() -> None:
    outbox = outbox_with(2)
    first = sent(outbox)
    outbox.append(record(3))
    assert outbox.acknowledged(first, 2)
    assert stretch(sent(outbox).frame) == (2, 3, 30)
    assert (outbox.durable, outbox.backlog) == (2, 1)


def test_an_acknowledgement_releases_only_what_was_sent() -> None:
    outbox = outbox_with(5, SMALL)
    first = sent(outbox)
    assert outbox.acknowledged(first, first.frame.last)
    assert outbox.backlog == 5 - first.frame.last
    assert outbox.last == 5


@pytest.mark.parametrize(
    "durable", [pytest.param(0, id="earlier"), pytest.param(99, id="of calls that never were")]
)
def test_an_answer_that_cannot_be_about_the_frame_releases_nothing(durable: int) -> None:
    outbox = outbox_with(2)
    first = sent(outbox)
    assert not outbox.acknowledged(first, durable)
    assert sent(outbox).body == first.body


def test_a_heartbeat_that_knows_more_releases_nothing() -> None:
    outbox = outbox_with(2)
    first = sent(outbox)
    assert not outbox.stands_at(2)
    assert sent(outbox).body == first.body
    assert outbox.durable == 0


def test_the_end_is_said_in_the_last_frame() -> None:
    outbox = outbox_with(5, SMALL)
    outbox.finish()
    finals = []
    while (sealed := outbox.to_send()) is not None:
        finals.append(sealed.frame.final)
        outbox.acknowledged(sealed, sealed.frame.last)
    assert finals == [False] * (len(finals) - 1) + [True]
    assert outbox.settled


def test_an_end_after_everything_is_durable_has_a_frame_of_its_own() -> None:
    outbox = outbox_with(1)
    first = sent(outbox)
    outbox.acknowledged(first, 1)
    outbox.finish()
    end = sent(outbox)
    assert stretch(end.frame) == (1, 1, 10)
    assert end.frame.final
    # A late answer to the frame before says nothing of the end.
    assert not outbox.acknowledged(first, 1)
    assert not outbox.settled
    assert outbox.acknowledged(end, 1)
    assert outbox.settled


def test_a_call_after_the_end_or_out_of_turn_is_refused() -> None:
    outbox = outbox_with(1)
    with pytest.raises(UsageError, match="expected 2"):
        outbox.append(record(3))
    outbox.finish()
    with pytest.raises(UsageError, match="after the end"):
        outbox.append(record(2))


def test_a_receiver_that_went_back_in_time_gets_the_totals_of_what_is_held_no_more() -> None:
    outbox = outbox_with(3)
    outbox.acknowledged(sent(outbox), 3)
    outbox.append(record(4))
    waiting = sent(outbox)
    assert outbox.stands_at(1)
    lost = sent(outbox)
    assert stretch(lost.frame) == (1, 3, 30)
    assert lost.frame.lost
    assert lost.frame.items == ()
    assert outbox.acknowledged(lost, 3)
    assert sent(outbox).body == waiting.body
    assert outbox.rolled_back


def test_an_idle_sender_learns_from_a_heartbeat_that_the_receiver_went_back() -> None:
    outbox = outbox_with(3)
    outbox.acknowledged(sent(outbox), 3)
    assert outbox.to_send() is None
    assert outbox.stands_at(0)
    assert stretch(sent(outbox).frame) == (0, 3, 30)


def test_what_is_still_held_of_a_frame_is_sealed_again_from_where_the_receiver_stands() -> None:
    outbox = outbox_with(3)
    sent(outbox)
    assert outbox.stands_at(1)
    again = sent(outbox).frame
    assert stretch(again) == (1, 3, 30)
    assert [item.seq for item in again.items if isinstance(item, UsageRecord)] == [2, 3]
    assert not again.lost


def test_an_aggregate_across_the_gap_is_held_no_more() -> None:
    outbox = outbox_with(9, SMALL)
    first = sent(outbox).frame
    assert first.last > first.since + 1
    assert outbox.stands_at(1)
    assert sent(outbox).frame.lost


def test_a_spool_holds_all_that_is_not_durable_and_goes_on_where_it_stopped() -> None:
    outbox = outbox_with(7, SMALL)
    first = sent(outbox)
    outbox.acknowledged(first, first.frame.last)
    in_flight = sent(outbox)
    spooled = outbox.spool()
    assert spooled.frames[0].body == in_flight.body
    assert spooled.frames[-1].frame.final
    assert spooled.totals_since == first.frame.totals
    successor = outbox_of_spool(spooled, encode_frame)
    assert successor.durable == first.frame.last
    seen = first.frame.counted
    while (sealed := successor.to_send()) is not None:
        seen += sealed.frame.counted
        successor.acknowledged(sealed, sealed.frame.last)
    assert seen == TokenCounts(input=70, calls=7)
    assert successor.settled


def test_a_spool_with_a_hole_is_refused() -> None:
    spooled = outbox_with(9, SMALL).spool()
    broken = (spooled.frames[0], *spooled.frames[2:])
    with pytest.raises(UsageError, match="expected"):
        outbox_of_spool(
            type(spooled)(A, spooled.observer, ZERO, broken),
            encode_frame,
        )


def test_a_forked_child_is_another_instance_with_nothing_to_send() -> None:
    outbox = outbox_with(2)
    sent(outbox)
    outbox.reset_after_fork(B)
    assert outbox.to_send() is None
    assert (outbox.instance_id, outbox.last, outbox.durable) == (B, 0, 0)
