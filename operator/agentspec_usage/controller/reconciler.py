"""One tick of one object: read its pods, count what they say, submit a write if anything changed.

A tick computes, then applies. What it computes from is in memory (the object from kopf's watch, the
pods from the pod watch); the API server is asked only where a stale view could cost a wrong number:

* an instance that is new to its pod is counted only after a fresh GET shows that the pod still has
  its uid and its address, because addresses are reused. An instance that is known for the pod is
  its own proof (128 random bits).
* what would retire a pod's numbers goes through the folder, which reads afresh (``folding.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from agentspec_usage.controller.cost_centers import CostCenters
from agentspec_usage.controller.counting import Counting
from agentspec_usage.controller.last_words import LastWordsReader
from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.observation_outbox import ObservationOutbox
from agentspec_usage.controller.pod_events import may_have_used
from agentspec_usage.controller.pod_health import (
    PodHealth,
    PodState,
    retry_delay,
    summarize,
)
from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.publishing import Publisher
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.rereading import Rereader
from agentspec_usage.controller.resolution import (
    AGENT_LABEL,
    PodIndex,
    Unresolved,
    WorkloadReader,
    resolve,
)
from agentspec_usage.controller.selector import Selector
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.controller.sources import SIDECAR_PORT_NAME, Endpoint, endpoint_of
from agentspec_usage.controller.verdict import Problem
from agentspec_usage.errors import ClusterError
from agentspec_usage.metering.checkpoint import (
    Source,
    needs_confirmation,
    source_of,
)
from agentspec_usage.metering.checkpoint import pods as pods_of
from agentspec_usage.runtime.clock import Clock, from_rfc3339
from agentspec_usage.scrape.outcome import Read, ScrapeFailure, Scraper
from agentspec_usage.wire.observation import ObservationSpec

__all__ = ["ClusterReader", "Reconciler"]

logger = logging.getLogger(__name__)

_ELDER_PAUSE = 0.2
"""Seconds a young object waits for an older one of its namespace to be resolved: one round trip or
two.
"""

_SEARCH_PAUSE, _LONGEST_SEARCH_PAUSE = 10.0, 300.0
"""Seconds before a workload that was not found is looked for again, doubling: five GETs each. A
labelled pod is noticed at once.
"""

_SERVICE_FRESH = 60.0
"""Seconds that a looked-up sidecar Service is believed: new pods choose their source by it."""


class ClusterReader(WorkloadReader, Protocol):
    """Fresh single reads from the API server; each is None for an object that does not exist."""

    async def get_service(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def get_pod(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...


class Pods(PodIndex, Protocol):
    """The pod watch's view."""

    def select(self, namespace: str, selector: Selector) -> list[PodView]: ...

    def named(self, namespace: str, name: str) -> PodView | None: ...


