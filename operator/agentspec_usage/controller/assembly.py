"""The operator's parts put together: who hands what to whom. No decision is made here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agentspec_usage import __version__
from agentspec_usage.controller.charging import Charging
from agentspec_usage.controller.control_plane_http import ControlPlaneHttp
from agentspec_usage.controller.cost_centers import CostCenters
from agentspec_usage.controller.costs import Costs
from agentspec_usage.controller.counting import Counting
from agentspec_usage.controller.handing_in import HandingIn
from agentspec_usage.controller.heartbeats import Heartbeats
from agentspec_usage.controller.intake import Intake
from agentspec_usage.controller.kube import KubeApi
from agentspec_usage.controller.last_words import LastWordsReader
from agentspec_usage.controller.metrics import Metrics
from agentspec_usage.controller.notes import Notes
from agentspec_usage.controller.observation_outbox import Batch, ObservationOutbox
from agentspec_usage.controller.observation_sender import ObservationSender
from agentspec_usage.controller.pod_events import PodEvents
from agentspec_usage.controller.pod_watch import PodWatch
from agentspec_usage.controller.pods import PodView
from agentspec_usage.controller.publishing import Publisher
from agentspec_usage.controller.reconciler import Reconciler
from agentspec_usage.controller.register import Register
from agentspec_usage.controller.rereading import Rereader
from agentspec_usage.controller.scheduler import Scheduler, SchedulerLimits
from agentspec_usage.controller.settings import OperatorSettings
from agentspec_usage.controller.sweep import Sweep
from agentspec_usage.controller.writer import StatusWriter, WriterSettings
from agentspec_usage.metering.checkpoint import PodIdentity
from agentspec_usage.pricing.book import PriceBook
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.runtime.ids import draw_128_bits
from agentspec_usage.scrape.bearer import TokenFile
from agentspec_usage.scrape.http import HttpScraper, ScrapeSettings
from agentspec_usage.wire.observed_answer import ObservedAnswer
from agentspec_usage.wire.usage import decode_usage

__all__ = ["Parts", "assemble"]

_WATCH_SILENCE = 170.0
"""Seconds: bookmarks come about every minute, and a silent connection is ended after 150."""

_SETTLE = 3.0
"""Seconds that a write of tokens waits for what they cost: a request to the control plane goes once
a second, and one that takes longer than two is not waited for.
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the program runs and stops."""

    register: Register
    scheduler: Scheduler
    writer: StatusWriter
    pod_watch: PodWatch
    pod_events: PodEvents
    rereader: Rereader
    intake: Intake
    sweep: Sweep
    scraper: HttpScraper
    handing_in: HandingIn | None


def assemble(
    settings: OperatorSettings,
    *,
    book: PriceBook,
    notes: Notes,
    kube: KubeApi,
    clock: Clock,
    metrics: Metrics,
    heartbeats: Heartbeats,
) -> Parts:
    """Build everything that works behind the watch."""
    register = Register()
    costs = Costs(book)
    charged = bool(settings.control_plane_url)
    outbox = ObservationOutbox() if charged else None
    charging = Charging(register) if charged else None
    counting = Counting(costs, clock, outbox)
    writer = StatusWriter(
        kube,
        clock,
        WriterSettings(
            budget_per_s=settings.write_budget,
            min_interval=settings.write_min_interval,
            settle=_SETTLE if charged else 0.0,
            identity=settings.identity,
        ),
    )

    async def tick(uid: str) -> float | None:
        return await reconciler.tick(uid)

    scheduler = Scheduler(
        tick,
        clock,
        SchedulerLimits(settings.scrape_concurrency, settings.namespace_concurrency),
        on_late=metrics.late,
        on_error=metrics.tick_failed,
    )

    def pod_changed(old: PodView | None, new: PodView | None) -> None:
        pod_events.changed(old, new)

    pod_watch = PodWatch(
        kube,
        settings.namespaces,
        pod_changed,
        clock,
        on_turn=heartbeats.expect("pod-watch", _WATCH_SILENCE),
    )

    def pods_of(namespace: str) -> Iterable[PodIdentity]:
        # Lazily: every object that comes in has this at hand, and only a lost status looks.
        views = pod_watch.by_namespace(namespace).values()
        return (PodIdentity(view.uid, view.created_at) for view in views)

    def dropped(uid: str) -> None:
        writer.forget(uid)
        if outbox is not None:
            outbox.forget(uid)

    intake = Intake(
        register=register,
        schedule=scheduler,
        clock=clock,
        costs=costs,
        notes=notes,
        new_epoch=lambda: f"{to_rfc3339(clock.now())}.{draw_128_bits()[:8]}",
        pods_of=pods_of,
        on_dropped=dropped,
    )
    last_words = LastWordsReader(register, clock, counting)
    rereader = Rereader(
        register=register, pods=pod_watch, cluster=kube, intake=intake, last_words=last_words
    )
    publisher = Publisher(
        register=register,
        writer=writer,
        clock=clock,
        notes=notes,
        on_conflict=rereader.reread,
        on_gone=intake.drop,
        charging=charging,
    )
    rereader.publish_through(publisher)
    pod_events = PodEvents(
        register=register, schedule=scheduler, rereader=rereader, last_words=last_words
    )
    scraper = HttpScraper(
        ScrapeSettings(
            timeout=settings.scrape_timeout,
            allow_loopback=settings.allow_loopback,
            user_agent=f"agentspec-usage/{__version__}",
        ),
        decode_usage,
        clock,
    )
    reconciler = Reconciler(
        register=register,
        pods=pod_watch,
        cluster=kube,
        scraper=scraper,
        publisher=publisher,
        rereader=rereader,
        last_words=last_words,
        counting=counting,
        cost_centers=CostCenters(kube, clock, settings.default_cost_center),
        outbox=outbox,
        clock=clock,
        settings=settings,
        metrics=metrics,
    )
    sweep = Sweep(
        register=register,
        intake=intake,
        cluster=kube,
        namespaces=settings.namespaces,
        drift=metrics.drifted,
    )
    return Parts(
        register=register,
        scheduler=scheduler,
        writer=writer,
        pod_watch=pod_watch,
        pod_events=pod_events,
        rereader=rereader,
        intake=intake,
        sweep=sweep,
        scraper=scraper,
        handing_in=(
            _handing_in(settings, outbox, charging, publisher, clock)
            if outbox is not None and charging is not None
            else None
        ),
    )


def _handing_in(
    settings: OperatorSettings,
    outbox: ObservationOutbox,
    charging: Charging,
    publisher: Publisher,
    clock: Clock,
) -> HandingIn:
    """To the control plane with what was read, and back with what it costs."""

    def answered(answer: ObservedAnswer, batch: Batch) -> None:
        for record, first in charging.take(answer, batch):
            publisher.charged(record, first=first)

    token = settings.control_plane_token_file
    port = ControlPlaneHttp(
        settings.control_plane_url,
        TokenFile(Path(token), clock) if token else None,
        user_agent=f"agentspec-usage-operator/{__version__}",
    )
    return HandingIn(ObservationSender(settings.identity, outbox, answered), port, clock)
