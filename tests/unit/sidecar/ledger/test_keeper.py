"""A restart goes on as the same instance; where the file may lack something, as another one, and
nothing is numbered, billed or shown twice."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.pod_ledger import TotalsSeen
from agentspec_usage.metering.record import CallStatus, UsageRecord
from agentspec_usage.sidecar.calls import LedgerUnavailableError
from agentspec_usage.sidecar.ledger.entries import CallPending, EndedOnce, Happened
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from tests.fakes.hand_clock import HandClock
from tests.unit.metering.readings import A, numbered_id, snapshot, tokens
from tests.unit.metering.records import record as plain
from tests.unit.sidecar.ledger.keepers import (
    ending,
    frame_of,
    known_to,
    numbering,
    opened,
    opening,
)


class Pod:
    """A directory, its clock, and the lives of a ledger in it, one after another."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = HandClock()
        self.draw_id = numbering()
        self.keeper = self.begin()

    def begin(self, *, boot: str = "boot-1", forwarded: bool = True) -> LedgerKeeper:
        self.keeper = opened(
            self.directory, self.clock, self.draw_id, boot=boot, forwarded=forwarded
        )
        return self.keeper

    def again(self, *, boot: str = "boot-1", forwarded: bool = True) -> LedgerKeeper:
        """The process is killed, and the next one begins."""
        self.kill()
        return self.begin(boot=boot, forwarded=forwarded)

    def kill(self) -> None:
        """Nothing is written any more: a keeper writes nothing of its own when it is closed."""
        self.keeper.close()

    def call(self, key: str, amount: int, call_id: str = "") -> None:
        self.keeper.write(opening(self.keeper, key))
        self.keeper.write(ending(self.keeper, key, replace(plain(0, amount), call_id=call_id)))

    @property
    def totals(self) -> TokenCounts:
        return self.keeper.account.snapshot(0).totals


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    pod = Pod(tmp_path)
    yield pod
    pod.kill()


def test_a_restart_goes_on_as_the_same_instance(pod: Pod) -> None:
    pod.call("a", 10)
    before = pod.keeper.account.snapshot(0)
    assert pod.again().account.snapshot(0) == before
    pod.call("b", 5)
    assert (pod.totals, pod.keeper.account.pod.seq) == (tokens(15, calls=2), 2)


def test_a_call_that_was_open_when_the_process_was_killed_is_unmetered(pod: Pod) -> None:
    pod.keeper.write(opening(pod.keeper, "cut"))
    account = pod.again().account
    assert account.pod.open_calls == ()
    assert account.snapshot(0).totals == TokenCounts(calls=1, unmetered_calls=1)
    assert [row.key.model for row in account.snapshot(0).rows] == ["gpt"]


def test_a_frame_that_was_taken_is_known_after_a_restart(pod: Pod) -> None:
    pod.keeper.take([frame_of(pod.keeper, A, replace(plain(1, 7), call_id="c"))])
    account = pod.again().account
    assert account.pod.sender(A).seq == 1
    assert account.snapshot(0).totals == tokens(7)


def test_the_frame_under_way_is_sent_again_byte_for_byte(pod: Pod) -> None:
    pod.call("a", 10)
    outbox = pod.keeper.account.outbox
    assert outbox is not None
    sealed = outbox.to_send()
    assert sealed is not None
    pod.call("b", 5)
    outbox = pod.again().account.outbox
    assert outbox is not None
    again = outbox.to_send()
    assert again is not None
    assert again.body == sealed.body
    assert outbox.acknowledged(again, 1)
    following = outbox.to_send()
    assert following is not None
    assert (following.frame.since, following.frame.last) == (1, 2)


def test_what_was_acknowledged_is_not_sent_again(pod: Pod) -> None:
    pod.call("a", 10)
    outbox = pod.keeper.account.outbox
    assert outbox is not None
    sealed = outbox.to_send()
    assert sealed is not None
    outbox.acknowledged(sealed, 1)
    pod.keeper.note_acknowledged()
    outbox = pod.again().account.outbox
    assert outbox is not None
    assert (outbox.durable, outbox.settled) == (1, True)


