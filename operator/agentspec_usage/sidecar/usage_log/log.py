"""Which calls make a line: those whose usage was read from an answer that was a success."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentspec_usage.extraction.values import ReadCall
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest
from agentspec_usage.sidecar.usage_log.file import RotatedFile
from agentspec_usage.sidecar.usage_log.lines import usage_line
from agentspec_usage.sidecar.usage_log.writer import LogStats, LogWriter

__all__ = ["FILE_NAME", "UsageLog", "open_usage_log"]

FILE_NAME = "token-usage.jsonl"

_SWITCHED = 101
"""The status of a WebSocket, which never has another."""


class UsageLog:
    """An ``ExchangeObserver``."""

    def __init__(self, writer: LogWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    @property
    def stats(self) -> LogStats:
        return self._writer.stats

    def began(self, request: ProxiedRequest) -> None:
        """A request that begins has used nothing yet."""

    def read(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        lasted = round(self._clock.monotonic() * 1000) - request.began.steady
        for call in counted:
            if call.status is not CallStatus.UNMETERED:
                self._writer.offer(
                    usage_line(
                        request,
                        call,
                        at=self._clock.now(),
                        status=_SWITCHED,
                        streaming=True,
                        duration_ms=max(lasted, 0),
                        response_bytes=None,
                    )
                )

    def ended(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        if end.status is None or not (200 <= end.status < 300 or end.status == _SWITCHED):
            return
        streaming = request.facts is not None and request.facts.streaming
        for call in counted:
            if call.status is not CallStatus.UNMETERED:
                self._writer.offer(
                    usage_line(
                        request,
                        call,
                        at=end.ended.wall,
                        status=end.status,
                        streaming=streaming or end.status == _SWITCHED,
                        duration_ms=end.duration_ms,
                        response_bytes=end.response_bytes,
                    )
                )

    def close(self, seconds: float = 5.0) -> bool:
        """Everything offered is on the disk; False when that took too long."""
        return self._writer.close(seconds)


def open_usage_log(directory: Path, clock: Clock, *, max_bytes: int, kept: int) -> UsageLog:
    """The log in ``directory``, its thread started. A directory that cannot be written is no error:
    lines are dropped and counted until it can.
    """
    writer = LogWriter(RotatedFile(directory / FILE_NAME, max_bytes, kept))
    writer.start()
    return UsageLog(writer, clock)
