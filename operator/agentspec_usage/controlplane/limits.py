"""Limits by key, in bounded memory: how many requests, and how often a heartbeat.

Time is an argument (monotonic seconds). Whoever is forgotten because there are too many keys starts
anew, with a full allowance: a limiter that grows with what strangers send would be the worse fault.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["HeartbeatSlots", "TokenBuckets"]

MAX_KEYS = 16_384
MAX_INSTANCES = 256
"""Instances of one key that may take a slot within one interval."""


class TokenBuckets:
    """``rate`` requests a second of one key over time, ``burst`` of them at once."""

    def __init__(self, rate: float, burst: int, max_keys: int = MAX_KEYS) -> None:
        self._rate = rate
        self._burst = burst
        self._max_keys = max_keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now: float) -> float:
        """Take one request. 0 when it may go on, else the seconds until the next one may."""
        left, since = self._buckets.pop(key, (float(self._burst), now))
        left = min(left + (now - since) * self._rate, float(self._burst))
        allowed = left >= 1
        self._buckets[key] = (left - 1 if allowed else left, now)
        if len(self._buckets) > self._max_keys:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


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
