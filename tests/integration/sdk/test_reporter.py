"""What a reporter pushes arrives exactly once, at both kinds of receiver, whatever is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentspec_usage.errors import UsageError
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext
from agentspec_usage.sdk import Reporter, usage_context
from agentspec_usage.sdk.posting import PushError
from tests.integration.sdk.receivers import KEY, Reply, Store, Windows, listening

GPT = "openai/gpt-4o"
QUICK = 0.05
NO: Reply = (503, {}, b"")


def used(calls: int) -> TokenCounts:
    return TokenCounts(input=100 * calls, output=20 * calls, calls=calls)


def work(reporter: Reporter, calls: int) -> None:
    for _ in range(calls):
        reporter.ledger.record(GPT, 100, 20)


@pytest.fixture
def windows() -> Windows:
    return Windows()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    made = Reporter()
    yield made
    made.stop(5)


def test_tokens_recorded_while_the_first_post_is_rejected_arrive_once_with_the_next(
    reporter: Reporter, windows: Windows
) -> None:
    """The test that a reviewer of AgentSpec asked for."""
    work(reporter, 2)
    windows.log.refusals.append(NO)
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        windows.log.wait(lambda: len(windows.log.posts) >= 1)
        work(reporter, 3)
        windows.log.wait(lambda: windows.total.calls >= 5)
        reporter.stop()
    assert windows.total == used(5)
    assert reporter.ledger.snapshot().totals == used(5)


def test_agentspecs_receiver_is_told_windows_that_add_up_to_every_token(
    reporter: Reporter, windows: Windows
) -> None:
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        for calls in range(1, 6):
            work(reporter, 1)
            windows.log.refusals.extend([NO, NO])
            windows.log.wait(lambda calls=calls: windows.total.calls >= calls)  # type: ignore[misc]  # bound now
        work(reporter, 1)
        reporter.stop()
    assert windows.total == used(6)
    assert None in windows.instances
    assert windows.log.keys == {KEY}
    assert set(windows.log.posts) == {"/api/v1/heartbeat"}


def test_a_reset_by_somebody_else_takes_nothing_from_the_windows(
    reporter: Reporter, windows: Windows
) -> None:
    work(reporter, 1)
    reporter.ledger.snapshot(reset=True)
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        reporter.stop()
    assert windows.total == used(1)


def test_the_first_push_is_at_once(reporter: Reporter, windows: Windows) -> None:
    work(reporter, 1)
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, interval_seconds=3600)
        windows.log.wait(lambda: windows.total == used(1))


def test_the_control_plane_gets_every_record_once_and_the_end(
    reporter: Reporter, store: Store
) -> None:
    with listening(store) as url:
        with usage_context(team="search", user="u-1"):
            work(reporter, 3)
        reporter.start_push_mode(url, KEY, QUICK)
        store.log.wait(lambda: store.total == used(3))
        work(reporter, 2)
        assert reporter.stop()
    assert store.total == used(5)
    assert [record.seq for record in store.records] == [1, 2, 3, 4, 5]
    assert [record.context.team for record in store.records] == ["search"] * 3 + [""] * 2
    assert store.finals == 1
    assert store.beats[-1].final
    assert (store.beats[-1].totals, store.beats[-1].instance_id) == (
        used(5),
        reporter.ledger.instance_id,
    )


def test_records_survive_refusals_of_every_kind_and_arrive_once(
    reporter: Reporter, store: Store
) -> None:
    errors: list[PushError] = []
    store.log.refusals += [NO, (429, {"retry-after": "0"}, b""), (500, {}, b""), (200, {}, b"?")]
    with listening(store) as url:
        reporter.start_push_mode(url, KEY, QUICK, errors.append)
        work(reporter, 4)
        store.log.wait(lambda: store.total == used(4))
        assert reporter.stop()
    assert store.total == used(4)
    assert errors


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        pytest.param((401, {}, b""), "got 401", id="a wrong key"),
        pytest.param((302, {"location": "http://127.0.0.1:9/"}, b""), "got 302", id="elsewhere"),
        pytest.param((200, {}, bytes(300_000)), "at most", id="an endless answer"),
    ],
)
def test_an_error_says_what_was_expected_and_shows_no_key(
    reporter: Reporter, windows: Windows, reply: Reply, says: str
) -> None:
    errors: list[PushError] = []
    windows.log.refusals.append(reply)
    with listening(windows) as url:
        reporter.start_push_mode(f"{url}/{KEY}", KEY, QUICK, errors.append)
        windows.log.wait(lambda: len(windows.log.posts) >= 2)
        reporter.stop()
    text = str(errors[0])
    assert says in text
    assert "[REDACTED]" in text
    assert KEY not in text + repr(errors[0]) + repr(errors[0].__cause__) + repr(vars(reporter))


def test_a_key_that_no_header_can_carry_shows_nowhere_either(
    reporter: Reporter, windows: Windows
) -> None:
    errors: list[PushError] = []
    with listening(windows) as url:
        reporter.start_push_mode(url, "secret\nkey", QUICK, errors.append)
        reporter.stop()
    assert errors
    assert "secret" not in "".join(str(error) for error in errors)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param((200, {}, b"<!doctype html><title>Welcome</title>"), id="a page"),
        pytest.param((200, {}, b'{"durable": -1, "records": "/r"}'), id="half of ours"),
    ],
)
def test_a_2xx_that_nobody_means_drains_nothing_and_changes_no_dialect(
    reporter: Reporter, store: Store, reply: Reply
) -> None:
    store.log.refusals.append(reply)
    work(reporter, 3)
    with listening(store) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        store.log.wait(lambda: store.total == used(3))


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param((200, {}, b'{"status": "received"}'), id="an object"),
        pytest.param((200, {}, b""), id="nothing"),
        pytest.param((201, {}, b"{}"), id="created"),
    ],
)
def test_a_2xx_in_other_words_than_204_drains_as_well(
    reporter: Reporter, windows: Windows, reply: Reply
) -> None:
    windows.log.refusals.append(reply)
    work(reporter, 3)
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        windows.log.wait(lambda: len(windows.log.posts) >= 2)
        work(reporter, 1)
        reporter.stop()
    assert windows.total == used(1)


def test_an_error_handler_that_fails_stops_nothing(reporter: Reporter, windows: Windows) -> None:
    def broken(error: PushError) -> None:
        raise RuntimeError("mine")

    windows.log.refusals.append(NO)
    work(reporter, 1)
    with listening(windows) as url:
        reporter.start_push_mode(url, KEY, QUICK, broken)
        windows.log.wait(lambda: windows.total == used(1))


def test_starting_and_stopping_twice_is_as_once(reporter: Reporter, windows: Windows) -> None:
    with listening(windows) as url:
        pushing = [reporter.pushing]
        reporter.start_push_mode(url, KEY, 3600)
        reporter.start_push_mode("http://127.0.0.1:9", "other", 3600)
        pushing.append(reporter.pushing)
        reporter.stop()
        posts = len(windows.log.posts)
        reporter.stop()
        pushing.append(reporter.pushing)
        assert pushing == [False, True, False]
        assert len(windows.log.posts) == posts
    with pytest.raises(UsageError, match="whose end was not reported"):
        reporter.start_push_mode(url, KEY)


async def test_an_asyncio_host_stops_without_holding_up_its_loop(
    reporter: Reporter, store: Store
) -> None:
    work(reporter, 2)
    with listening(store) as url:
        reporter.start_push_mode(url, KEY, QUICK)
        assert await reporter.astop()
    assert store.total == used(2)


def test_what_could_not_be_delivered_is_sent_by_the_next_process(
    store: Store, tmp_path: Path
) -> None:
    first = Reporter(spool_directory=tmp_path / "spool")
    work(first, 3)
    first.start_push_mode("http://127.0.0.1:9", KEY, QUICK)
    assert first.stop(1)
    with listening(store) as url:
        second = Reporter(spool_directory=tmp_path / "spool")
        work(second, 2)
        second.start_push_mode(url, KEY, QUICK)
        store.log.wait(lambda: store.total == used(5))
        assert second.stop()
    assert store.total == used(5)
    assert store.finals == 2
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_detail_that_is_no_text_stops_nothing(reporter: Reporter, store: Store) -> None:
    with listening(store) as url:
        reporter.ledger.record(GPT, 100, 20, context=CallContext(user=7))  # type: ignore[arg-type]  # what hosts do
        work(reporter, 1)
        reporter.start_push_mode(url, KEY, QUICK)
        assert reporter.stop()
    assert store.total == used(2)


def test_nothing_is_imported_beside_the_host_once_pushing_began(store: Store) -> None:
    """A fork in the middle of an import by another thread leaves half a module in the child."""
    program = """
