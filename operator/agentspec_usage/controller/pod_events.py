"""What a change of a pod means for the objects that select it: read it now, or see if it ended.

A new pod is read at once rather than at the next slot, since a short-lived one may not live until
then. One that ended goes to the rereader, which alone may retire its numbers. The last words of a
container are counted here and now: the pod, and they with it, may be gone a moment later.
"""

from __future__ import annotations

from agentspec_usage.controller.intake import Schedule
from agentspec_usage.controller.last_words import LastWordsReader
from agentspec_usage.controller.pod_health import PodHealth
from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.record import ObservationRecord
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.rereading import Rereader
from agentspec_usage.controller.sources import endpoint_of
from agentspec_usage.metering.checkpoint import pods

__all__ = ["PodEvents", "may_have_used"]


class PodEvents:
    """Takes the pod watch's changes. Deaf until ``listen``: the first listing is no news."""

    def __init__(
        self,
        *,
        register: Register,
        schedule: Schedule,
        rereader: Rereader,
        last_words: LastWordsReader,
    ) -> None:
        self._register = register
        self._schedule = schedule
        self._rereader = rereader
        self._last_words = last_words
        self._listening = False

    def listen(self) -> None:
        self._listening = True

    def changed(self, old: PodView | None, new: PodView | None) -> None:
        """A pod appeared (``old`` None), changed, or vanished (``new`` None)."""
        if not self._listening:
            return
        ended = new is None or new.ended
        pod = new or old
        assert pod is not None  # a change has a side
        for record in self._register.matching(pod):
            if self._last_words.hear(record, pod) and not ended:
                self._schedule.trigger(record.uid)
            if ended:
                self._ended(record, pod, old)
            elif old is None or _reachable(old) != _reachable(pod):
                if (health := record.pods.get(pod.uid)) is not None:
                    health.ask_again()
                self._schedule.trigger(record.uid)

    def _ended(self, record: ObservationRecord, pod: PodView, old: PodView | None) -> None:
        known = pod.uid in record.pods or pod.uid in pods(record.checkpoint)
        # A pod ends once: that an ended one is deleted is no second end, whose reading is missing.
        ends_now = old is None or not old.ended
        ran = pod.ended or (old is not None and _ran(old))
        if not known and ends_now and ran and may_have_used(record, pod):
            record.departed[pod.uid] = PodHealth(pod.name, ran=True)
            known = True
        if known:
            record.depart(record.pods.keys() - {pod.uid})
            self._rereader.reread(record.uid)
            self._schedule.trigger(record.uid)


def may_have_used(record: ObservationRecord, pod: PodView) -> bool:
    """Whether a pod that ran had something to read: then what it used before it ended unread is
    unknown.
    """
    if record.spec is None or pod.host_network or not pod.ips:
        return False
    return endpoint_of(pod, record.spec, record.service, chosen=None) is not None


def _ran(pod: PodView) -> bool:
    return pod.phase not in ("", "Pending")


def _reachable(pod: PodView) -> tuple[object, ...]:
    return (pod.ips, pod.phase, pod.ready, pod.deleting)
