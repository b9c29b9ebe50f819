"""One leader at a time, whatever the clocks, the network and the event loop do."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.kube.lease import Elector, LeasePort, LeaseTerms
from tests.fakes.kube import FakeLeases, Line
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time


class SkewedClock(VirtualClock):
    """A machine whose wall clock is off by hours; its monotonic clock is like every other."""

    def __init__(self, hours: int) -> None:
        self._skew = hours * 3_600_000

    def now(self) -> int:
        return super().now() + self._skew


def elector(leases: LeasePort, identity: str, clock: VirtualClock | None = None) -> Elector:
    return Elector(leases, LeaseTerms("ns", "lease", identity), clock or VirtualClock())


async def watched_for(seconds: float, electors: list[Elector]) -> list[int]:
    """How many led at once, looked at every tenth of a second."""
    counts = []
    for _ in range(round(seconds * 10)):
        counts.append(sum(each.is_leader for each in electors))
        await asyncio.sleep(0.1)
    return counts


def test_the_first_leads_and_goes_on_leading_while_the_second_waits() -> None:
    async def main() -> None:
        leases = FakeLeases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.lead()
        waiting = asyncio.create_task(second.lead())

        assert set(await watched_for(120, [first, second])) == {1}
        assert first.is_leader
        assert not waiting.done()

    run_in_virtual_time(main)


@pytest.mark.parametrize("hours", [pytest.param(-5, id="behind"), pytest.param(5, id="ahead")])
def test_a_skewed_wall_clock_never_makes_two_leaders(hours: int) -> None:
    async def main() -> None:
        leases = FakeLeases()
        first, second = elector(leases, "a"), elector(leases, "b", SkewedClock(hours))
        await first.lead()
        waiting = asyncio.create_task(second.lead())

        assert set(await watched_for(120, [first, second])) == {1}
        assert not waiting.done()

    run_in_virtual_time(main)


def test_a_leader_that_is_cut_off_stops_before_the_next_one_starts() -> None:
    async def main() -> None:
        leases = FakeLeases()
        line = Line(leases)
        first, second = elector(line, "a"), elector(leases, "b")
        await first.lead()
        waiting = asyncio.create_task(second.lead())
        await asyncio.sleep(30)
        line.cut = True

        counts = await watched_for(20, [first, second])

        assert max(counts) == 1
        assert first.lost.is_set()
        assert waiting.done()
        assert counts.index(0) <= 105

    run_in_virtual_time(main)


def test_a_killed_leader_is_followed_within_the_lease_duration_and_a_retry() -> None:
    async def main() -> None:
        leases = FakeLeases()
        line = Line(leases)
        first, second = elector(line, "a"), elector(leases, "b")
        await first.lead()
        waiting = asyncio.create_task(second.lead())
        await asyncio.sleep(7)
        line.cut = True
        died = VirtualClock().monotonic()
        await waiting

        assert VirtualClock().monotonic() - died <= 15 + 2 * 1.2

    run_in_virtual_time(main)


def test_a_released_lease_is_taken_at_the_next_try() -> None:
    async def main() -> None:
        leases = FakeLeases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.lead()
        waiting = asyncio.create_task(second.lead())
        await asyncio.sleep(5)
        await first.release()
        released = VirtualClock().monotonic()
        assert not first.is_leader
        await waiting

        assert VirtualClock().monotonic() - released <= 2 * 1.2
        assert not first.lost.is_set()

    run_in_virtual_time(main)


def test_a_release_in_the_middle_of_a_renewal_still_clears_the_holder() -> None:
    async def main() -> None:
        leases = FakeLeases(seconds=0.5)
        first = elector(leases, "a")
        await first.lead()
        await asyncio.sleep(2.25)
        await first.release()

        assert leases.writes[-1] == ""

    run_in_virtual_time(main)


def test_a_stalled_event_loop_finds_itself_no_longer_leading() -> None:
    class Stalled(VirtualClock):
        offset = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.offset

    async def main() -> None:
        clock = Stalled()
        first = elector(FakeLeases(), "a", clock)
        await first.lead()
        assert first.is_leader

        clock.offset = 11.0

        assert not first.is_leader

    run_in_virtual_time(main)


def test_a_renewal_counts_from_before_it_was_sent() -> None:
    async def main() -> None:
        line = Line(FakeLeases(seconds=4.0))
        first = elector(line, "a")
        await first.lead()
        line.cut = True

        counts = await watched_for(10, [first])

        assert counts.count(1) <= 60

    run_in_virtual_time(main)


def test_a_lease_that_somebody_deletes_is_made_again_by_its_leader() -> None:
    async def main() -> None:
        leases = FakeLeases()
        first = elector(leases, "a")
        await first.lead()
        leases.lease = None

        assert set(await watched_for(30, [first])) == {1}
        assert leases.lease is not None

    run_in_virtual_time(main)


def test_a_short_outage_does_not_end_a_term() -> None:
    async def main() -> None:
        line = Line(FakeLeases())
        first = elector(line, "a")
        await first.lead()
        await asyncio.sleep(5)
        line.cut = True
        await asyncio.sleep(7)
        line.cut = False

        assert set(await watched_for(30, [first])) == {1}
        assert not first.lost.is_set()

    run_in_virtual_time(main)


def test_taking_over_counts_a_transition_and_keeps_what_others_wrote_on_the_lease() -> None:
    async def main() -> dict[str, Any]:
        leases = FakeLeases()
        first, second = elector(leases, "a"), elector(leases, "b")
        await first.lead()
        assert leases.lease is not None
        leases.lease["metadata"]["labels"] = {"team": "platform"}
        await first.release()
        await second.lead()
        return leases.lease

    lease = run_in_virtual_time(main)

    assert lease["spec"]["leaseTransitions"] == 1
    assert lease["spec"]["holderIdentity"] == "b"
    assert lease["metadata"]["labels"] == {"team": "platform"}


def test_every_try_beats_so_that_a_waiting_standby_is_alive() -> None:
    beats: list[float] = []

    async def main() -> None:
        leases = FakeLeases()
        await elector(leases, "a").lead()

        def on_turn() -> None:
            beats.append(VirtualClock().monotonic())

        standby = Elector(leases, LeaseTerms("ns", "lease", "b"), VirtualClock(), on_turn=on_turn)
        waiting = asyncio.create_task(standby.lead())
        await asyncio.sleep(60)
        waiting.cancel()

    run_in_virtual_time(main)

    assert max(b - a for a, b in pairwise(beats)) <= 3


@pytest.mark.parametrize(
    ("duration", "deadline", "retry"),
    [
        pytest.param(10.0, 10.0, 2.0, id="deadline-not-before-duration"),
        pytest.param(15.0, 2.0, 2.0, id="retry-not-before-deadline"),
        pytest.param(0.5, 0.4, 0.1, id="below-a-second"),
    ],
)
def test_terms_that_would_allow_two_leaders_are_refused(
    duration: float, deadline: float, retry: float
) -> None:
    with pytest.raises(SettingsError, match=f"{duration}"):
        LeaseTerms("ns", "lease", "a", duration, deadline, retry)
