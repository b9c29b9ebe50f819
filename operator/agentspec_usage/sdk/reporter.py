"""The reporter: owns the agent's ledger, and pushes what it counts until it is durable elsewhere.

One daemon thread does all of it, in threaded hosts and in asyncio ones alike: a heartbeat at once
and then every interval, and after an accepted one the frames that wait, one after the other. What
fails is said to ``on_error`` and tried again, at the receiver's own time if it named one; nothing
is dropped by a failure.

Where the pod has a sidecar, its address is given and frames go there: the sidecar has the pod's one
ledger and heartbeats for the pod.

The end is pushed on ``stop``, on exit, and on a SIGTERM that nobody else handles (which then ends
the process as usual). A forked child reports for itself from its first call on.
"""

from __future__ import annotations

import asyncio
import atexit
import signal
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from agentspec_usage.delivery.spool import Spool
from agentspec_usage.errors import UsageError
from agentspec_usage.metering.record import UsageRecord
from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sdk.endpoint import HealthCheck, healthy
from agentspec_usage.sdk.environment import read_environment
from agentspec_usage.sdk.heartbeats import GapReport, Heartbeats
from agentspec_usage.sdk.ledger import UsageLedger
from agentspec_usage.sdk.outgoing import Outgoing
from agentspec_usage.sdk.posting import PushError, import_http
from agentspec_usage.sdk.pushing import Pusher, PushTarget
from agentspec_usage.sdk.shield import shielded
from agentspec_usage.sdk.termination_log import TerminationLog

__all__ = ["Reporter"]

_GRACE_SECONDS = 10.0
_LOG_SECONDS = 1.0
"""How old the number in the termination log may be."""


