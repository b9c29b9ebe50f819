"""A volume without room: calls go on and are counted, SDKs keep what they have, and when there is
room again everything is kept again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openai

from agentspec_usage.sdk import Reporter
from tests.integration.controlplane.waiting import until
from tests.integration.sidecar.ledger.pods import Pod, agent, call
from tests.integration.sidecar.ledger.upstream import Upstream

ROOM = 6 * 1024
MORE = 12
"""So many calls more, and the file has no room written anew either."""


def _fill(pod: Pod, client: openai.OpenAI) -> int:
    """Call until the ledger's file takes no more, and will not; the tokens of it."""
    used = 0
    for _ in range(ROOM // 256):
        used += call(client)
        if not pod.is_ready():
            return used + sum(call(client) for _ in range(MORE))
    raise AssertionError(f"still taking lines after {ROOM} bytes")


def _in_a_full_pod(
    directory: Path, upstream: Upstream, then: Callable[[Pod, openai.OpenAI, int], None]
) -> None:
    pod = Pod(directory, upstream.url)
    try:
        pod.start()
        pod.limit_files(ROOM)
        with agent(pod.proxy) as client:
            then(pod, client, _fill(pod, client))
    finally:
        pod.kill()


def test_calls_go_on_and_are_kept_once_there_is_room(tmp_path: Path, upstream: Upstream) -> None:
    def then(pod: Pod, client: openai.OpenAI, used: int) -> None:
        used += call(client)
        until(lambda: pod.usage().totals.total == used, "the last call has ended")
        shown = pod.usage()
        pod.unlimit_files()
        until(pod.is_ready, "the file is whole again")
        pod.kill()
        pod.start()
        again = pod.usage()
        assert (again.instance_id, again.totals) == (shown.instance_id, shown.totals)

    _in_a_full_pod(tmp_path, upstream, then)


def test_frames_are_not_taken_until_there_is_room(tmp_path: Path, upstream: Upstream) -> None:
    def then(pod: Pod, client: openai.OpenAI, used: int) -> None:
        reporter = Reporter()
        errors: list[str] = []
        reporter.start_push_mode(
            sidecar_url=pod.control,
            interval_seconds=0.2,
            on_error=lambda error: errors.append(str(error)),
        )
        with agent(upstream.url, reporter) as around:
            used += call(around)
        until(lambda: any("503" in error for error in errors), "frames are refused")
        assert pod.usage().totals.total < used
        pod.unlimit_files()
        until(pod.is_ready, "the file is whole again")
        assert reporter.stop(30)
        until(lambda: pod.usage().totals.total == used, "everything is counted")
        assert used == upstream.tokens

    _in_a_full_pod(tmp_path, upstream, then)


def test_after_a_kill_on_a_full_volume_another_instance_begins(
    tmp_path: Path, upstream: Upstream
) -> None:
    """What was shown beyond the file stays with the instance that showed it."""

    def then(pod: Pod, client: openai.OpenAI, used: int) -> None:
        shown = pod.usage()
        pod.kill()
        pod.start()
        with agent(pod.proxy) as again:
            later = call(again)
        until(lambda: pod.usage().totals.calls == 1, "the call has ended")
        usage = pod.usage()
        assert usage.instance_id != shown.instance_id
        assert usage.totals.total == later

    _in_a_full_pod(tmp_path, upstream, then)
