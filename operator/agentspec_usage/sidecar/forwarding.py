"""The pod's calls on their way to the control plane, as records and as heartbeats.

Records go through the same delivery as an SDK's, with one thing more: a frame is on the disk before
it is sent, because after a crash of the node its numbers must not be given to other calls.
Heartbeats tell that the pod lives and what it counted in all; they release nothing, and when their
answer shows that the receiver forgot something, it is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from agentspec_usage.delivery.http import AsyncHttpPoster, AsyncPoster
from agentspec_usage.delivery.sender import NoAnswer, Reply, Sender, SenderStats
from agentspec_usage.delivery.tasks import TaskDelivery
from agentspec_usage.errors import WireError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from agentspec_usage.wire.records_answer import decode_heartbeat_answer

__all__ = ["Forwarding", "SyncedPoster", "forwarding_to"]

logger = logging.getLogger(__name__)

_RECORDS_PATH = "/api/v1/usage/records"
_HEARTBEAT_PATH = "/api/v1/heartbeat"


class SyncedPoster:
    """Posts once everything that the ledger's file has is on the disk."""

    def __init__(self, keeper: LedgerKeeper, poster: AsyncPoster) -> None:
        self._keeper = keeper
        self._poster = poster

    async def post(self, body: bytes) -> Reply | NoAnswer:
        await self._keeper.sync()
        return await self._poster.post(body)

    async def close(self) -> None:
        await self._poster.close()


class Forwarding:
    """``start`` it once the ledger is open, ``stop`` it once the instance has ended."""

    def __init__(
        self,
        keeper: LedgerKeeper,
        records: AsyncPoster,
        heartbeats: AsyncPoster,
        clock: Clock,
        interval: float,
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._heartbeats = heartbeats
        self._interval = interval
        sender = Sender(keeper.account.instance_id)
        for instance_id, outbox in keeper.account.outboxes.items():
            is_earlier = instance_id != keeper.account.instance_id
            sender.add(outbox, keeper.note_acknowledged if is_earlier else None)
        self._delivery = TaskDelivery(sender, SyncedPoster(keeper, records), clock)
        self._said = ""
        self._beating: asyncio.Task[None] | None = None

    @property
    def stats(self) -> SenderStats:
        return self._delivery.stats

    def start(self) -> None:
        self._delivery.start()
        self._beating = asyncio.create_task(self._beat_on(), name="agentspec-usage-heartbeats")

    async def stop(self, grace: float) -> bool:
        """Wait at most ``grace`` seconds until everything is durable at the control plane; whether
        it is.
        """
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        delivered, _ = await asyncio.gather(self._delivery.stop(grace), self._last_beat(grace))
        await self._heartbeats.close()
        return delivered

    async def _last_beat(self, grace: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._beat()

    async def _beat_on(self) -> None:
        while True:
            await self._beat()
            await asyncio.sleep(self._interval)

    async def _beat(self) -> None:
        # Known to be durable before the heartbeat is sent: only against that is its answer a going
        # back, for an answer to a frame may overtake it.
        outbox = self._keeper.account.outbox
        durable = 0 if outbox is None else outbox.durable
        snapshot = self._keeper.account.snapshot(self._clock.now())
        health = {"status": "ready" if self._keeper.durable else "degraded"}
        answer = await self._heartbeats.post(encode_heartbeat(health, {}, [snapshot]))
        if isinstance(answer, NoAnswer):
            return self._tell(answer.reason)
        if answer.status != 200:
            return self._tell(f"status {answer.status}")
        try:
            stands = decode_heartbeat_answer(answer.body).durable
        except WireError as error:
            return self._tell(f"answer: {error}")
        self._tell("")
        if outbox is not None and stands < durable and outbox.stands_at(stands):
            self._delivery.wake()
        return None

    def _tell(self, problem: str) -> None:
        """Log a change."""
        if problem != self._said:
            self._said = problem
            if problem:
                logger.warning("heartbeats are not taken", extra={"reason": problem})
            else:
                logger.info("heartbeats are taken")


def forwarding_to(
    url: str, api_key: str, interval: float, clock: Clock
) -> Callable[[LedgerKeeper], Forwarding]:
    """How to forward an opened ledger to the control plane at ``url``."""
    base = url.rstrip("/")

    def begin(keeper: LedgerKeeper) -> Forwarding:
        return Forwarding(
            keeper,
            AsyncHttpPoster(base + _RECORDS_PATH, api_key),
            AsyncHttpPoster(base + _HEARTBEAT_PATH, api_key, compress=False),
            clock,
            interval,
        )

    return begin