import sys
from agentspec_usage.sdk import Reporter
from agentspec_usage.sdk.posting import import_http
import_http()
reporter = Reporter()
before = set(sys.modules)
reporter.start_push_mode(sys.argv[1], "k", 0.05)
reporter.ledger.record("openai/gpt-4o", 100, 20)
reporter.stop()
print(sorted(set(sys.modules) - before))
"""
    with listening(store) as url:
        done = subprocess.run(
            [sys.executable, "-c", program, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stdout.strip() == "[]"
    assert store.total == used(1)


AGENT = """
import os, sys, time
from agentspec_usage.sdk import Reporter
reporter = Reporter()
reporter.start_push_mode(sys.argv[1], "k", interval_seconds=3600)
reporter.ledger.record("openai/gpt-4o", 100, 20)
{rest}
"""


@pytest.mark.parametrize(
    ("rest", "ends", "status"),
    [
        pytest.param("", None, 0, id="it returns"),
        pytest.param("sys.exit(3)", None, 3, id="it exits"),
        pytest.param("raise KeyError", None, 1, id="it raises"),
        pytest.param(
            "print('up', flush=True); time.sleep(60)", signal.SIGTERM, 143, id="it is terminated"
        ),
    ],
)
def test_a_process_that_ends_has_delivered(
    store: Store, rest: str, ends: signal.Signals | None, status: int
) -> None:
    with listening(store) as url:
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT.format(rest=rest), url],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert agent.stdout is not None
        if ends is not None:
            agent.stdout.readline()
            agent.send_signal(ends)
        assert agent.wait(30) == status
        agent.stdout.close()
    assert store.total == used(1)
    assert store.finals == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_reports_for_itself_from_its_first_call_on(
    reporter: Reporter, store: Store
) -> None:
    with listening(store) as url:
        work(reporter, 2)
        reporter.start_push_mode(url, KEY, QUICK)
        store.log.wait(lambda: store.total == used(2))
        pid = os.fork()
        if pid == 0:
            delivered = False
            try:
                work(reporter, 3)
                delivered = reporter.stop()
            finally:
                os._exit(0 if delivered else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(store.watermarks) == 2
        work(reporter, 1)
        assert reporter.stop()
    assert store.total == used(6)
    assert store.finals == 2
