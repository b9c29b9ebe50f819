"""One heartbeat after another, and when the next one is due.

What fails is tried again after a pause that doubles from a second up to the interval, with jitter
from the instance's identity, so that a thousand agents of one deployment do not return together. A
receiver that says when to come back is taken at its word, up to an hour.

The first answer tells what the receiver is, and so whether frames go to it (``heartbeats``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agentspec_usage.errors import WireError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.runtime.ids import stable_fraction
from agentspec_usage.sdk.heartbeats import Heartbeats
from agentspec_usage.sdk.outgoing import Outgoing
from agentspec_usage.sdk.posting import Poster, PushError

__all__ = ["HEARTBEAT_PATH", "SIDECAR_RECORDS_PATH", "PushTarget", "Pusher"]

HEARTBEAT_PATH = "/api/v1/heartbeat"
SIDECAR_RECORDS_PATH = "/usage/records"

_FIRST_PAUSE = 1.0
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where to push. ``url`` is the control plane's, or a sidecar's, which needs no key."""

    url: str
    api_key: str
    interval_seconds: float
    is_sidecar: bool = False

    def __repr__(self) -> str:
        return "PushTarget([REDACTED])"


class Pusher:
    """Does the rounds of one reporter, in its thread."""

    def __init__(
        self,
        target: PushTarget,
        heartbeats: Heartbeats,
        outgoing: Outgoing,
        clock: Clock,
        identity: str,
        on_error: Callable[[PushError], None],
    ) -> None:
        self._target = target
        self._heartbeats = heartbeats
        self._outgoing = outgoing
        self._clock = clock
        self._identity = identity
        self._on_error = on_error
        self._poster = Poster(target.url, target.api_key)
        self._failures = 0
        self._told = 0
        if target.is_sidecar:
            outgoing.send_to(target.url.rstrip("/") + SIDECAR_RECORDS_PATH, "")

    def close(self) -> None:
        self._poster.close()

    def round(self, *, final: bool = False) -> float:
        """Push what there is; in how many seconds to come back."""
        self._tell_of_frames()
        if self._target.is_sidecar:
            return self._target.interval_seconds
        try:
            self._heartbeat(final)
        except PushError as error:
            self._on_error(error)
            return self._pause(error)
        self._failures = 0
        return self._target.interval_seconds

    def _heartbeat(self, final: bool) -> None:
        # Known to be durable before the heartbeat is sent: only against that is its answer a
        # going back, for an answer to a frame may overtake it.
        durable = self._outgoing.durable
        heartbeat = self._heartbeats.next(final=final)
        answered = self._poster.post(HEARTBEAT_PATH, heartbeat.body, self._clock.now())
        try:
            answer = self._heartbeats.accepted(heartbeat, answered.status, answered.body)
        except WireError as error:
            raise PushError(f"POST {HEARTBEAT_PATH}: answer: {error}") from None
        if answer is not None:
            self._outgoing.send_to(
                self._target.url.rstrip("/") + answer.records, self._target.api_key
            )
            if answer.durable < durable:
                self._outgoing.stands_at(answer.durable)
        elif self._heartbeats.in_windows:
            self._outgoing.drop()

    def _tell_of_frames(self) -> None:
        failures, reason = self._outgoing.failures
        if failures > self._told:
            self._told = failures
            self._on_error(PushError(f"POST frames to {self._target.url}: {reason}"))

    def _pause(self, error: PushError) -> float:
        self._failures += 1
        if error.retry_after is not None:
            return min(error.retry_after, _LONGEST_WAIT)
        pause = _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 16)
        spread = 0.5 + stable_fraction(self._identity, str(self._failures)) / 2
        return min(pause, self._target.interval_seconds) * spread
