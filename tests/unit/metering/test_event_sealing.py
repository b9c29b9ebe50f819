"""Portions of events are stretches of calls: what is tried again counts once."""

from __future__ import annotations

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.event_sealing import EventSealing
from agentspec_usage.metering.frame import broken_law
from agentspec_usage.metering.snapshot import Observer
from tests.unit.metering.usage_events import drawing, event


def test_a_portion_is_a_lawful_frame_for_each_agent() -> None:
    a, b = event(), event(agent="agt_b", tokens=7)
    frames = EventSealing(drawing()).frames((a, b, a))
    assert [(one.agent_id, one.events) for one in frames] == [("agt_a", (a, a)), ("agt_b", (b,))]
    assert [broken_law(one.frame) for one in frames] == [None, None]
    assert {one.frame.observer for one in frames} == {Observer.EVENTS}
    assert frames[0].frame.instance_id != frames[1].frame.instance_id
    assert frames[1].frame.totals == TokenCounts(input=7, output=1, calls=1)


def test_the_same_portion_gives_the_same_frames_until_it_is_durable() -> None:
    sealing = EventSealing(drawing())
    portion = (event(), event())
    assert sealing.frames(portion) == sealing.frames(portion)


def test_the_next_portion_follows_the_one_that_is_durable() -> None:
    sealing = EventSealing(drawing())
    first = sealing.frames((event(), event()))
    sealing.durable(first)
    (second,) = sealing.frames((event(),))
    assert second.frame.instance_id == first[0].frame.instance_id
    assert (second.frame.since, second.frame.last) == (2, 3)
    assert second.frame.totals == TokenCounts(input=30, output=3, calls=3)
    assert broken_law(second.frame) is None


def test_after_the_store_went_back_in_time_an_agent_goes_on_as_a_new_instance() -> None:
    sealing = EventSealing(drawing())
    sealing.durable(sealing.frames((event(), event(agent="agt_b"))))
    before = sealing.frames((event(), event(agent="agt_b")))
    sealing.rewound(["agt_a"])
    after = sealing.frames((event(), event(agent="agt_b")))
    assert after[0].frame.instance_id != before[0].frame.instance_id
    assert (after[0].frame.since, after[0].frame.last) == (0, 1)
    assert after[1] == before[1]
