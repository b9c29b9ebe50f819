"""Connections on which many calls are made: what is said on them, and when a call is over.

A call is over when the server says so with its usage. What was begun and never ended is told when
the connection is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.extraction import fields
from agentspec_usage.extraction.dialects.gemini import GenerateContent
from agentspec_usage.extraction.dialects.openai import Responses
from agentspec_usage.extraction.dialects.openai_media import Realtime, Sound
from agentspec_usage.extraction.reading import Dialect, Reading

__all__ = ["EndedCall", "GeminiSession", "OpenAISession", "Session"]

_MAX_OPEN = 256
"""Responses under way on one connection. Servers work on a few."""


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that is over. ``operation`` where it is not the session's own."""

    reading: Reading
    dialect: Dialect
    operation: str = ""


class Session(Protocol):
    """The state of one connection."""

    def concerns(self, message: bytes) -> bool:
        """Whether a message, not yet parsed, may say something of a call."""
        ...

    def asked(self, message: object) -> None:
        """The client said this."""
        ...

    def told(self, message: object) -> list[EndedCall]:
        """The server said this: the calls that are over with it."""
        ...

    def over(self) -> list[EndedCall]:
        """The connection is over: the calls that were not."""
        ...


_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_FIRST = frozenset({"response.created", "response.in_progress"})
_SAYS = re.compile(
    rb'"type"\s*:\s*"(session\.(created|started|updated|usage\.updated)"|response\.event"'
    rb'|response\.(created|in_progress|done|completed|incomplete|failed)"'
    rb'|conversation\.item\.input_audio_transcription\.completed")'
)


@dataclass(slots=True)
class OpenAISession:
    """OpenAI's realtime API, its Live API, and Responses on a WebSocket.

    Each response tells its own usage once. Beside them, writing down what was said is a call to
    another model, and Live tells the seconds of the whole session so far, again and again.
    """

    model: str = ""
    transcriber: str = ""
    _seconds: float = 0.0
    _open: dict[str, Reading] = field(default_factory=dict)

    def concerns(self, message: bytes) -> bool:
        return _SAYS.search(message) is not None

    def asked(self, message: object) -> None:
        """The server repeats everything that matters of it."""

    def told(self, message: object) -> list[EndedCall]:
        kind = fields.text(message, "type")
        if kind == "response.event":
            # What a response that the session delegated to another model says of itself.
            message = fields.field(message, "event")
            kind = fields.text(message, "type")
        if kind.startswith("session."):
            self._hear_session(message)
        elif kind in _FIRST:
            self._begin(fields.field(message, "response"))
        elif kind in _LAST:
            return [self._end(fields.field(message, "response"), Responses(), "")]
        elif kind == "response.done":
            return [self._end(fields.field(message, "response"), Realtime(), "")]
        elif kind == "conversation.item.input_audio_transcription.completed":
            reading = Reading(model=self.transcriber)
            Sound().response(reading, message)
            return [EndedCall(reading, Sound(), "transcription")]
        return []

    def over(self) -> list[EndedCall]:
        ended = [EndedCall(reading, Responses()) for reading in self._open.values()]
        if self._seconds:
            usage = {"type": "duration", "seconds": self._seconds}
            reading = Reading(model=self.model)
            Sound().response(reading, {"usage": usage})
            ended.append(EndedCall(reading, Sound()))
        return ended

    def _hear_session(self, message: object) -> None:
        said = fields.field(message, "session")
        self.model = fields.text(said, "model") or self.model
        self.transcriber = (
            fields.text(said, "audio", "input", "transcription", "model")
            or fields.text(said, "input_audio_transcription", "model")
            or self.transcriber
        )
        seconds = fields.field(message, "usage", "seconds")
        if isinstance(seconds, int | float):
            self._seconds = max(self._seconds, seconds)

    def _begin(self, response: object) -> None:
        response_id = fields.text(response, "id")
        if response_id and len(self._open) < _MAX_OPEN:
            model = fields.text(response, "model") or self.model
            self._open[response_id] = Reading(response_id=response_id, model=model)

    def _end(self, response: object, dialect: Dialect, operation: str) -> EndedCall:
        known = self._open.pop(fields.text(response, "id"), None)
        reading = known or Reading(model=self.model)
        dialect.response(reading, response)
        return EndedCall(reading, dialect, operation)


@dataclass(slots=True)
class GeminiSession:
    """Google's Live API: a call is a turn of the model, with its own usage.

    A turn's usage may come in several messages, of which the last counts, and in one after the
    turn. Each turn is charged for the whole context so far.
    """

    model: str = ""
    _turn: Reading | None = None
    _is_over: bool = False

    def concerns(self, message: bytes) -> bool:
        return b"usageMetadata" in message or b"serverContent" in message

    def asked(self, message: object) -> None:
        named = fields.text(message, "setup", "model")
        if named:
            self.model = named.rpartition("/")[2]

    def told(self, message: object) -> list[EndedCall]:
        content = fields.field(message, "serverContent")
        ended: list[EndedCall] = []
        if self._is_over and fields.field(content, "modelTurn") is not None:
            ended = self._end()
        usage = fields.field(message, "usageMetadata")
        complete = fields.field(content, "turnComplete") is True
        if usage is None and content is None:
            return ended
        turn = self._turn or Reading(model=self.model)
        self._turn = turn
        GenerateContent().event(turn, message)
        self._is_over = self._is_over or complete
        turn.complete = self._is_over and turn.usage is not None
        return ended + self._end() if turn.complete else ended

    def over(self) -> list[EndedCall]:
        return self._end()

    def _end(self) -> list[EndedCall]:
        turn, self._turn, self._is_over = self._turn, None, False
        return [] if turn is None else [EndedCall(turn, GenerateContent())]
