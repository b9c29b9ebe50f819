"""Anthropic's Messages, on its own API and on the clouds that host it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from agentspec_usage.extraction.fields import field, text
from agentspec_usage.extraction.measured import Measured
from agentspec_usage.extraction.reading import Reading
from agentspec_usage.extraction.usage.anthropic import MESSAGES_FIELDS, anthropic_messages

__all__ = ["Messages"]


_TELLS = re.compile(rb'"type"\s*:\s*"message_')


@dataclass(frozen=True, slots=True)
class Messages:
    """``/v1/messages``. A stream says its usage in two events, field by field and cumulative."""

    fields = MESSAGES_FIELDS
    wanted = frozenset(
        f"{above}{name}" for above in ("", "message.") for name in ("id", "model", "usage", "type")
    )

    def concerns(self, event: bytes, reading: Reading) -> bool:
        # message_start, message_delta, message_stop; content comes in content_block events.
        return _TELLS.search(event) is not None

    def response(self, reading: Reading, response: object) -> None:
        reading.name(field(response, "id"), field(response, "model"))
        self._merge(reading, field(response, "usage"))
        reading.complete = reading.usage is not None

    def event(self, reading: Reading, event: object) -> None:
        kind = field(event, "type")
        if kind == "message_start":
            message = field(event, "message")
            reading.name(field(message, "id"), field(message, "model"))
            self._merge(reading, field(message, "usage"))
        elif kind == "message_delta":
            self._merge(reading, field(event, "usage"))
        elif kind == "message_stop":
            reading.complete = True

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        return anthropic_messages(reading.usage)

    @staticmethod
    def _merge(reading: Reading, usage: object) -> None:
        """The last value that is not null wins, field by field."""
        if usage is None:
            return
        known = reading.usage if isinstance(reading.usage, dict) else {}
        names = usage if isinstance(usage, Mapping) else _READ
        seen = {name: value for name in names if (value := field(usage, name)) is not None}
        merged = reading.usage = {**known, **seen}
        reading.service_tier = _tier(merged)
        region = text(merged, "inference_geo")
        reading.region = "" if region == "not_available" else region
        tools = merged.get("server_tool_use")
        reading.requests = {
            kind: number
            for kind in ("web_search", "web_fetch")
            if type(number := field(tools, f"{kind}_requests")) is int and number > 0
        }


_READ = frozenset(name.partition(".")[0] for name in MESSAGES_FIELDS)
"""Of an object of the provider's SDK; a mapping is merged whole."""


def _tier(usage: object) -> str:
    """Anthropic's fast speed has prices of its own, whatever the tier."""
    return "fast" if text(usage, "speed") == "fast" else text(usage, "service_tier")
