"""The pod watch on a real API server, through outages and deletions that nobody reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from agentspec_usage.controller.kube import KubeApi, pods_path
from agentspec_usage.controller.pod_watch import PodWatch
from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.selector import Selector
from agentspec_usage.devcluster import Cluster
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.runtime.clock import SystemClock
from tests.integration.controller.conftest import Admin

pytestmark = pytest.mark.cluster


class Watched:
    """A running watch and what it told."""

    def __init__(self, kube: KubeApi, namespaces: list[str]) -> None:
        self.changes: list[tuple[PodView | None, PodView | None]] = []
        self.turns = 0
        self._turned = asyncio.Event()
        self.watch = PodWatch(
            kube,
            namespaces,
            lambda old, new: self.changes.append((old, new)),
            SystemClock(),
            on_turn=self._turn,
        )

    def _turn(self) -> None:
        self.turns += 1
        self._turned.set()

    def gone(self) -> set[str]:
        return {old.name for old, new in self.changes if old is not None and new is None}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for ``condition``; a test that waits in vain fails."""
        async with asyncio.timeout(60):
            while not condition():
                self._turned.clear()
                await self._turned.wait()


@pytest.fixture
async def watched(kube: KubeApi, namespace: str) -> AsyncIterator[Watched]:
    made = Watched(kube, [namespace])
    running = asyncio.create_task(made.watch.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_pods_appear_change_and_vanish_as_they_do_on_the_api_server(
    watched: Watched, admin: Admin
) -> None:
    await watched.watch.synced.wait()
    created = await admin.create_pod("web-1", {"app": "web"}, "127.9.0.1")
    watch = watched.watch
    uid = created["metadata"]["uid"]
    await watched.until(lambda: (pod := watch.get(uid)) is not None and bool(pod.ips))

    pod = watch.get(uid)
    assert pod is not None
    assert (pod.ips, pod.phase, pod.labels) == (("127.9.0.1",), "Running", {"app": "web"})
    assert watch.select(admin.namespace, Selector.of({"app": "web"})) == [pod]
    assert watch.named(admin.namespace, "web-1") is pod

    await admin.delete_pod("web-1")
    await watched.until(lambda: watch.get(uid) is None)
    assert watched.gone() == {"web-1"}


async def test_the_watch_goes_on_after_the_api_server_was_away(
    watched: Watched, admin: Admin, cluster: Cluster
) -> None:
    await admin.create_pod("before")
    await watched.until(lambda: len(watched.watch.by_namespace(admin.namespace)) == 1)

    await asyncio.to_thread(cluster.stop_apiserver)
    turns = watched.turns
    await watched.until(lambda: watched.turns > turns + 1)
    await asyncio.to_thread(cluster.start_apiserver)
    await admin.create_pod("after")

    await watched.until(
        lambda: watched.watch.named(admin.namespace, "after") is not None,
    )
    assert watched.gone() == set()
    await _stands_again(watched, admin)


async def _stands_again(watched: Watched, admin: Admin) -> None:
    """What happens after the list is told as well: the watch has its connection."""
    await admin.create_pod("later")
    await watched.until(lambda: watched.watch.named(admin.namespace, "later") is not None)


class Interrupted(KubeApi):
    """The real client, whose first watch is silent until it is told to say that it is too old."""

    def __init__(self, http: KubeHttp) -> None:
        super().__init__(http)
        self.standing = asyncio.Event()
        self.expire = asyncio.Event()

    async def watch(
        self,
        path: str,
        resource_version: str,
        *,
        server_timeout: int = 300,
        silence: float = 70.0,
    ) -> AsyncGenerator[dict[str, Any], None]:
        if not self.standing.is_set():
            self.standing.set()
            await self.expire.wait()
            raise ApiError(410, "Expired", "too old resource version")
        async with aclosing(super().watch(path, resource_version)) as events:
            async for event in events:
                yield event


async def test_a_pod_deleted_while_nothing_was_heard_is_told_gone_after_the_next_list(
    admin: Admin,
) -> None:
    for name in ("stays", "vanishes"):
        await admin.create_pod(name)
    client = Interrupted(admin.http)
    watched = Watched(client, [admin.namespace])
    running = asyncio.create_task(watched.watch.run())
    await client.standing.wait()
    await admin.delete_pod("vanishes")
    await admin.create_pod("new")
    client.expire.set()

    await watched.until(lambda: watched.watch.named(admin.namespace, "new") is not None)

    assert watched.gone() == {"vanishes"}
    await _stands_again(watched, admin)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_expired_version_is_told_as_such_by_the_server(
    kube: KubeApi, admin: Admin
) -> None:
    await admin.create_pod("web")

    with pytest.raises(ApiError) as caught:
        async for _ in kube.watch(pods_path(admin.namespace), "1", server_timeout=5):
            pass

    assert caught.value.expired


async def test_a_silent_connection_ends_as_an_error(kube: KubeApi, admin: Admin) -> None:
    listing = await kube.list_pods(admin.namespace)

    with pytest.raises(ApiError) as caught:
        async for _ in kube.watch(
            pods_path(admin.namespace), listing.resource_version, silence=0.3
        ):
            pass

    assert caught.value.status == 0


async def test_a_watch_that_the_server_ends_is_no_error_and_resumes_where_it_stopped(
    kube: KubeApi, admin: Admin
) -> None:
    path = pods_path(admin.namespace)
    version = (await kube.list_pods(admin.namespace)).resource_version

    async def names_until_end() -> list[str]:
        nonlocal version
        names = []
        async for event in kube.watch(path, version, server_timeout=2):
            version = event["object"]["metadata"]["resourceVersion"]
            names.append(event["object"]["metadata"]["name"])
        return names

    await admin.create_pod("first")
    assert await names_until_end() == ["first"]
    await admin.create_pod("second")
    assert await names_until_end() == ["second"]


async def test_the_whole_cluster_is_watched_when_no_namespace_is_named(
    kube: KubeApi, admin: Admin
) -> None:
    watched = Watched(kube, [])
    running = asyncio.create_task(watched.watch.run())
    await watched.watch.synced.wait()

    await admin.create_pod("anywhere")

    await watched.until(lambda: watched.watch.named(admin.namespace, "anywhere") is not None)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
