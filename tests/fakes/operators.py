"""An operator of real parts on a ``FakeCluster``: everything but kopf, the pod watch and HTTP.

Its two views (objects, pods) are fed in order and as late as ``lag`` says, as watches may be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry

from agentspec_usage.controller.charging import Charging
from agentspec_usage.controller.cost_centers import CostCenters
from agentspec_usage.controller.costs import Costs
from agentspec_usage.controller.counting import Counting
from agentspec_usage.controller.handing_in import HandingIn
from agentspec_usage.controller.intake import Intake
from agentspec_usage.controller.last_words import LastWordsReader
from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.observation_outbox import Batch, ObservationOutbox
from agentspec_usage.controller.observation_sender import ObservationSender
from agentspec_usage.controller.pod_events import PodEvents
from agentspec_usage.controller.pod_index import PodIndex
from agentspec_usage.controller.pods import project
from agentspec_usage.controller.publishing import Publisher
from agentspec_usage.controller.reconciler import Reconciler
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.rereading import Rereader
from agentspec_usage.controller.scheduler import Scheduler, SchedulerLimits
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.controller.sweep import Sweep
from agentspec_usage.controller.writer import StatusWriter, WriterSettings
from agentspec_usage.metering.checkpoint import PodIdentity
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.wire.observed_answer import ObservedAnswer
from tests.fakes.cluster_objects import NAMESPACE, AgentScraper, FakeCluster
from tests.fakes.control_plane import FakeControlPlane
from tests.fakes.virtual_time import VirtualClock

__all__ = ["FakeOperator"]


class FakeOperator:
    """``start`` it, let time pass, ``kill`` it. ``name`` tells its epochs apart."""

    def __init__(
        self,
        cluster: FakeCluster,
        name: str = "a",
        *,
        min_interval: float = 1.0,
        notes: Notes | None = None,
        control_plane: FakeControlPlane | None = None,
    ) -> None:
        self.cluster = cluster
        self.lag = 0.0
        self.ticks = 0
        self.drift: list[int] = []
        self._epochs = 0
        self._name = name
        self._tasks: list[asyncio.Task[None]] = []
        self._news: asyncio.Queue[Callable[[], None]] = asyncio.Queue()
        clock = VirtualClock()
        self.settings = OperatorSettings(scrape_concurrency=8, namespace_concurrency=4)
        self.register = Register()
        notes = notes if notes is not None else Notes()
        costs = Costs(bundled_catalogue())
        charged = control_plane is not None
        self.outbox = ObservationOutbox() if charged else None
        charging = Charging(self.register) if charged else None
        counting = Counting(costs, clock, self.outbox)
        self.pods = PodIndex()
        self.scraper = AgentScraper(cluster)
        self.writer = StatusWriter(
            cluster,
            clock,
            WriterSettings(
                min_interval=min_interval, identity=name, settle=3.0 if charged else 0.0
            ),
        )
        self.scheduler = Scheduler(self._tick, clock, SchedulerLimits(8, 4))
        self.intake = Intake(
            register=self.register,
            schedule=self.scheduler,
            clock=clock,
            costs=costs,
            notes=notes,
            new_epoch=self._new_epoch,
            pods_of=lambda _: [PodIdentity(pod.uid, pod.created_at) for pod in self.pods],
            on_dropped=self._dropped,
        )
        last_words = LastWordsReader(self.register, clock, counting)
        self.rereader = Rereader(
            register=self.register,
            pods=self.pods,
            cluster=cluster,
            intake=self.intake,
            last_words=last_words,
        )
        self.publisher = Publisher(
            register=self.register,
            writer=self.writer,
            clock=clock,
            notes=notes,
            on_conflict=self.rereader.reread,
            on_gone=self.intake.drop,
            charging=charging,
        )
        self.rereader.publish_through(self.publisher)
        self.pod_events = PodEvents(
            register=self.register,
            schedule=self.scheduler,
            rereader=self.rereader,
            last_words=last_words,
        )
        self.reconciler = Reconciler(
            register=self.register,
            pods=self.pods,
            cluster=cluster,
            scraper=self.scraper,
            publisher=self.publisher,
            rereader=self.rereader,
            last_words=last_words,
            counting=counting,
            cost_centers=CostCenters(cluster, clock, ""),
            outbox=self.outbox,
            clock=clock,
            settings=self.settings,
            metrics=Metrics(CollectorRegistry()),
        )
        self.sweep = Sweep(
            register=self.register,
            intake=self.intake,
            cluster=cluster,
            namespaces=(NAMESPACE,),
            drift=self.drift.append,
        )

        def answered(answer: ObservedAnswer, batch: Batch) -> None:
            assert charging is not None
            for record, first in charging.take(answer, batch):
                self.publisher.charged(record, first=first)

        self.handing_in = None
        if self.outbox is not None and control_plane is not None:
            self.handing_in = HandingIn(
                ObservationSender(name, self.outbox, answered), control_plane, clock
            )

    def start(self) -> None:
        """List, watch, work. Belongs to a running loop."""
        self.cluster.on_pod.append(self.hear_pod)
        self.cluster.on_object.append(self.hear_object)
        for pod in self.cluster.pods.values():
            self.pods.put(project(pod.body))
        for body in list(self.cluster.objects.values()):
            self.intake.take(_frozen(body))
        self.pod_events.listen()
        stop = asyncio.Event()
        works: list[Coroutine[Any, Any, None]] = [
            self.scheduler.run(stop),
            self.writer.run(stop),
            self.rereader.run(),
            self._listen(),
        ]
        if self.handing_in is not None:
            works.append(self.handing_in.run())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def kill(self) -> None:
        """As SIGKILL does: nothing is written any more, and nothing is remembered."""
        self.cluster.on_pod.remove(self.hear_pod)
        self.cluster.on_object.remove(self.hear_object)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_alive(self) -> None:
        """None of its works has ended."""
        for task in self._tasks:
            if task.done():
                task.result()
                raise AssertionError(f"{task.get_coro()} has ended")

    def _dropped(self, uid: str) -> None:
        self.writer.forget(uid)
        if self.outbox is not None:
            self.outbox.forget(uid)

    def _new_epoch(self) -> str:
        self._epochs += 1
        return f"{self._name}.{self._epochs}"

    async def _tick(self, uid: str) -> float | None:
        self.ticks += 1
        return await self.reconciler.tick(uid)

    def hear_pod(self, kind: str, body: dict[str, Any]) -> None:
        self._news.put_nowait(lambda: self.see_pod(kind, body))

    def hear_object(self, kind: str, body: dict[str, Any]) -> None:
        self._news.put_nowait(lambda: self._see_object(kind, body))

    async def _listen(self) -> None:
        while True:
            news = await self._news.get()
            if self.lag:
                await asyncio.sleep(self.lag)
            news()

    def see_pod(self, kind: str, body: dict[str, Any]) -> None:
        pod = project(body)
        if kind == "DELETED":
            old = self.pods.remove(pod.uid)
            if old is not None:
                self.pod_events.changed(old, None)
            return
        old = self.pods.get(pod.uid)
        if old != pod:
            self.pods.put(pod)
            self.pod_events.changed(old, pod)

    def _see_object(self, kind: str, body: dict[str, Any]) -> None:
        metadata = body["metadata"]
        if kind == "DELETED":
            self.intake.drop(metadata["uid"])
        elif not self.intake.is_echo(metadata["uid"], metadata["resourceVersion"]):
            self.intake.take(body)


def _frozen(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "metadata": dict(body["metadata"])}
