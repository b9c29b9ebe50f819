"""The last number of a container that ended: Kubernetes keeps it, so an OOM kill loses nothing.

An agent may write its lifetime totals to its container's termination log, and the API server shows
them beside the container's end, whatever ended it. They are a reading like any other: cumulative,
of an instance with an id, counted by the maximum. So they may come late, twice, or after the same
instance was scraped, and an instance that said ``final`` there has said its end.

They need no second look at an address (the API server itself says whose they are), and they are
decoded as strictly as an answer: what a tenant wrote there can be anything.

A pod has one source. Of a pod that is read at its sidecar only a sidecar's words count, of one that
is read at the agent only an agent's. A pod that ended before it was ever read gets its source from
the words: nobody else will ever tell of it.
"""

from __future__ import annotations

import logging

from agentspec_usage.controller.counting import Counting
from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.errors import WireError
from agentspec_usage.metering.checkpoint import Source, source_of
from agentspec_usage.metering.snapshot import Observer, UsageReading, UsageSnapshot
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.wire.usage import decode_usage

__all__ = ["LastWordsReader"]

logger = logging.getLogger(__name__)


class LastWordsReader:
    """Counts what ended containers left, for the object that counts their pod."""

    def __init__(self, register: Register, clock: Clock, counting: Counting) -> None:
        self._register = register
        self._clock = clock
        self._counting = counting

    def hear(self, record: ObservationRecord, pod: PodView, source: Source | None = None) -> bool:
        """Count the last words of ``pod`` that were not counted yet; whether there were any.

        ``source`` is what the pod is about to be read at, where nothing is chosen yet. Without it
        the words of a living pod wait: its first reading chooses.
        """
        health = record.pods.get(pod.uid) or record.departed.get(pod.uid)
        if not pod.last_words or (health is not None and health.heard == pod.last_words):
            return False
        if not self._counts(record, pod):
            return False
        readings = self._decoded(record, pod)
        chosen = source_of(record.checkpoint, pod.uid) or source
        if chosen is None:
            if not pod.ended:
                return False
            chosen = _told_by(readings)
        if health is not None:
            health.heard = pod.last_words
        heard = False
        for reading in readings:
            snapshots = tuple(one for one in reading.snapshots if _is_of(one, chosen))
            if snapshots:
                self._count(record, pod, chosen, UsageReading(snapshots))
                heard = True
        if heard and health is not None:
            health.read = True
        return heard

    def _counts(self, record: ObservationRecord, pod: PodView) -> bool:
        """Whether it is for ``record`` to count the pod, and to count at all."""
        spec = record.spec
        if spec is None or spec.suspend or record.kept_by_control_plane or pod.host_network:
            return False
        return self._register.matching(pod)[:1] == [record]

    def _decoded(self, record: ObservationRecord, pod: PodView) -> list[UsageReading]:
        readings = []
        for words in pod.last_words:
            try:
                readings.append(decode_usage(words.message.encode(errors="replace")))
            except WireError as error:
                logger.info(
                    "a container's last words are no usage",
                    extra={
                        "namespace": record.namespace,
                        "agent": record.name,
                        "pod": pod.name,
                        "container": words.container,
                        "reason": str(error),
                    },
                )
        return readings

    def _count(
        self, record: ObservationRecord, pod: PodView, source: Source, reading: UsageReading
    ) -> None:
        # What was used after the words were written is not in them: they are as old as they say.
        written = [one.observed_at for one in reading.snapshots if one.observed_at is not None]
        self._counting.add(record, pod, source, reading, min([self._clock.now(), *written]))


def _is_of(snapshot: UsageSnapshot, source: Source) -> bool:
    """Whether a pod that is read at ``source`` counts it. Words without an instance never do."""
    if snapshot.instance_id is None:
        return False
    return (snapshot.observer is Observer.SIDECAR) is (source is Source.SIDECAR)


def _told_by(readings: list[UsageReading]) -> Source:
    for reading in readings:
        for snapshot in reading.snapshots:
            if snapshot.observer is Observer.SIDECAR or snapshot.via is not None:
                return Source.SIDECAR
    return Source.AGENT
