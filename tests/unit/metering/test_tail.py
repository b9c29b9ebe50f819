"""The tail: charged once, taken back when it is delivered, and all of it adds up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.metering.counts import ZERO, TokenCounts, sum_counts
from agentspec_usage.metering.level import Level
from agentspec_usage.metering.tail import Estimate, Mark, stretch, tail_parts, taken_back

REST = "rest"


def tokens(amount: int, cached: int = 0) -> TokenCounts:
    return TokenCounts(input=amount, cache_read=cached, calls=amount)


def level(**cells: int) -> Level[str]:
    """A level whose cells are whole."""
    counts = {key: tokens(amount) for key, amount in cells.items()}
    return Level(sum_counts(counts.values()), counts)


def parts(marks: list[Mark[str]], charged: Level[str]) -> list[tuple[int, str, int]]:
    return [(p.bucket, p.key, p.counts.input) for p in tail_parts(marks, charged, REST)]


def test_each_stretch_is_dated_by_the_bucket_in_which_it_was_seen() -> None:
    marks = [Mark(900, level(gpt=10)), Mark(1800, level(gpt=25, claude=5))]
    assert parts(marks, Level()) == [(900, "gpt", 10), (1800, "gpt", 15), (1800, "claude", 5)]


def test_what_is_charged_is_taken_from_the_oldest_buckets() -> None:
    marks = [Mark(900, level(gpt=10)), Mark(1800, level(gpt=25)), Mark(2700, level(gpt=26))]
    assert parts(marks, level(gpt=12)) == [(1800, "gpt", 13), (2700, "gpt", 1)]


def test_a_mark_that_was_made_of_an_old_copy_adds_nothing() -> None:
    marks = [Mark(900, level(gpt=10)), Mark(1800, level(gpt=4)), Mark(2700, level(gpt=11))]
    assert parts(marks, Level()) == [(900, "gpt", 10), (2700, "gpt", 1)]


def test_what_no_cell_claims_has_no_series() -> None:
    marks = [Mark(900, Level(tokens(10), {"gpt": tokens(6)}))]
    assert parts(marks, Level()) == [(900, "gpt", 6), (900, REST, 4)]


def test_cells_cannot_claim_more_than_the_totals_grew() -> None:
    """40 of the 60 were lost and are charged without their series."""
    lost = Level(tokens(60), {"gpt": tokens(20), REST: tokens(40)})
    assert parts([Mark(900, level(gpt=60))], lost) == []
    assert parts([Mark(900, level(gpt=61))], lost) == [(900, "gpt", 1)]


def test_a_series_takes_back_its_own_estimates_first() -> None:
    standing = [Estimate(1, "gpt", tokens(5)), Estimate(2, "claude", tokens(5))]
    assert taken_back(standing, {"claude": tokens(3)}, REST) == [Estimate(2, "claude", tokens(3))]


def test_then_those_of_an_unknown_series_and_then_any_the_oldest_first() -> None:
    standing = [
        Estimate(1, "gpt", tokens(5)),
        Estimate(2, REST, tokens(5)),
        Estimate(3, "claude", tokens(5)),
    ]
    assert taken_back(standing, {"claude": tokens(7)}, REST) == [
        Estimate(2, REST, tokens(2)),
        Estimate(3, "claude", tokens(5)),
    ]
    assert taken_back(standing, {"claude": tokens(12)}, REST) == [
        Estimate(1, "gpt", tokens(2)),
        Estimate(2, REST, tokens(5)),
        Estimate(3, "claude", tokens(5)),
    ]


def test_more_than_what_stands_takes_back_all_of_it_and_no_more() -> None:
    standing = [Estimate(1, "gpt", tokens(5, cached=2))]
    assert taken_back(standing, {"gpt": tokens(9, cached=9)}, REST) == standing
    assert taken_back([], {"gpt": tokens(9)}, REST) == []


KEYS = ("gpt", "claude", REST)
amounts = st.builds(tokens, st.integers(0, 9), st.integers(0, 9))
cells = st.dictionaries(st.sampled_from(KEYS), amounts, max_size=3)


@given(
    standing=st.lists(st.tuples(st.sampled_from(KEYS), amounts), max_size=6),
    delivered=cells,
)
def test_what_is_taken_back_is_the_lesser_of_what_stands_and_what_was_delivered(
    standing: list[tuple[str, TokenCounts]], delivered: dict[str, TokenCounts]
) -> None:
    estimates = [Estimate(item, key, counts) for item, (key, counts) in enumerate(standing)]
    falls = taken_back(estimates, delivered, REST)
    stood = sum_counts(one.counts for one in estimates)
    assert sum_counts(fall.counts for fall in falls) == stood.meet(sum_counts(delivered.values()))
    by_item = {one.item: one for one in estimates}
    for fall in falls:
        assert by_item[fall.item].key == fall.key
        assert by_item[fall.item].counts.covers(fall.counts)


levels = st.builds(
    lambda known, more: Level(sum_counts(known.values()) + more, known), cells, amounts
)


@given(
    marks=st.lists(st.builds(Mark, st.integers(0, 5), levels), max_size=6),
    charged=levels,
    at=st.integers(0, 5),
)
def test_the_parts_sum_to_what_was_seen_beyond_what_is_charged(
    marks: list[Mark[str]], charged: Level[str], at: int
) -> None:
    seen: Level[str] = Level()
    for mark in marks:
        seen = seen.join(mark.level)
    found = list(tail_parts(marks, charged, REST))
    expected = seen.totals.increase_since(charged.totals)
    assert sum_counts(part.counts for part in found) == expected
    assert [part.bucket for part in found] == sorted(part.bucket for part in found)

    early: Level[str] = Level()
    for mark in marks:
        if mark.bucket < at:
            early = early.join(mark.level)
    before = sum_counts(part.counts for part in found if part.bucket < at)
    assert before == sum_counts(stretch(Level(), early, charged, REST).values())
    after = sum_counts(part.counts for part in found if part.bucket >= at)
    assert after == sum_counts(stretch(early, seen, charged, REST).values())


@dataclass
class Receiver:
    """The store's part of the law, in the fewest words."""

    applied: dict[str, TokenCounts] = field(default_factory=dict)
    estimates: list[Estimate[str]] = field(default_factory=list)
    marks: dict[int, Level[str]] = field(default_factory=dict)
    billed: int = 0

    def charged(self) -> Level[str]:
        sums = dict(self.applied)
        for one in self.estimates:
            sums[one.key] = sums.get(one.key, ZERO) + one.counts
        return Level(sum_counts(sums.values()), sums)

    def hear(self, bucket: int, told: Level[str]) -> None:
        self.marks[bucket] = self.marks.get(bucket, Level()).join(told)

    def deliver(self, calls: dict[str, TokenCounts]) -> None:
        for key, counts in calls.items():
            self.applied[key] = self.applied.get(key, ZERO) + counts
        falls = {fall.item: fall.counts for fall in taken_back(self.estimates, calls, REST)}
        self.estimates = [
            Estimate(one.item, one.key, one.counts.increase_since(falls.get(one.item, ZERO)))
            for one in self.estimates
        ]

    def bill(self, until: int) -> None:
        marks = [Mark(bucket, told) for bucket, told in self.marks.items() if bucket < until]
        for part in list(tail_parts(marks, self.charged(), REST)):
            self.billed += 1
            self.estimates.append(Estimate(self.billed, part.key, part.counts))

    def tail(self) -> TokenCounts:
        marks = [Mark(bucket, told) for bucket, told in self.marks.items()]
        return sum_counts(part.counts for part in tail_parts(marks, self.charged(), REST))


