"""Ollama's own APIs: an answer, or a stream of lines of which the last is ``done``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentspec_usage.extraction.fields import field
from agentspec_usage.extraction.measured import Measured, as_calls
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.ollama import OLLAMA_FIELDS, ollama_usage

__all__ = ["Ollama"]

_DONE = re.compile(rb'"done"\s*:\s*true')


@dataclass(frozen=True, slots=True)
class Ollama:
    """``/api/chat``, ``/api/generate``, ``/api/embed``."""

    fields = OLLAMA_FIELDS
    wanted = OLLAMA_FIELDS | {"model", "done"}

    def concerns(self, event: bytes, reading: Reading) -> bool:
        return not reading.model or _DONE.search(event) is not None

    def response(self, reading: Reading, response: object) -> None:
        reading.name(None, field(response, "model"))
        said = {name: field(response, name) for name in sorted(OLLAMA_FIELDS)}
        usage = {name: number for name, number in said.items() if number is not None}
        if usage:
            reading.usage = usage
            reading.complete = field(response, "done") is not False

    def event(self, reading: Reading, event: object) -> None:
        self.response(reading, event)

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return as_calls(ollama_usage(reading.usage))
