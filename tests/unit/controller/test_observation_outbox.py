"""What waits for the control plane: the newest of each instance, bounded, and nothing twice."""

from __future__ import annotations

import pytest

from agentspec_usage.controller.observation_outbox import Batch, ObservationOutbox
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.wire.observed import Observation, decode_observed
from tests.unit.controller.records import record
from tests.unit.metering.readings import A, B, numbered_id, reading, snapshot

REFRESH = 300.0


class Seeing:
    """An outbox, and pods that are read at times that the test says."""

    def __init__(self, room: int = 1000) -> None:
        self.outbox = ObservationOutbox(refresh=REFRESH, room=room)

    def saw(
        self,
        of: ObservationRecord,
        *snapshots: UsageSnapshot,
        pod: str = "pod-1",
        container: str = "c-1",
        now: float = 0.0,
        grew: bool = True,
    ) -> None:
        self.outbox.saw(of, pod, container, reading(*snapshots), grew=grew, now=now, at=1000)

    def take(self, now: float = 0.0, limit: int = 300, asks: int = 0) -> Batch | None:
        return self.outbox.take(limit, asks, now)

    def taken(self, now: float = 0.0, limit: int = 300, asks: int = 0) -> tuple[Observation, ...]:
        """The next body, acknowledged at once."""
        batch = self.take(now, limit, asks)
        if batch is None:
            return ()
        self.outbox.acknowledged(batch, now)
        return decode_observed(batch.body)


def shown(observations: tuple[Observation, ...]) -> list[tuple[str, list[int]]]:
    """Who was handed in, and the tokens of each snapshot; none for a question."""
    return [
        (
            one.name,
            [snapshot.totals.total for snapshot in one.reading.snapshots] if one.reading else [],
        )
        for one in observations
    ]


def test_of_each_instance_only_the_newest_reading_waits() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5))
    seeing.saw(bot, snapshot(A, 7), snapshot(B, 1))
    assert shown(seeing.taken()) == [("bot", [7, 1])]
    assert seeing.taken() == ()


def test_an_instance_that_is_gone_before_it_was_handed_in_is_not_forgotten() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5), container="c-1")
    seeing.saw(bot, snapshot(B, 1), container="c-2")
    assert shown(seeing.taken()) == [("bot", [5]), ("bot", [1])]


def test_windows_of_a_drained_source_are_handed_in_one_by_one() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(None, 5, started=1000))
    seeing.saw(bot, snapshot(None, 6, started=1000))
    seeing.saw(bot, snapshot(None, 2, started=2000))
    found = seeing.taken()
    assert shown(found) == [("bot", [6]), ("bot", [2])]
    assert {one.container for one in found} == {"c-1"}


def test_what_travels_through_a_sidecar_is_not_handed_in() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5, via="sidecar"))
    assert seeing.taken() == ()


def test_a_pod_that_does_not_grow_is_handed_in_again_after_the_refresh_alone() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5), now=0, grew=False)
    assert shown(seeing.taken(0)) == [("bot", [5])]
    seeing.saw(bot, snapshot(A, 5), now=REFRESH - 1, grew=False)
    assert seeing.taken(REFRESH - 1) == ()
    seeing.saw(bot, snapshot(A, 5), now=REFRESH, grew=False)
    assert shown(seeing.taken(REFRESH)) == [("bot", [5])]


def test_what_got_no_answer_waits_again_unless_something_newer_does() -> None:
    seeing, bot, cat = Seeing(), record("bot"), record("cat")
    seeing.saw(bot, snapshot(A, 5))
    seeing.saw(cat, snapshot(B, 1))
    batch = seeing.take()
    assert batch is not None
    seeing.saw(bot, snapshot(A, 9))
    seeing.outbox.put_back(batch)
    assert sorted(shown(seeing.taken())) == [("bot", [9]), ("cat", [1])]
    assert seeing.outbox.rows == 0


def test_a_body_takes_so_many_entries_and_the_rest_goes_next() -> None:
    seeing = Seeing()
    for number in range(5):
        seeing.saw(record(f"bot-{number}"), snapshot(A, number + 1))
    assert [one.name for one in seeing.taken(limit=3)] == ["bot-0", "bot-1", "bot-2"]
    assert [one.name for one in seeing.taken(limit=3)] == ["bot-3", "bot-4"]


def test_an_object_of_many_pods_is_handed_in_over_several_bodies() -> None:
    seeing, bot = Seeing(), record()
    for number in range(5):
        seeing.saw(bot, snapshot(numbered_id(number), number + 1), pod=f"pod-{number}")
    found = [one.pod_uid for _ in range(3) for one in seeing.taken(limit=2)]
    assert found == [f"pod-{number}" for number in range(5)]


def test_a_body_stays_below_its_bytes_and_nothing_is_lost() -> None:
    seeing = Seeing(room=100_000)
    many = {f"{number}-{'m' * 110}": 1 for number in range(250)}
    for number in range(30):
        seeing.saw(record(f"bot-{number}"), snapshot(A, many))
    names = []
    while found := seeing.taken():
        names += [one.name for one in found]
    assert names == [f"bot-{number}" for number in range(30)]


def test_an_idle_object_is_asked_for_once_in_a_while_and_the_longest_waiting_first() -> None:
    seeing = Seeing()
    for name in ("bot", "cat", "dog"):
        seeing.outbox.keep(record(name))
    assert sorted(shown(seeing.taken(0, asks=2)) + shown(seeing.taken(0, asks=2))) == [
        ("bot", []),
        ("cat", []),
        ("dog", []),
    ]
    assert seeing.taken(REFRESH, asks=2) == ()
    assert len(seeing.taken(1.5 * REFRESH, asks=2)) == 2


