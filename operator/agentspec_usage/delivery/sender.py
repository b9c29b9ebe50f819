"""When a frame is sent, and what is made of the answer: everything about delivery but the waiting.

The outboxes know what to send and what is durable; this is the traffic around them. One request is
under way at a time and carries one frame of each instance that has one. After an answer, what is
left of a backlog goes at once: the receiver's own pace is the pace. Otherwise a request waits for
its interval, and after a failure for a pause that doubles, spread by the sender's identity, so that
a thousand agents do not come back in the same second.

* 200 and 202 are answers: what they say is durable is, what they miss is repeated.
* 429 and 503 say when to come back, within bounds.
* 400, 413 and 422 refuse a body for good. So each instance's frame is sent alone, and what is
  refused alone is repeated rarely and holds nobody else up.
* Anything else is a failure like no answer at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from agentspec_usage.errors import WireError
from agentspec_usage.metering.frame import SealedFrame
from agentspec_usage.metering.outbox import Outbox
from agentspec_usage.runtime.ids import stable_fraction
from agentspec_usage.wire.records_answer import RecordsAnswer, decode_records_answer
from agentspec_usage.wire.records_encoding import MAX_RECORDS_BODY, encode_records

__all__ = ["NoAnswer", "Reply", "Request", "Sender", "SenderSettings", "SenderStats"]

MAX_FRAMES = 64
"""Frames of one body, as the receiver bounds it."""

_ANSWERED = (200, 202)
_REFUSED = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """Seconds. ``interval`` between requests when nothing is left over; ``pause`` after a first
    failure, doubling up to ``longest_pause``, which also bounds what a Retry-After can ask for.
    """

    interval: float = 5.0
    pause: float = 1.0
    longest_pause: float = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A body to post: these frames."""

    body: bytes
    frames: tuple[SealedFrame, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. ``retry_after`` in seconds, None where there is none."""

    status: int
    body: bytes = b""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The request failed: no connection, no answer in time. ``reason`` is free of secrets."""

    reason: str


@dataclass(frozen=True, slots=True)
class SenderStats:
    """What happened so far. ``refused`` instances wait for somebody to look. ``last_error`` stays
    when it is over; ``failing`` says whether it is not.
    """

    requests: int = 0
    failures: int = 0
    last_error: str = ""
    backlog: int = 0
    refused: tuple[str, ...] = ()
    failing: bool = False


@dataclass(slots=True)
class _Line:
    """One instance's way out."""

    outbox: Outbox
    on_settled: Callable[[], None] | None
    alone: bool = False
    not_before: float = 0.0
    refusals: int = 0


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    failures: int = 0
    in_a_row: int = 0
    last_error: str = ""
    finishing: bool = False
    under_way: Request | None = None
    lines: dict[str, _Line] = field(default_factory=dict)


class Sender:
    """Sends for any number of instances. ``identity`` spreads the pauses. Not thread-safe."""

    def __init__(self, identity: str, settings: SenderSettings | None = None) -> None:
        self._identity = identity
        self._settings = settings or SenderSettings()
        self._state = _Counts()
        self._next_at = 0.0
        self._blocked_until = 0.0

    @property
    def settled(self) -> bool:
        """Whether everything is durable, and the end said where it came."""
        return all(line.outbox.settled for line in self._state.lines.values())

    @property
    def stats(self) -> SenderStats:
        state = self._state
        refused = tuple(key for key, line in state.lines.items() if line.refusals)
        return SenderStats(
            state.requests,
            state.failures,
            state.last_error,
            sum(line.outbox.backlog for line in state.lines.values()),
            refused,
            bool(state.in_a_row or refused),
        )

    def add(self, outbox: Outbox, on_settled: Callable[[], None] | None = None) -> None:
        """Send for this instance too. With ``on_settled`` only until everything is durable."""
        self._state.lines[outbox.instance_id] = _Line(outbox, on_settled)

    def finish(self) -> None:
        """The process ends: say so for every instance, and wait for no interval."""
        self._state.finishing = True
        for line in self._state.lines.values():
            line.outbox.finish()
        self._next_at = 0.0

    def hurry(self) -> None:
        """Wait for no interval this time; pauses after failures stand."""
        self._next_at = 0.0

    def poll(self, now: float) -> Request | float:
        """The request to make at ``now``, or the seconds until it is worth asking again."""
        settings, state = self._settings, self._state
        if state.under_way is not None:
            return settings.interval
        due = self._blocked_until if state.finishing else max(self._next_at, self._blocked_until)
        if now < due:
            return due - now
        frames = self._frames(now)
        if not frames:
            self._next_at = now + settings.interval
            return settings.interval
        state.requests += 1
        state.under_way = Request(encode_records(one.body for one in frames), tuple(frames))
        return state.under_way

    def answered(self, request: Request, reply: Reply | NoAnswer, now: float) -> None:
        """What came of ``request``."""
        state = self._state
        state.under_way = None
        if isinstance(reply, NoAnswer):
            self._failed(reply.reason, now)
        elif reply.status in _ANSWERED:
            try:
                answer = decode_records_answer(reply.body)
            except WireError as error:
                self._failed(f"answer: {error}", now)
            else:
                self._take(request, answer, now)
        elif reply.status in _REFUSED:
            self._refused(request, reply.status, now)
        else:
            self._failed(f"status {reply.status}", now, reply.retry_after)

    def _frames(self, now: float) -> list[SealedFrame]:
        """One of each instance that may send now, as many as a body takes."""
        frames: list[SealedFrame] = []
        room = MAX_RECORDS_BODY - len(encode_records(()))
        for line in list(self._state.lines.values()):
            if line.not_before > now or (line.alone and frames):
                continue
            sealed = line.outbox.to_send()
            if sealed is None or len(sealed.body) + 1 > room:
                continue
            frames.append(sealed)
            room -= len(sealed.body) + 1
            if line.alone or len(frames) == MAX_FRAMES:
                break
        return frames

    def _take(self, request: Request, answer: RecordsAnswer, now: float) -> None:
        state = self._state
        state.in_a_row = 0
        news = False
        for sealed in request.frames:
            instance_id = sealed.frame.instance_id
            line = state.lines.get(instance_id)
            if line is None:
                continue
            line.alone, line.refusals = False, 0
            durable = answer.durable.get(instance_id)
            if durable is not None:
                news = line.outbox.acknowledged(sealed, durable) or news
            have = answer.gaps.get(instance_id)
            if have is not None:
                news = line.outbox.stands_at(have) or news
            if line.outbox.settled and line.on_settled is not None:
                del state.lines[instance_id]
                line.on_settled()
        waiting = any(not line.outbox.settled for line in state.lines.values())
        if not news:
            # Taken, and not durable yet: asked again soon, not at once.
            self._blocked_until = now + self._settings.pause
        self._next_at = now if waiting else now + self._settings.interval

    def _refused(self, request: Request, status: int, now: float) -> None:
        self._note(f"refused with {status}")
        alone = len(request.frames) == 1
        for sealed in request.frames:
            line = self._state.lines.get(sealed.frame.instance_id)
            if line is None:
                continue
            line.alone = True
            if alone:
                line.refusals += 1
                line.not_before = now + self._settings.longest_pause
        self._next_at = now

    def _failed(self, reason: str, now: float, retry_after: float | None = None) -> None:
        settings, state = self._settings, self._state
        self._note(reason)
        state.in_a_row += 1
        spread = stable_fraction(self._identity, str(state.in_a_row))
        pause = min(settings.pause * 2.0 ** min(state.in_a_row - 1, 16), settings.longest_pause)
        pause *= 0.5 + spread / 2
        if retry_after is not None:
            pause = min(max(retry_after, 0.0), settings.longest_pause) + spread
        self._blocked_until = now + pause

    def _note(self, error: str) -> None:
        self._state.failures += 1
        self._state.last_error = error