def test_an_instance_that_said_its_end_is_not_gone_on_with(pod: Pod) -> None:
    pod.call("a", 10)
    pod.keeper.end_instance()
    said = pod.keeper.account.snapshot(0)
    assert (said.totals, said.final) == (tokens(10), True)
    account = pod.again().account
    assert account.instance_id != said.instance_id
    assert (account.snapshot(0).totals, account.snapshot(0).final) == (TokenCounts(), False)
    assert account.snapshot(0).rows == ()
    pod.call("b", 5)
    assert pod.totals == tokens(5)
    assert account.pod.seq == 1


def test_the_end_of_an_instance_is_sent_by_the_next_one(pod: Pod) -> None:
    pod.call("a", 10)
    pod.keeper.end_instance()
    ended = pod.keeper.account.instance_id
    outbox = pod.again().account.outboxes[ended]
    sealed = outbox.to_send()
    assert sealed is not None
    assert (sealed.frame.last, sealed.frame.final) == (1, True)
    outbox.acknowledged(sealed, 1)
    pod.keeper.note_acknowledged()
    assert list(pod.again().account.outboxes) == [pod.keeper.account.instance_id]


def test_after_the_end_nothing_counts(pod: Pod) -> None:
    pod.keeper.end_instance()
    pod.call("late", 10)
    assert pod.totals == TokenCounts()
    assert pod.keeper.lost_events == 2


def test_a_call_of_an_ended_instance_that_an_sdk_tells_of_later_is_not_counted_again(
    pod: Pod,
) -> None:
    pod.call("a", 10, call_id="c")
    pod.keeper.end_instance()
    keeper = pod.again()
    keeper.take([frame_of(keeper, A, replace(plain(1, 10), call_id="c"))])
    assert keeper.account.snapshot(0).totals == TokenCounts()
    assert keeper.account.snapshot(0).upper_tokens is None


@pytest.mark.parametrize("doubt", ["boot", "name", "forwarded"])
def test_a_file_that_may_lack_something_is_gone_on_with_as_another_instance(
    pod: Pod, doubt: str
) -> None:
    pod.call("a", 10)
    earlier = pod.keeper.account.instance_id
    pod.kill()
    if doubt == "name":
        (pod.directory / "ledger").rename(pod.directory / "ledger.doubtful")
    pod.begin(
        boot="boot-2" if doubt == "boot" else "boot-1",
        forwarded=doubt != "forwarded",
    )
    account = pod.keeper.account
    assert account.instance_id not in ("", earlier)
    assert account.snapshot(0).totals == TokenCounts()
    sealed = account.outboxes[earlier].to_send()
    assert sealed is not None
    assert (sealed.frame.totals, sealed.frame.final) == (tokens(10), True)


def test_a_file_with_lines_that_nobody_knows_is_put_aside(pod: Pod) -> None:
    pod.call("a", 10)
    earlier = pod.keeper.account.instance_id
    pod.kill()
    line = b'["of another program"]'
    with (pod.directory / "ledger").open("ab") as file:
        file.write(b"%08x %b\n" % (zlib.crc32(line), line))
    account = pod.begin().account
    assert account.instance_id not in ("", earlier)
    assert pod.keeper.durable
    assert line in (pod.directory / "ledger.unreadable").read_bytes()


def test_without_a_directory_calls_count_and_frames_are_not_taken() -> None:
    keeper = opened(None, HandClock(), numbering())
    keeper.write(opening(keeper, "a"))
    keeper.write(ending(keeper, "a", plain(0, 10)))
    with pytest.raises(LedgerUnavailableError):
        keeper.take([frame_of(keeper, A, plain(1, 7))])
    assert keeper.account.snapshot(0).totals == tokens(10)
    assert not keeper.durable
    assert keeper.account.pod.sender(A).seq == 0