def test_a_question_without_an_answer_is_asked_again() -> None:
    seeing = Seeing()
    seeing.outbox.keep(record())
    batch = seeing.take(asks=1)
    assert batch is not None
    seeing.outbox.put_back(batch)
    assert shown(seeing.taken(1, asks=1)) == [("bot", [])]


def test_a_reading_is_a_question_as_well() -> None:
    seeing, bot = Seeing(), record()
    seeing.outbox.keep(bot)
    seeing.saw(bot, snapshot(A, 5))
    assert shown(seeing.taken(0, asks=9)) == [("bot", [5])]
    assert seeing.taken(REFRESH, asks=9) == ()


def test_memory_is_bounded_and_what_had_no_room_comes_with_the_next_reading() -> None:
    seeing = Seeing(room=64)
    records = [record(f"bot-{number}") for number in range(100)]
    for one in records:
        seeing.saw(one, snapshot(A, 5))
    assert seeing.outbox.rows <= 64
    assert seeing.outbox.refused == 100 - 32
    first = {one.name for one in seeing.taken()}
    for one in records:
        seeing.saw(one, snapshot(A, 5), now=1, grew=False)
    assert first | {one.name for one in seeing.taken(1)} == {f"bot-{n}" for n in range(64)}


def test_growth_for_which_there_was_no_room_comes_although_the_pod_grows_no_more() -> None:
    seeing, bot, cat = Seeing(room=32), record("bot"), record("cat")
    seeing.saw(bot, snapshot(A, 5))
    seeing.taken()
    for number in range(20):
        seeing.saw(record(f"dog-{number}"), snapshot(A, 1))
    seeing.saw(bot, snapshot(A, 6), now=1)
    assert "bot" not in [one.name for one in seeing.taken(1)]
    seeing.saw(cat, snapshot(A, 1), now=2)
    seeing.saw(bot, snapshot(A, 6), now=2, grew=False)
    assert shown(seeing.taken(2)) == [("cat", [1]), ("bot", [6])]


def test_one_object_cannot_take_the_room_of_all() -> None:
    seeing, bot, cat = Seeing(room=320), record("bot"), record("cat")
    for number in range(500):
        seeing.saw(bot, snapshot(numbered_id(number), 1))
    assert seeing.outbox.rows == 320 // 16
    seeing.saw(cat, snapshot(A, 1))
    assert "cat" in [one.name for one in seeing.taken()]


@pytest.mark.parametrize("asks", [pytest.param(0, id="none"), pytest.param(9, id="questions")])
def test_an_object_that_is_gone_hands_in_its_last_reading_and_is_forgotten(asks: int) -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5))
    seeing.outbox.forget(bot.uid)
    batch = seeing.take(asks=asks)
    assert batch is not None
    seeing.outbox.put_back(batch)
    assert shown(seeing.taken(asks=asks)) == [("bot", [5])]
    assert len(seeing.outbox) == 0
    assert seeing.taken(10 * REFRESH, asks=asks) == ()


def test_what_is_refused_for_good_is_left_alone_for_a_while_and_holds_nobody_up() -> None:
    seeing, bot, cat = Seeing(), record("bot"), record("cat")
    seeing.saw(bot, snapshot(A, 5))
    batch = seeing.take()
    assert batch is not None
    seeing.outbox.set_aside(batch, 0)
    seeing.saw(bot, snapshot(A, 6), now=1)
    seeing.saw(cat, snapshot(B, 1), now=1)
    assert shown(seeing.taken(1)) == [("cat", [1])]
    assert shown(seeing.taken(REFRESH)) == [("bot", [6])]


def test_it_is_said_who_pays_and_an_object_without_a_spec_is_not_asked_for() -> None:
    seeing, bot, odd = Seeing(), record(), record("odd")
    bot.cost_center = "4711"
    odd.spec = None
    seeing.outbox.keep(odd)
    seeing.outbox.keep(bot)
    (question,) = seeing.taken(asks=9)
    assert (question.name, question.cost_center) == ("bot", "4711")


def test_an_object_that_comes_back_while_its_reading_is_under_way_is_still_asked_for() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5))
    batch = seeing.take()
    assert batch is not None
    seeing.outbox.forget(bot.uid)
    seeing.outbox.keep(bot)
    seeing.outbox.acknowledged(batch, 0)
    assert len(seeing.outbox) == 1
    assert shown(seeing.taken(asks=1)) == [("bot", [])]


def test_what_was_read_of_an_object_before_and_after_it_came_back_is_handed_in() -> None:
    seeing, bot = Seeing(), record()
    seeing.saw(bot, snapshot(A, 5))
    batch = seeing.take()
    assert batch is not None
    seeing.outbox.forget(bot.uid)
    seeing.saw(bot, snapshot(B, 7))
    seeing.outbox.put_back(batch)
    assert [sorted(tokens) for _, tokens in shown(seeing.taken())] == [[5, 7]]
    assert seeing.outbox.rows == 0


def test_an_object_that_is_gone_and_finds_no_room_when_put_back_is_forgotten() -> None:
    seeing, bot = Seeing(room=64), record()
    seeing.saw(bot, snapshot(A, 5))
    batch = seeing.take()
    assert batch is not None
    seeing.outbox.forget(bot.uid)
    for number in range(32):
        seeing.saw(record(f"cat-{number}"), snapshot(numbered_id(number), 1))
    seeing.outbox.put_back(batch)
    assert len(seeing.outbox) == 32
