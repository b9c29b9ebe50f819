"""The pod watch's view follows the API server through every kind of interruption."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentspec_usage.controller.pod_watch import PodWatch
from agentspec_usage.controller.pods import PodView
from agentspec_usage.kube.errors import ApiError
from tests.fakes.kube import FakePods, pod_json
from tests.fakes.virtual_time import VirtualClock, run_in_virtual_time

EXPIRED = ApiError(410, "Expired", "too old resource version")
AWAY = ApiError(0, "ClientConnectorError", "connection refused")


class Seen:
    """What ``on_change`` was told: ``+`` new, ``~`` changed, ``-`` gone."""

    def __init__(self) -> None:
        self.changes: list[str] = []

    def __call__(self, old: PodView | None, new: PodView | None) -> None:
        pod = new or old
        assert pod is not None
        sign = "-" if new is None else "+" if old is None else "~"
        self.changes.append(sign + pod.uid)


def added(uid: str, version: str, **changes: Any) -> dict[str, Any]:
    return {"type": "ADDED", "object": pod_json(uid, version, **changes)}


def modified(uid: str, version: str, **changes: Any) -> dict[str, Any]:
    return {"type": "MODIFIED", "object": pod_json(uid, version, **changes)}


def deleted(uid: str, version: str) -> dict[str, Any]:
    return {"type": "DELETED", "object": pod_json(uid, version)}


def bookmark(version: str) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}}


def watched(
    pods: FakePods, seconds: float, then: Callable[[PodWatch], Awaitable[None]] | None = None
) -> tuple[PodWatch, list[str]]:
    """Run a watch for some seconds of virtual time; the watch, and the changes that it told of."""
    seen = Seen()

    async def main() -> PodWatch:
        watch = PodWatch(pods, ["team"], seen, VirtualClock())
        running = asyncio.create_task(watch.run())
        await asyncio.sleep(seconds)
        if then is not None:
            await then(watch)
        running.cancel()
        return watch

    return run_in_virtual_time(main), seen.changes


def test_the_list_comes_first_and_events_change_it() -> None:
    pods = FakePods()
    pods.lists.append([pod_json("a"), pod_json("b")])
    pods.connections.append(
        [
            added("c", "101"),
            modified("a", "102", status={"phase": "Failed"}),
            deleted("b", "103"),
        ]
    )

    watch, changes = watched(pods, 1)

    assert changes == ["+a", "+b", "+c", "~a", "-b"]
    assert watch.synced.is_set()
    assert set(watch.by_namespace("team")) == {"a", "c"}


def test_an_event_that_changes_nothing_of_interest_is_not_told() -> None:
    pods = FakePods()
    pods.lists.append([pod_json("a")])
    pods.connections.append([modified("a", "101")])

    assert watched(pods, 1)[1] == ["+a"]


def test_a_broken_connection_resumes_after_the_last_event_and_lists_nothing() -> None:
    pods = FakePods()
    pods.lists.append([pod_json("a")])
    pods.connections.extend([[added("b", "101"), bookmark("140"), AWAY], [added("c", "141")]])

    changes = watched(pods, 5)[1]

    assert pods.asked[:3] == ["list", "watch 100", "watch 140"]
    assert changes == ["+a", "+b", "+c"]


def test_pods_that_vanished_before_a_relist_are_told_gone() -> None:
    pods = FakePods()
    pods.lists.extend([[pod_json("a"), pod_json("b")], [pod_json("b"), pod_json("c")]])
    pods.connections.append([EXPIRED])

    watch, changes = watched(pods, 5)

    assert changes == ["+a", "+b", "-a", "+c"]
    assert watch.get("a") is None


def test_an_api_server_that_is_away_is_asked_ever_more_seldom_and_found_again() -> None:
    pods = FakePods()
    pods.lists.extend([AWAY] * 12)
    pods.lists.append([pod_json("a")])

    _, changes = watched(pods, 60)
    asked_in_a_minute = len(pods.asked)
    pods_again = FakePods()
    pods_again.lists.extend([AWAY] * 12)
    pods_again.lists.append([pod_json("a")])

    assert asked_in_a_minute < 13
    assert changes == []
    assert watched(pods_again, 200)[1] == ["+a"]


def test_a_server_that_ends_each_connection_at_once_is_not_stormed() -> None:
    pods = FakePods()
    pods.lists.append([pod_json("a")])
    pods.connections.extend([[] for _ in range(1000)])

    watched(pods, 60)

    assert len(pods.asked) < 15


def test_a_watch_that_always_expires_does_not_become_a_storm_of_lists() -> None:
    pods = FakePods()
    pods.lists.extend([[pod_json("a")] for _ in range(1000)])
    pods.connections.extend([[EXPIRED] for _ in range(1000)])

    watched(pods, 60)

    assert pods.asked.count("list") < 15


def test_a_connection_that_ends_after_events_is_opened_again_without_a_pause() -> None:
    pods = FakePods()
    pods.lists.append([pod_json("a")])
    pods.connections.extend([[bookmark(str(101 + n))] for n in range(3)])

    async def look(watch: PodWatch) -> None:
        assert pods.asked == ["list", "watch 100", "watch 101", "watch 102", "watch 103"]

    watched(pods, 0.01, look)


def test_progress_is_the_moment_of_the_last_line_and_nothing_before_the_list() -> None:
    pods = FakePods()
    pods.lists.extend([AWAY, [pod_json("a")]])
    before_list: list[float | None] = []

    async def main() -> float:
        clock = VirtualClock()
        watch = PodWatch(pods, ["team"], Seen(), clock)
        running = asyncio.create_task(watch.run())
        await asyncio.sleep(0)
        before_list.append(watch.last_progress())
        await watch.synced.wait()
        listed_at = clock.monotonic()
        await asyncio.sleep(100)
        last = watch.last_progress()
        running.cancel()
        assert last == listed_at
        return last

    run_in_virtual_time(main)
    assert before_list == [None]