@given(data=st.data())
def test_charges_and_tail_sum_to_what_was_reported_however_it_came(data: st.DataObject) -> None:
    """I10. ``path`` is the instance's life, call by call; nothing else is ever true."""
    calls = data.draw(st.lists(st.tuples(st.sampled_from(KEYS[:2]), amounts), max_size=12))
    path: list[Level[str]] = [Level()]
    for key, counts in calls:
        path.append(path[-1] + Level(counts, {key: counts}))
    receiver, durable, furthest = Receiver(), 0, 0
    for bucket in range(data.draw(st.integers(0, 8))):
        match data.draw(st.sampled_from(("hear", "deliver", "bill"))):
            case "hear":
                seen = data.draw(st.integers(0, len(calls)))
                receiver.hear(bucket, path[seen])
                furthest = max(furthest, seen)
            case "deliver":
                last = data.draw(st.integers(durable, len(calls)))
                brought: dict[str, TokenCounts] = {}
                for key, counts in calls[durable:last]:
                    brought[key] = brought.get(key, ZERO) + counts
                receiver.deliver(brought)
                durable, furthest = last, max(furthest, last)
            case "bill":
                until = data.draw(st.integers(0, bucket + 1))
                receiver.bill(until)
                before = list(receiver.estimates)
                receiver.bill(until)
                assert receiver.estimates == before, "billed twice"
        assert receiver.charged().totals + receiver.tail() == path[furthest].totals
        assert sum_counts(receiver.applied.values()) == path[durable].totals
    brought = {}
    for key, counts in calls[durable:]:
        brought[key] = brought.get(key, ZERO) + counts
    receiver.deliver(brought)
    assert receiver.charged().totals == path[-1].totals
    assert not any(one.counts for one in receiver.estimates)
    assert not receiver.tail()


@pytest.mark.parametrize(
    "seen_first", [pytest.param(True, id="seen first"), pytest.param(False, id="billed late")]
)
def test_a_delivered_call_replaces_its_estimate_though_the_instance_goes_on(
    seen_first: bool,
) -> None:
    """min(estimated, reported - applied) would let the estimate of the first stretch stand."""
    receiver = Receiver()
    receiver.hear(0, level(gpt=100))
    receiver.bill(1)
    if seen_first:
        receiver.hear(1, level(gpt=200))
    receiver.deliver({"gpt": tokens(100)})
    receiver.hear(1, level(gpt=200))
    assert not any(one.counts for one in receiver.estimates)
    assert receiver.tail() == tokens(100)