class Reporter:
    """A ledger, and its way out of the process. Thread-safe."""

    def __init__(
        self,
        *,
        health: HealthCheck = healthy,
        gap: GapReport | None = None,
        shared_directory: Path | str | None = None,
        spool_directory: Path | str | None = None,
        termination_log: Path | str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """``spool_directory``, on a volume that outlives the container, keeps records that could
        not be delivered. ``termination_log`` (``/dev/termination-log``) keeps totals in that file
        while push mode is on.
        """
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._ledger = UsageLedger(shared_directory=shared_directory, clock=clock)
        spool = None if spool_directory is None else Spool(Path(spool_directory))
        self._outgoing = Outgoing(self._ledger.clock, spool, self._ledger.settle)
        self._heartbeats = Heartbeats(self._ledger, health, gap)
        self._log = None if termination_log is None else TerminationLog(Path(termination_log))
        self._target: PushTarget | None = None
        self._on_error: Callable[[PushError], None] | None = None
        self._ended = False
        self._ledger.attach(self._outgoing, lazily=True)
        self._ledger.attach(_Revival(self), lazily=True)

    @classmethod
    def from_environment(
        cls,
        *,
        health: HealthCheck = healthy,
        gap: GapReport | None = None,
        on_error: Callable[[PushError], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Reporter:
        """A reporter as the pod's environment wants it (``environment``), pushing if it says where.

        ``SettingsError`` for a variable that cannot be used, ``MissingExtraError`` without httpx
        where there is somebody to push to.
        """
        said = read_environment(environment)
        reporter = cls(
            health=health,
            gap=gap,
            shared_directory=said.shared_directory,
            spool_directory=said.spool_directory,
            termination_log=said.termination_log,
        )
        if said.pushes:
            reporter.start_push_mode(
                said.control_plane_url,
                said.api_key,
                said.push_interval,
                on_error,
                sidecar_url=said.sidecar_url or None,
            )
        return reporter

    @property
    def ledger(self) -> UsageLedger:
        """Where calls are counted."""
        return self._ledger

    @property
    def pushing(self) -> bool:
        """Whether push mode is on."""
        return self._target is not None and not self._ended

    def snapshots(self) -> list[UsageSnapshot]:
        """What ``GET /agentspec/usage`` answers."""
        return [self._told(snapshot) for snapshot in self._ledger.snapshots()]

    def start_push_mode(
        self,
        control_plane_url: str = "",
        api_key: str = "",
        interval_seconds: float = 30,
        on_error: Callable[[PushError], None] | None = None,
        *,
        sidecar_url: str | None = None,
    ) -> None:
        """Push from now on, first at once. While it is on, calling this again changes nothing.

        With ``sidecar_url`` to the pod's sidecar, else to the control plane. ``MissingExtraError``
        without httpx, ``UsageError`` after the end was reported.
        """
        import_http()
        with self._lock:
            if self._ended:
                raise UsageError("start_push_mode: expected a reporter whose end was not reported")
            if self._target is not None:
                return
            url = sidecar_url or control_plane_url
            if not url:
                raise UsageError("start_push_mode: expected control_plane_url or sidecar_url")
            if interval_seconds <= 0:
                raise UsageError(f"interval_seconds {interval_seconds}: expected more than 0")
            sidecar = sidecar_url is not None
            self._target = PushTarget(
                url, "" if sidecar else api_key, float(interval_seconds), sidecar
            )
            self._on_error = on_error
            self._start_thread()
        _end_on_exit(self)

    def stop(self, grace_seconds: float = _GRACE_SECONDS) -> bool:
        """Push what is left, say that this process records no more, and end push mode.

        Whether everything is durable. Idempotent; calls after it are counted and not pushed.
        """
        if self.pushing:
            # Without the lock: a call that is counted may want it.
            shielded(self._ledger.give_up_background)
        with self._lock:
            if self._target is None or self._ended:
                return True
            self._ended = True
            thread, self._thread = self._thread, None
            self._stopping.set()
        clock = self._ledger.clock
        deadline = clock.monotonic() + grace_seconds
        if thread is not None:
            # Half of the time at most: what the records need is left to them.
            thread.join(grace_seconds / 2)
        return self._outgoing.end(max(deadline - clock.monotonic(), 0.0))

    async def astop(self, grace_seconds: float = _GRACE_SECONDS) -> bool:
        """``stop``, without holding up the event loop."""
        return await asyncio.to_thread(self.stop, grace_seconds)

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """``Starlette(lifespan=reporter.lifespan)``, FastAPI alike: stop when the server does.

        uvicorn ends a terminated process by the signal itself, past everything that runs at exit.
        """
        yield
        await self.astop()

    def _begin_anew(self) -> None:
        """No thread survives a fork."""
        self._lock = threading.Lock()
        self._thread = None
        self._ended = False
        self._heartbeats.begin()

    def _revive(self) -> None:
        """In a forked child, at its first call: the parent's thread did not come along."""
        with self._lock:
            if self._target is not None and self._thread is None:
                self._start_thread()

    def _start_thread(self) -> None:
        assert self._target is not None
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=shielded,
            args=(self._push, self._target, self._stopping),
            name="agentspec-usage-reporter",
            daemon=True,
        )
        self._thread.start()

    def _push(self, target: PushTarget, stopping: threading.Event) -> None:
        clock = self._ledger.clock
        pusher = Pusher(
            target,
            self._heartbeats,
            self._outgoing,
            clock,
            self._ledger.instance_id,
            self._failed,
        )
        try:
            due = clock.monotonic()
            while not stopping.is_set():
                if clock.monotonic() >= due:
                    wait = shielded(pusher.round) or target.interval_seconds
                    due = clock.monotonic() + wait
                self._write_log()
                left = max(due - clock.monotonic(), 0.0)
                stopping.wait(left if self._log is None else min(left, _LOG_SECONDS))
            self._write_log(final=True)
            pusher.round(final=True)
        finally:
            pusher.close()

    def _failed(self, error: PushError) -> None:
        if self._on_error is not None:
            shielded(self._on_error, error)

    def _write_log(self, *, final: bool = False) -> None:
        if self._log is not None:
            shielded(self._log.write, self._told(self._ledger.snapshot(final=final)))

    def _told(self, snapshot: UsageSnapshot) -> UsageSnapshot:
        """As it is told to readers: those of the sidecar's must not add it to theirs."""
        target = self._target
        sidecar = target is not None and target.is_sidecar
        return replace(snapshot, via="sidecar") if sidecar else snapshot


class _Revival:
    """A sink that hears of a fork, and of the first call after it."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = weakref.ref(reporter)
        self._begun = False

    def begin(self, snapshot: UsageSnapshot) -> None:
        reporter = self._reporter()
        if self._begun and reporter is not None:
            reporter._begin_anew()
        self._begun = True
        self._waits = True

    def append(self, record: UsageRecord) -> None:
        if self._waits:
            self._waits = False
            reporter = self._reporter()
            if reporter is not None:
                reporter._revive()

    def invalid(self, calls: int, at: int) -> None:
        """Nothing to push."""


_PUSHING: weakref.WeakSet[Reporter] = weakref.WeakSet()


def _end_on_exit(reporter: Reporter) -> None:
    """Report the end when the process ends: at exit, and on a SIGTERM that nobody handles."""
    if not _PUSHING:
        atexit.unregister(_end_all)
        atexit.register(_end_all)
    _PUSHING.add(reporter)
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    """End as on a plain exit, so that what runs at exit runs. Takes no lock: it interrupts."""
    sys.exit(128 + number)


def _end_all() -> None:
    for reporter in list(_PUSHING):
        shielded(reporter.stop)
