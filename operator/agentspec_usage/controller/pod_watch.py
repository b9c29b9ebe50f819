"""One watch of the pods, so that no tick asks the API server for them.

Reading an agent's pods at every tick is not affordable (a LIST by label is 14 ms of API server CPU
in a namespace of ten thousand pods, measured), so the pods of each watched namespace, or of the
cluster, are listed once and then watched. What this module guarantees:

- A pod that is gone is reported gone, also one that vanished while there was no connection: what a
  LIST does not show any more is removed.
- The watch resumes where it stopped. Only a resourceVersion that the API server no longer has makes
  a new LIST.
- A connection that died unnoticed ends by its silence: the API server sends bookmarks every minute.
- The view lags. It says whom to ask, never that a pod has ended: that is for a fresh read to say.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from agentspec_usage.controller.kube import pods_path
from agentspec_usage.controller.pod_index import PodIndex
from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.kube.client import Listing
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.runtime.ids import stable_fraction

__all__ = ["OnChange", "PodSource", "PodWatch"]

logger = logging.getLogger(__name__)

OnChange = Callable[[PodView | None, PodView | None], None]
"""Called with a pod's old and new view; None for a pod that is new, or gone."""

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 15.0


class PodSource(Protocol):
    """The API server, as far as a watch needs it."""

    async def list_all(
        self, path: str, each: Callable[[dict[str, Any]], PodView]
    ) -> Listing[PodView]: ...

    def watch(self, path: str, resource_version: str) -> AsyncGenerator[dict[str, Any], None]: ...


class PodWatch:
    """The pods of ``namespaces``, of the whole cluster when none is named.

    ``on_change`` is called for every difference, in the order of events, between two steps of the
    loop. ``on_turn`` is called whenever the watch shows that it works: a line came, or a new try
    begins. ``synced`` is set once every namespace was listed.
    """

    def __init__(
        self,
        kube: PodSource,
        namespaces: Sequence[str],
        on_change: OnChange,
        clock: Clock,
        *,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._kube = kube
        self._scopes = tuple(namespaces) or ("",)
        self._on_change = on_change
        self._clock = clock
        self._on_turn = on_turn
        self._index = PodIndex()
        self._versions: dict[str, str] = {}
        self._heard: dict[str, float] = {}
        self._lines: Counter[str] = Counter()
        self.synced = asyncio.Event()
        self.get = self._index.get
        self.named = self._index.named
        self.select = self._index.select
        self.by_namespace = self._index.by_namespace

    def __len__(self) -> int:
        return len(self._index)

    def last_progress(self) -> float | None:
        """The monotonic time at which the API server last said something; None before the LIST.

        Of several namespaces the one that has been silent for longest. Over a minute ago: the view
        is old.
        """
        return min(self._heard.values()) if len(self._heard) == len(self._scopes) else None

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with asyncio.TaskGroup() as scopes:
            for scope in self._scopes:
                scopes.create_task(self._follow(scope), name=f"pod-watch:{scope or 'cluster'}")

    async def _follow(self, scope: str) -> None:
        """LIST and WATCH for ever; each failure waits longer, until a watch brings a line again.

        A LIST that succeeds is no reason to hurry: a LIST for each failed watch costs the most.
        """
        failures = 0
        while True:
            self._on_turn()
            lines = self._lines[scope]
            reason = "the connection ended before a line came"
            try:
                if scope not in self._versions:
                    await self._list(scope)
                await self._watch(scope)
            except ApiError as error:
                reason = str(error)
                if error.expired:
                    self._versions.pop(scope, None)
            else:
                if self._lines[scope] > lines:
                    failures = 0
                    continue
            failures = 1 if self._lines[scope] > lines else failures + 1
            if failures == 1:
                logger.warning(
                    "pod watch interrupted", extra={"namespace": scope, "reason": reason}
                )
            await asyncio.sleep(_pause(scope, failures))

    async def _list(self, scope: str) -> None:
        """Make the view of a scope what the API server shows."""
        listing = await self._kube.list_all(pods_path(scope), project)
        there = {pod.uid for pod in listing.items}
        known = self._index.by_namespace(scope).values() if scope else self._index
        for pod in [pod for pod in known if pod.uid not in there]:
            self._remove(pod.uid)
        for pod in listing.items:
            self._put(pod)
        self._progress(scope, listing.resource_version)
        if len(self._heard) == len(self._scopes):
            self.synced.set()

    async def _watch(self, scope: str) -> None:
        """Take in the events of one connection, until it ends."""
        path, version = pods_path(scope), self._versions[scope]
        async with aclosing(self._kube.watch(path, version)) as events:
            async for event in events:
                self._lines[scope] += 1
                body = event["object"]
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._put(project(body))
                    case "DELETED":
                        self._remove(body["metadata"]["uid"])
                self._progress(scope, body["metadata"]["resourceVersion"])

    def _put(self, pod: PodView) -> None:
        old = self._index.get(pod.uid)
        if old != pod:
            self._index.put(pod)
            self._on_change(old, pod)

    def _remove(self, uid: str) -> None:
        old = self._index.remove(uid)
        if old is not None:
            self._on_change(old, None)

    def _progress(self, scope: str, version: str) -> None:
        self._versions[scope] = version
        self._heard[scope] = self._clock.monotonic()
        self._on_turn()


def _pause(scope: str, failures: int) -> float:
    """Seconds before the next try: doubling, and spread, so that namespaces do not crowd."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 10))
    return longest * (0.5 + 0.5 * stable_fraction("pod-watch", scope, str(failures)))
