"""What is shown of the pod's one ledger, and totals of sources that tell of no single calls."""

from __future__ import annotations

from collections.abc import Callable

from agentspec_usage.delivery.sender import SenderStats
from agentspec_usage.metering.pod_ledger import TotalsSeen
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import LedgerFacts
from agentspec_usage.sidecar.ledger.entries import Happened
from agentspec_usage.sidecar.ledger.keeper import LedgerKeeper

__all__ = ["LedgerTotals", "LedgerView"]


class LedgerView:
    """The ``UsageView`` of the pod's one ledger. ``delivery`` tells how its calls are forwarded,
    None while they are not.
    """

    def __init__(
        self,
        keeper: LedgerKeeper,
        clock: Clock,
        delivery: Callable[[], SenderStats | None] = lambda: None,
    ) -> None:
        self._keeper = keeper
        self._clock = clock
        self._delivery = delivery

    def snapshot(self) -> UsageSnapshot:
        return self._keeper.account.snapshot(self._clock.now())

    def facts(self) -> LedgerFacts:
        keeper, account = self._keeper, self._keeper.account
        stats = self._delivery()
        outbox = account.outbox
        return LedgerFacts(
            instance_id=account.instance_id,
            durable_file=keeper.durable,
            fault=keeper.fault,
            lost_events=keeper.lost_events,
            file_bytes=keeper.file_bytes,
            open_calls=len(account.pod.open_calls),
            listed_reports=account.pod.listed,
            seq=account.pod.seq,
            durable_seq=0 if outbox is None else outbox.durable,
            backlog=None if stats is None else stats.backlog,
            forward_failures=0 if stats is None else stats.failures,
            forward_error=stats.last_error if stats is not None and stats.failing else "",
            source="+".join(["proxy", *account.other_sides]),
        )


class LedgerTotals:
    """The ``TotalsSink`` of the pod's one ledger."""

    def __init__(self, keeper: LedgerKeeper) -> None:
        self._keeper = keeper

    def see(self, snapshot: UsageSnapshot) -> None:
        if snapshot.via is None and self._keeper.account.is_news(snapshot):
            self._keeper.write(Happened(TotalsSeen(snapshot), self._keeper.now()))