class Reconciler:
    """Holds the collaborators of a tick; has no state of its own."""

    def __init__(
        self,
        *,
        register: Register,
        pods: Pods,
        cluster: ClusterReader,
        scraper: Scraper,
        publisher: Publisher,
        rereader: Rereader,
        last_words: LastWordsReader,
        counting: Counting,
        cost_centers: CostCenters,
        outbox: ObservationOutbox | None,
        clock: Clock,
        settings: OperatorSettings,
        metrics: Metrics,
    ) -> None:
        self._register = register
        self._pods = pods
        self._cluster = cluster
        self._scraper = scraper
        self._publisher = publisher
        self._rereader = rereader
        self._last_words = last_words
        self._counting = counting
        self._cost_centers = cost_centers
        self._outbox = outbox
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._scrapes = asyncio.Semaphore(settings.scrape_concurrency)

    async def tick(self, uid: str) -> float | None:
        """Reconcile the object of ``uid``. Seconds to wait, or None for its next slot."""
        record = self._register.get(uid)
        if record is None or record.kept_by_control_plane:
            return None
        if self._outbox is not None:
            self._outbox.keep(record)
        try:
            pause = await self._tick(record)
        except ClusterError as error:
            # The numbers are safe where they are; the next slot tries again.
            level = logging.DEBUG if record.unanswered else logging.WARNING
            record.unanswered = True
            logger.log(
                level,
                "the API server did not answer for an object",
                extra={"namespace": record.namespace, "agent": record.name, "reason": str(error)},
            )
            return None
        record.unanswered = False
        return pause

    async def _tick(self, record: ObservationRecord) -> float | None:
        spec, generation = record.spec, record.generation
        if spec is None:
            self._stop_reading(record, Problem("InvalidSpec", record.spec_error))
            return None
        if spec.suspend:
            self._stop_reading(record, Problem("Suspended", "spec.suspend is set."))
            return None
        if record.resolution is None:
            if self._clock.monotonic() < record.search_at and not self._labelled(record, spec):
                return None
            if not await self._resolve(record, spec):
                return None
        if self._register.awaits_elder(record):
            return _ELDER_PAUSE
        selected = self._selected(record)
        payer = await self._cost_centers.of(record, spec, selected)
        if payer != record.cost_center:
            record.cost_center, record.stale_status = payer, True
        states = await self._read_pods(record, spec, selected)
        if record.generation != generation or self._register.get(record.uid) is not record:
            # What was found is true of an older spec: what was counted stays, the verdict does not.
            return None
        record.problem = None
        record.health = summarize(states, threshold=self._settings.failure_threshold)
        self._publisher.publish(record)
        return None

    def _stop_reading(self, record: ObservationRecord, problem: Problem) -> None:
        record.problem = problem
        self._publisher.publish(record)

    async def _resolve(self, record: ObservationRecord, spec: ObservationSpec) -> bool:
        """Find the object's pods; whether to go on with them."""
        generation = record.generation
        try:
            found = await resolve(spec, record.namespace, pods=self._pods, workloads=self._cluster)
        finally:
            # Even a failed attempt lets younger objects go on: one workload that cannot be read
            # must not stop a namespace.
            record.attempted = True
            if self._register.get(record.uid) is record:
                self._register.put(record)
        if record.generation != generation or self._register.get(record.uid) is not record:
            return False
        if isinstance(found, Unresolved):
            pause = min(_SEARCH_PAUSE * 2.0**record.searches, _LONGEST_SEARCH_PAUSE)
            record.search_at = self._clock.monotonic() + pause
            record.searches = min(record.searches + 1, 16)
            record.health = None
            self._stop_reading(record, Problem(found.reason, found.message))
            return False
        record.resolution = found
        self._register.put(record)
        return True

    def _labelled(self, record: ObservationRecord, spec: ObservationSpec) -> bool:
        """Whether a pod bears the label that names the agent."""
        name = spec.agent_ref.name
        return (spec.found_by_label and len(name) <= 63) and bool(
            self._pods.select(record.namespace, Selector.of({AGENT_LABEL: name}))
        )

    def _selected(self, record: ObservationRecord) -> list[PodView]:
        resolution = record.resolution
        assert resolution is not None  # resolved before
        if resolution.selector is None:
            pod = self._pods.named(record.namespace, resolution.name)
            return [pod] if pod is not None else []
        return self._pods.select(record.namespace, resolution.selector)

    async def _read_pods(
        self, record: ObservationRecord, spec: ObservationSpec, selected: list[PodView]
    ) -> list[PodState]:
        living = [pod for pod in selected if not pod.ended]
        if record.health is None and len(living) < len(selected):
            self._note_unseen_ends(record, selected)
        record.depart({pod.uid for pod in living})
        self._rereader.fold_if_gone(record)
        if len(living) == 1:
            return [await self._read_pod(record, spec, living[0])]
        # One object with a thousand dead pods must not hold every scrape there is.
        own = asyncio.Semaphore(self._settings.namespace_concurrency)

        async def read(pod: PodView) -> PodState:
            async with own:
                return await self._read_pod(record, spec, pod)

        reads = [read(pod) for pod in living]
        states: list[PodState] = []
        # All end before the tick does, also when the API server fails one of them.
        for state in await asyncio.gather(*reads, return_exceptions=True):
            if isinstance(state, BaseException):
                raise state
            states.append(state)
        return states

    def _note_unseen_ends(self, record: ObservationRecord, selected: list[PodView]) -> None:
        """At an object's first tick: pods that came and ended while nobody looked."""
        looked = _time_of(record.previous.get("lastChecked")) or _time_of(record.created_at)
        for pod in selected:
            unseen = pod.ended and pod.created_at > looked and may_have_used(record, pod)
            if unseen and pod.uid not in pods_of(record.checkpoint):
                record.departed[pod.uid] = PodHealth(pod.name, ran=True)

    async def _read_pod(
        self, record: ObservationRecord, spec: ObservationSpec, pod: PodView
    ) -> PodState:
        owners = self._register.matching(pod)
        expected = not pod.deleting
        if owners and owners[0] is not record:
            return PodState(expected, None, overlapped=True)
        if pod.host_network:
            return PodState(expected, None, refused=True)
        starting = pod.phase == "Pending" or not pod.ips
        endpoint = await self._endpoint(record, spec, pod)
        health = record.pods.get(pod.uid)
        if health is None:
            health = record.pods[pod.uid] = PodHealth(
                pod.name, read=source_of(record.checkpoint, pod.uid) is not None
            )
        if endpoint is None:
            return PodState(expected, health, starting=starting)
        self._last_words.hear(record, pod, endpoint.source)
        if not starting:
            health.ran = True
            await self._scrape(record, spec.check_interval, pod, endpoint, health)
        return PodState(
            expected, health, source=endpoint.source, starting=starting or not pod.ready
        )

    async def _endpoint(
        self, record: ObservationRecord, spec: ObservationSpec, pod: PodView
    ) -> Endpoint | None:
        chosen = source_of(record.checkpoint, pod.uid)
        service = None
        if chosen is not Source.AGENT and not any(p.name == SIDECAR_PORT_NAME for p in pod.ports):
            try:
                service = await self._service(record, spec.service_name)
            except ClusterError:
                # Where the choice is made already, an old look is better than a missed reading.
                if chosen is None:
                    raise
                service = record.service
        return endpoint_of(pod, spec, service, chosen=chosen)

    async def _service(self, record: ObservationRecord, name: str) -> Mapping[str, Any] | None:
        now = self._clock.monotonic()
        if now - record.service_at > _SERVICE_FRESH:
            service = await self._cluster.get_service(record.namespace, name)
            record.service = {"spec": service.get("spec")} if service is not None else None
            record.service_at = now
        return record.service

    async def _scrape(
        self,
        record: ObservationRecord,
        interval: int,
        pod: PodView,
        endpoint: Endpoint,
        health: PodHealth,
    ) -> None:
        now = self._clock.monotonic()
        # A tick out of turn (a new pod beside this one) does not read again what was just read.
        if health.retry_at > now or now - health.scraped_at < interval / 2:
            return
        health.scraped_at = now
        async with self._scrapes:
            outcome = await self._scraper.scrape(endpoint.target)
        if isinstance(outcome, ScrapeFailure):
            self._metrics.scraped(outcome.failure.value, outcome.seconds)
            self._failed(record, interval, pod, health, outcome)
            return
        self._metrics.scraped("ok", outcome.seconds)
        await self._count(record, pod, endpoint, health, outcome)

    def _failed(
        self,
        record: ObservationRecord,
        interval: int,
        pod: PodView,
        health: PodHealth,
        outcome: ScrapeFailure,
    ) -> None:
        if health.failures == 0:
            logger.info(
                "a pod gave no usage",
                extra={
                    "namespace": record.namespace,
                    "agent": record.name,
                    "pod": pod.name,
                    "reason": outcome.failure.value,
                },
            )
        delay = retry_delay(health.failures + 1, interval, pod.uid)
        now = self._clock.monotonic()
        health.failed(outcome.failure, outcome.message, now=now, delay=delay)

    async def _count(
        self,
        record: ObservationRecord,
        pod: PodView,
        endpoint: Endpoint,
        health: PodHealth,
        outcome: Read,
    ) -> None:
        reading = outcome.reading
        container = pod.incarnation(endpoint.container)
        unproved = needs_confirmation(record.checkpoint, pod.uid, reading, container)
        if unproved and not await self._still_there(pod):
            logger.info(
                "a reading was thrown away: the pod has lost its address since",
                extra={"namespace": record.namespace, "agent": record.name, "pod": pod.name},
            )
            return
        if self._register.get(record.uid) is not record:
            return
        # From here on no await: the checkpoint is read and replaced in one step.
        at = self._clock.now()
        if not self._counting.add(record, pod, endpoint.source, reading, at, container):
            return
        record.last_read = at
        if health.failures:
            logger.info(
                "a pod is read again",
                extra={"namespace": record.namespace, "agent": record.name, "pod": pod.name},
            )
        health.succeeded()

    async def _still_there(self, pod: PodView) -> bool:
        """Whether the pod has its uid and its address by a read that is later than the scrape."""
        fresh = await self._cluster.get_pod(pod.namespace, pod.name)
        if fresh is None:
            return False
        view = project(fresh)
        return view.uid == pod.uid and view.ips[:1] == pod.ips[:1] and not view.ended


def _time_of(text: object) -> int:
    """Milliseconds of an RFC 3339 time in an object, 0 for none."""
    try:
        return from_rfc3339(str(text))
    except ValueError:
        return 0
