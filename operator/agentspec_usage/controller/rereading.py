"""Fresh reads, in the one order that is safe: the object first, then its pods, then the fold.

Two things need them. A 409 says that somebody else wrote the object: it is read again and taken as
it is. And a pod that seems gone may only be retired on evidence younger than the status that speaks
of it: a pod list older than the status would fold a pod that it has not seen yet, and add it again
later.

So there is one job for both. Jobs of one object coalesce; one worker does them in turn, because
each costs the API server reads, and a LIST of a namespace serves the objects behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from agentspec_usage.controller.intake import Intake
from agentspec_usage.controller.last_words import LastWordsReader
from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.publishing import Publisher
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.errors import ClusterError
from agentspec_usage.metering.checkpoint import fold, pods

__all__ = ["FreshReader", "Rereader"]

logger = logging.getLogger(__name__)

_PAUSE_AFTER_FAILURE = 2.0


class FreshReader(Protocol):
    """Quorum reads: nothing that the API server serves from an older cache."""

    async def get_observation(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def get_pod(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def list_pod_metadata(self, namespace: str) -> Sequence[Mapping[str, Any]]: ...


class PodViews(Protocol):
    """The pod watch's view, by uid."""

    def get(self, uid: str) -> PodView | None: ...


class Rereader:
    """Rereads objects and folds pods that are gone. ``run`` is its worker."""

    def __init__(
        self,
        *,
        register: Register,
        pods: PodViews,
        cluster: FreshReader,
        intake: Intake,
        last_words: LastWordsReader,
    ) -> None:
        self._register = register
        self._pods = pods
        self._cluster = cluster
        self._intake = intake
        self._last_words = last_words
        self._publisher: Publisher | None = None
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()

    def publish_through(self, publisher: Publisher) -> None:
        """The publisher hands conflicts to the rereader, and takes folds from it: the circle closes
        here.
        """
        self._publisher = publisher

    def reread(self, uid: str) -> None:
        """Read the object of ``uid`` again, soon."""
        if uid not in self._queued:
            self._queued.add(uid)
            self._queue.put_nowait(uid)

    def fold_if_gone(self, record: ObservationRecord) -> None:
        """Queue a fold when the pod watch shows a pod of the checkpoint ended or not at all."""
        if record.departed or any(self._seems_gone(uid) for uid in pods(record.checkpoint)):
            self.reread(record.uid)

    async def run(self) -> None:
        """Work until cancelled. What the API server refuses is tried again."""
        while True:
            uid = await self._queue.get()
            self._queued.discard(uid)
            try:
                await self._job(uid)
            except ClusterError as error:
                logger.warning("a fresh read failed", extra={"uid": uid, "reason": str(error)})
                self.reread(uid)
                await asyncio.sleep(_PAUSE_AFTER_FAILURE)
            finally:
                self._queue.task_done()

    async def drained(self, seconds: float) -> None:
        """Return when every job was done, at the latest after ``seconds``. ``run`` does them."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._queue.join()

    async def _job(self, uid: str) -> None:
        record = self._register.get(uid)
        if record is None:
            return
        body = await self._cluster.get_observation(record.namespace, record.name)
        if body is None or body["metadata"]["uid"] != uid:
            self._intake.drop(uid)
            if body is not None:
                self._intake.take(body)
            return
        self._intake.take(body)
        suspects = {pod for pod in pods(record.checkpoint) if self._seems_gone(pod)}
        suspects |= record.departed.keys()
        gone = await self._gone(record, suspects)
        if self._register.get(uid) is not record:
            return
        # A pod that departed while the API server was asked waits for the next job.
        left = {pod: record.departed.pop(pod) for pod in suspects & record.departed.keys()}
        unread = {pod for pod in gone & left.keys() if left[pod].ran and not left[pod].read}
        if gone:
            record.checkpoint = fold(record.checkpoint, gone, unread=unread)
        if self._publisher is not None:
            self._publisher.publish(record, folded=bool(gone))

    async def _gone(self, record: ObservationRecord, suspects: set[str]) -> set[str]:
        """Which of ``suspects`` are gone or ended for certain, by reads that start now."""
        names = {uid: health.name for uid, health in record.departed.items()}
        names |= {uid: view.name for uid in suspects if (view := self._pods.get(uid)) is not None}
        gone = set()
        for uid in suspects & names.keys():
            pod = await self._cluster.get_pod(record.namespace, names[uid])
            view = project(pod) if pod is not None and pod["metadata"]["uid"] == uid else None
            if view is None or view.ended:
                gone.add(uid)
            if view is not None:
                self._last_words.hear(record, view)
        unnamed = suspects - names.keys()
        if unnamed:
            there = {
                str(entry["metadata"]["uid"])
                for entry in await self._cluster.list_pod_metadata(record.namespace)
            }
            gone |= unnamed - there
        return gone

    def _seems_gone(self, uid: str) -> bool:
        view = self._pods.get(uid)
        return view is None or view.ended
