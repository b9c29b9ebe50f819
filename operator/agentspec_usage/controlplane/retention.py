"""Dropping the calls of months that are old enough, a few thousand rows a transaction.

Between two chunks everybody else's writes have their turn. Whether there is anything to drop is a
look at the newest closed month and at one row, so a round an hour costs nothing. A month that was
never closed is never dropped: nobody has been charged by it.
"""

from __future__ import annotations

import logging
from datetime import tzinfo

from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.metering.months import months_before
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.store.retention import RetentionStore, Seal

__all__ = ["RETENTION_SECONDS", "Retention"]

logger = logging.getLogger(__name__)

RETENTION_SECONDS = 3600.0

_CHUNK_ROWS = 5000
"""A write of some hundred milliseconds."""


class Retention:
    """Keeps the calls of ``months`` whole months of ``zone`` before the present one."""

    def __init__(
        self, store: RetentionStore, seal: Seal | None, clock: Clock, months: int, zone: tzinfo
    ) -> None:
        self._store = store
        self._seal = seal
        self._clock = clock
        self._months = months
        self._zone = zone
        self._failing = ""

    async def round(self) -> None:
        """Drop everything that is old enough. A failure is logged once, and tried again later."""
        before = months_before(self._clock.now(), self._months, self._zone)
        rows = 0
        try:
            plan = await self._store.plan_pruning(before)
            while True:
                now = self._clock.now()
                dropped = await self._store.prune(plan, self._seal, now, _CHUNK_ROWS)
                if dropped is None:
                    break
                rows += dropped
        except AgentspecUsageError as error:
            if self._failing != str(error):
                logger.error("old calls could not be dropped", extra={"reason": str(error)})
            self._failing = str(error)
            return
        self._failing = ""
        if rows:
            logger.info("old calls dropped", extra={"rows": rows, "until": to_rfc3339(plan.until)})
