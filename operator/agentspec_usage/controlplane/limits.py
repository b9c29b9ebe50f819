"""Limits by key, in bounded memory: how many requests, how often a heartbeat, how many instances.

Time is an argument (monotonic seconds). Whoever is forgotten because there are too many keys starts
anew, with a full allowance: a limiter that grows with what strangers send would be the worse fault.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

__all__ = ["HeartbeatSlots", "NewInstances", "TokenBuckets"]

MAX_KEYS = 16_384
MAX_INSTANCES = 256
"""Instances of one key that may take a slot within one interval."""
MAX_HEARD = 65_536
"""Instances that are remembered as known, of all agents."""


class TokenBuckets:
    """``rate`` requests a second of one key over time, ``burst`` of them at once."""

    def __init__(self, rate: float, burst: int, max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float, number: int = 1) -> float:
        """Take ``number`` requests. 0 when they may go on, else the seconds until they may."""
        left, since = self._buckets.pop(key, (float(self._burst), now))
        left = min(left + (now - since) * self._rate, float(self._burst))
        allowed = left >= number
        self._buckets[key] = (left - number if allowed else left, now)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (number - left) / self._rate


class NewInstances:
    """How many instances of one agent may be new: ``rate`` a second over time, ``burst`` at once.

    What is kept of an instance is kept for ever, because its totals are what late usage is compared
    with. An id is 128 bits that its sender draws, so without a bound one key could fill the disk
    with instances that used nothing. Whoever is refused still has what it sent, and sends it later.
    """

    def __init__(self, rate: float, burst: int, max_heard: int = MAX_HEARD) -> None:
        self._buckets = TokenBuckets(rate, burst)
        self._max_heard = max_heard
        self._heard: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._heard)

    def take(self, agent: str, instances: Iterable[str], now: float) -> float:
        """Let the agent have these. 0 when it may, else the seconds until it may."""
        named = {(agent, instance) for instance in instances}
        new = named - self._heard.keys()
        wait = self._buckets.take(agent, now, len(new)) if new else 0.0
        if wait:
            return wait
        for instance in named:
            self._heard[instance] = None
            self._heard.move_to_end(instance)
        while len(self._heard) > self._max_heard:
            self._heard.popitem(last=False)
        return 0.0


class HeartbeatSlots:
    """One heartbeat per key and instance within ``interval`` seconds.

    A slot is taken before the heartbeat is stored and given back when that failed, so that of two
    at the same moment one waits, and a failure costs its sender nothing.
    """

    def __init__(
        self, interval: float, max_keys: int = MAX_KEYS, max_instances: int = MAX_INSTANCES
    ) -> None:
        self._interval = interval
        self._max_keys = max_keys
        self._max_instances = max_instances
        self._taken: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._taken.values()))

    def take(self, key: str, instance: str, now: float) -> float:
        """Take the slot. 0 when it was free, else the seconds until it is."""
        taken = self._taken.pop(key, OrderedDict())
        self._taken[key] = taken
        # In the order of their times: the same interval for all, and a retaken slot goes last.
        while taken and now - next(iter(taken.values())) >= self._interval:
            taken.popitem(last=False)
        since = taken.get(instance)
        if since is None and len(taken) >= self._max_instances:
            since = next(iter(taken.values()))
        if since is not None:
            return self._interval - (now - since)
        taken[instance] = now
        if len(self._taken) > self._max_keys:
            self._taken.popitem(last=False)
        return 0.0

    def give_back(self, key: str, instance: str) -> None:
        """The heartbeat was not stored: its sender may try again at once."""
        taken = self._taken.get(key)
        if taken is not None:
            taken.pop(instance, None)
            if not taken:
                del self._taken[key]
