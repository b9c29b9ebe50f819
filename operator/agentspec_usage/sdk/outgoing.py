"""The records of a ledger on their way out, as frames.

From the first call on they wait in an outbox; once a receiver is known, ``delivery`` sends them
from its own thread. Only the receiver's word that a call is durable releases it. What is left at
the end goes to a spool, if there is one, and what an earlier process left there is sent beside.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock

from agentspec_usage.delivery.http import HttpPoster
from agentspec_usage.delivery.sender import Sender
from agentspec_usage.delivery.spool import Spool
from agentspec_usage.delivery.threaded import ThreadedDelivery
from agentspec_usage.metering.outbox import Outbox, outbox_of_spool
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import Observer, UsageSnapshot
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.wire.records_encoding import encode_frame

__all__ = ["Outgoing"]


class Outgoing:
    """A lazy sink of the ledger, attached before the first call.

    ``settle`` lets it hear of the calls that wait at the ledger. It is called without a lock of
    this class: the ledger's comes first.
    """

    def __init__(self, clock: Clock, spool: Spool | None, settle: Callable[[], None]) -> None:
        self._clock = clock
        self._spool = spool
        self._settle = settle

    def begin(self, snapshot: UsageSnapshot) -> None:
        """An instance begins. What a parent holds, the parent sends."""
        self._lock = Lock()
        self._outbox: Outbox | None = Outbox(snapshot.instance_id or "", Observer.SDK, encode_frame)
        self._delivery: ThreadedDelivery | None = None

    def append(self, record: UsageRecord) -> None:
        with self._lock:
            if self._outbox is None:
                return
            if self._delivery is None:
                _append(self._outbox, record)
                return
            with self._delivery.held():
                _append(self._outbox, record)

    def invalid(self, calls: int, at: int) -> None:
        """A call that was refused is no record."""

    @property
    def durable(self) -> int:
        """The seq up to which the receiver has everything."""
        with self._lock:
            return 0 if self._outbox is None else self._outbox.durable

    @property
    def failures(self) -> tuple[int, str]:
        """How many requests failed so far, and why the last one did."""
        with self._lock:
            if self._delivery is None:
                return 0, ""
            stats = self._delivery.stats
            return stats.failures, stats.last_error

    def send_to(self, url: str, api_key: str) -> None:
        """Frames go to ``url`` from now on. A second call changes nothing."""
        with self._lock:
            if self._delivery is not None or self._outbox is None:
                return
            sender = Sender(self._outbox.instance_id)
            sender.add(self._outbox)
            if self._spool is not None:
                for spooled in self._spool.kept():
                    settled = partial(self._spool.discard, spooled.instance_id)
                    sender.add(outbox_of_spool(spooled, encode_frame), settled)
            self._delivery = ThreadedDelivery(
                sender, HttpPoster(url, api_key), self._clock, gather=self._settle
            )
            self._delivery.start()

    def stands_at(self, durable: int) -> None:
        """The receiver stands earlier than it once answered: it went back in time."""
        with self._lock:
            if self._delivery is not None and self._outbox is not None:
                with self._delivery.held():
                    self._outbox.stands_at(durable)
                self._delivery.wake()

    def drop(self) -> None:
        """The receiver takes no frames: there is nothing to keep records for."""
        with self._lock:
            self._outbox = None

    def end(self, grace: float) -> bool:
        """No call follows. Whether everything is durable, at the receiver or in the spool."""
        self._settle()
        with self._lock:
            outbox, delivery = self._outbox, self._delivery
            if outbox is None or (delivery is None and not outbox.last):
                return True
            if delivery is None:
                return self._keep(outbox)
        if delivery.stop(grace):
            return True
        with delivery.held():
            return self._keep(outbox)

    def _keep(self, outbox: Outbox) -> bool:
        """Put what is not durable into the spool; whether all of it is there."""
        if self._spool is None:
            return False
        spooled = outbox.spool()
        return self._spool.keep(spooled) == len(spooled.frames)


def _append(outbox: Outbox, record: UsageRecord) -> None:
    """The record, without its detail where a host put in what is no text: one that is missing would
    stop the delivery of every later one.
    """
    try:
        outbox.append(record)
    except (TypeError, ValueError, AttributeError):
        outbox.append(UsageRecord(record.seq, record.at, record.key, record.counts, record.status))
