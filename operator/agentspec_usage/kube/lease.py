"""Which replica works: the holder of one Lease.

The election is for liveness only, so that replicas do not do the same work twice. What keeps
numbers true is the precondition of every status write, and it holds with two leaders as well.

The protocol is client-go's: a record in a Lease, replaced under its resourceVersion, renewed by its
holder every ``retry`` seconds. A standby never compares clocks of two machines: it takes the Lease
over when the record did not change for the record's own duration *as measured by its own monotonic
clock since it saw it*. The holder counts the other way round, from before it sent the last renewal
that succeeded, and stops being leader after ``renew_deadline``, which is shorter: so it has stopped
before anybody else can start, whatever the wall clocks say, and also when its event loop was
stalled meanwhile, since ``is_leader`` looks at the clock and not at what a task got round to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agentspec_usage.errors import SettingsError
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.runtime.ids import stable_fraction

__all__ = ["Elector", "LeasePort", "LeaseTerms"]

logger = logging.getLogger(__name__)

_LONGEST_DURATION = 600
"""Seconds that we wait at most for a holder, however long its record says that it may be silent."""


class LeasePort(Protocol):
    """The API server, as an election needs it. Raises ApiError, 409 when somebody was faster."""

    async def get_lease(self, namespace: str, name: str) -> Mapping[str, Any] | None: ...

    async def create_lease(self, namespace: str, lease: Mapping[str, Any]) -> Mapping[str, Any]: ...

    async def update_lease(
        self, namespace: str, name: str, lease: Mapping[str, Any]
    ) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """The Lease, and its times in seconds; the defaults are client-go's.

    ``duration``: of silence before others may take over. ``renew_deadline``: of failed renewals
    before the holder stops. ``retry``: between two tries to renew or to acquire.
    """

    namespace: str
    name: str
    identity: str
    duration: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not self.retry < self.renew_deadline < self.duration:
            raise SettingsError(
                f"lease: retry {self.retry} s, renew deadline {self.renew_deadline} s, duration "
                f"{self.duration} s: expected each to be shorter than the next"
            )
        if self.duration < 1:
            raise SettingsError(f"lease: duration {self.duration} s: expected at least 1")


class Elector:
    """One replica's part in the election, for one term: a leader that lost does not stand again.

    A program whose term ended stops, since it cannot know what its tasks had under way, and is
    started afresh.
    """

    def __init__(
        self,
        leases: LeasePort,
        terms: LeaseTerms,
        clock: Clock,
        *,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._leases = leases
        self._terms = terms
        self._clock = clock
        self._on_turn = on_turn
        self._lease: Mapping[str, Any] | None = None
        self._record: Mapping[str, Any] = {}
        self._record_seen = 0.0
        self._leads_until = float("-inf")
        self._reached = True
        self._renewing: asyncio.Task[None] | None = None
        self.lost = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """Whether nobody else can hold the Lease at this moment."""
        return self._clock.monotonic() < self._leads_until

    async def lead(self) -> None:
        """Return when we lead; the Lease is renewed from then on, until ``lost`` or ``release``."""
        tries = 0
        while not await self._try_within(self._terms.renew_deadline):
            tries += 1
            self._on_turn()
            spread = stable_fraction(self._terms.identity, str(tries))
            await asyncio.sleep(self._terms.retry * (1 + 0.2 * spread))
        logger.info("leading", extra={"lease": self._terms.name, "identity": self._terms.identity})
        self._renewing = asyncio.create_task(self._renew(), name="lease-renewal")

    async def release(self) -> None:
        """Stop leading and let the next one in at once, rather than after the Lease's duration."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        if not self.is_leader:
            return
        self._leads_until = float("-inf")
        try:
            await self._give_up()
        except ApiError as error:
            logger.warning("the lease was not released", extra={"reason": str(error)})

    async def _give_up(self) -> None:
        """Clear the holder, if that is still us: a renewal may have been cut off on its way."""
        lease = await self._leases.get_lease(self._terms.namespace, self._terms.name)
        record = dict((lease or {}).get("spec") or {})
        if lease is not None and record.get("holderIdentity") == self._terms.identity:
            record |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._now()}
            await self._update(lease, record)

    async def _renew(self) -> None:
        while self.is_leader:
            self._on_turn()
            await asyncio.sleep(min(self._terms.retry, self._left()))
            await self._try_within(self._left())
        logger.error("no longer leading", extra={"lease": self._terms.name})
        self.lost.set()

    def _left(self) -> float:
        return max(0.0, self._leads_until - self._clock.monotonic())

    async def _try_within(self, seconds: float) -> bool:
        """Take or keep the Lease; whether we lead after that."""
        try:
            async with asyncio.timeout(seconds):
                await self._take()
        except TimeoutError:
            self._lease = None
        except ApiError as error:
            self._lease = None  # whatever we know of it may be old: read it again
            if error.status not in (404, 409) and self._reached:
                self._reached = False
                logger.warning("the lease was not reached", extra={"reason": str(error)})
        return self.is_leader

    async def _take(self) -> None:
        lease = self._lease if self.is_leader else None
        if lease is None:
            lease = await self._leases.get_lease(self._terms.namespace, self._terms.name)
            self._observe(lease)
        if lease is not None and self._held_by_another():
            self._leads_until = float("-inf")
            return
        sent_at = self._clock.monotonic()
        if lease is None:
            written = await self._create()
        else:
            written = await self._update(lease, self._next_record())
        self._reached = True
        self._observe(written)
        self._leads_until = sent_at + self._terms.renew_deadline

    def _observe(self, lease: Mapping[str, Any] | None) -> None:
        self._lease = lease
        record = dict((lease or {}).get("spec") or {})
        if record != self._record:
            self._record = record
            self._record_seen = self._clock.monotonic()

    def _held_by_another(self) -> bool:
        holder = self._record.get("holderIdentity") or ""
        if holder in ("", self._terms.identity):
            return False
        duration = min(
            _LONGEST_DURATION, self._record.get("leaseDurationSeconds") or self._terms.duration
        )
        return self._clock.monotonic() < self._record_seen + duration

    def _next_record(self) -> dict[str, Any]:
        now = self._now()
        ours = self._record.get("holderIdentity") == self._terms.identity
        return {
            **self._record,
            "holderIdentity": self._terms.identity,
            "leaseDurationSeconds": round(self._terms.duration),
            "acquireTime": self._record.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": int(self._record.get("leaseTransitions") or 0) + (not ours),
        }

    async def _create(self) -> Mapping[str, Any]:
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"namespace": self._terms.namespace, "name": self._terms.name},
            "spec": {**self._next_record(), "leaseTransitions": 0},
        }
        return await self._leases.create_lease(self._terms.namespace, lease)

    async def _update(
        self, lease: Mapping[str, Any], record: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Under the resourceVersion of ``lease``, labels and owners of the Lease kept."""
        return await self._leases.update_lease(
            self._terms.namespace, self._terms.name, {**lease, "spec": record}
        )

    def _now(self) -> str:
        """``metav1.MicroTime``, which wants exactly six digits."""
        return to_rfc3339(self._clock.now()).removesuffix("Z") + "000Z"