def test_a_directory_that_cannot_be_made_costs_no_call(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    keeper = opened(tmp_path / "file", HandClock(), numbering())
    keeper.write(opening(keeper, "a"))
    keeper.write(ending(keeper, "a", plain(0, 10)))
    assert keeper.account.snapshot(0).totals == tokens(10)
    assert str(tmp_path) in keeper.fault


async def test_a_file_that_grew_is_written_anew_and_loses_nothing(tmp_path: Path) -> None:
    clock, draw_id = HandClock(), numbering()
    keeper = opened(tmp_path, clock, draw_id, growth=2000)
    for number in range(40):
        keeper.write(opening(keeper, f"k{number}"))
        keeper.write(ending(keeper, f"k{number}", plain(0, 1)))
        clock.pass_seconds(3600)
    grown = keeper.file_bytes
    rewriting = asyncio.create_task(keeper.tick())
    await asyncio.sleep(0)  # the state is being written in a thread
    keeper.write(opening(keeper, "meanwhile"))
    keeper.write(ending(keeper, "meanwhile", plain(0, 1)))
    await rewriting
    assert keeper.file_bytes < grown
    known = known_to(keeper)
    keeper.close()
    again = opened(tmp_path, clock, draw_id)
    assert known_to(again) == known
    again.close()


async def test_a_background_response_counts_when_its_usage_is_retrieved(pod: Pod) -> None:
    keeper = pod.keeper
    keeper.write(opening(keeper, "job"))
    keeper.write(CallPending("job", ("openai", "resp-1"), keeper.now()))
    account = pod.again().account
    assert account.pod.open_calls == ("job",)
    assert account.snapshot(0).totals == TokenCounts()
    done = replace(plain(0, 30), response_id="resp-1")
    pod.keeper.write(EndedOnce("job", done, pod.keeper.now()))
    assert (pod.totals, account.pending) == (tokens(30), {})
    assert pod.again().account.seen.has("openai", "resp-1")


async def test_a_background_response_that_nobody_retrieves_is_unmetered_after_a_day(
    pod: Pod,
) -> None:
    keeper = pod.keeper
    keeper.write(opening(keeper, "job"))
    keeper.write(CallPending("job", ("openai", "resp-1"), keeper.now()))
    pod.clock.pass_seconds(24 * 3600 - 1)
    await keeper.tick()
    assert pod.totals == TokenCounts()
    pod.clock.pass_seconds(1)
    await keeper.tick()
    assert pod.totals == TokenCounts(calls=1, unmetered_calls=1)
    assert keeper.account.pod.open_calls == ()


def test_time_goes_on_where_an_earlier_life_stood(tmp_path: Path) -> None:
    clock = HandClock()
    clock.pass_seconds(5000)
    keeper = opened(tmp_path, clock, numbering())
    keeper.write(opening(keeper, "a"))
    stood = keeper.now()
    keeper.close()
    restarted = opened(tmp_path, HandClock(clock.now()), numbering())
    assert restarted.now().steady >= stood.steady
    restarted.close()


def test_totals_of_another_side_show_their_models_only_where_no_call_entered(pod: Pod) -> None:
    shown = snapshot(numbered_id(50), {"gpt": 7, "mini": 3})
    pod.keeper.write(Happened(TotalsSeen(shown), pod.keeper.now()))
    assert pod.again().account.snapshot(0).rows == shown.rows
    pod.call("a", 2)
    now = pod.keeper.account.snapshot(0)
    assert [row.counts for row in now.rows] == [tokens(2)]
    assert (now.totals.input, now.upper_tokens) == (10, 12)


def test_an_aborted_call_waits_across_a_restart_for_a_better_report(pod: Pod) -> None:
    keeper = pod.keeper
    keeper.write(opening(keeper, "a", call_id="c"))
    cut: UsageRecord = replace(plain(0, 4), status=CallStatus.ABORTED, call_id="c")
    keeper.write(ending(keeper, "a", cut))
    keeper = pod.again()
    assert keeper.account.snapshot(0).totals == TokenCounts()
    keeper.take([frame_of(keeper, A, replace(plain(1, 10), call_id="c"))])
    assert keeper.account.snapshot(0).totals == tokens(10)
