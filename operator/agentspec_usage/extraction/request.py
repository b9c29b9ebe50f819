"""What a request says of the call that it asks for. Tolerant: the body may be cut, or no JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.fields import field, text
from agentspec_usage.extraction.framing import JsonPicker, read_json
from agentspec_usage.extraction.routing import Route
from agentspec_usage.extraction.surface import Surface
from agentspec_usage.metering.counts import MAX_COUNT

__all__ = ["RequestFacts", "read_request"]

_LIMITS = (
    ("max_tokens",),
    ("max_completion_tokens",),
    ("max_output_tokens",),
    ("max_tokens_to_sample",),
    ("generationConfig", "maxOutputTokens"),  # Gemini
    ("generation_config", "max_output_tokens"),
    ("inferenceConfig", "maxTokens"),  # Bedrock
    ("options", "num_predict"),  # Ollama
)
_CHOICES = (("n",), ("generationConfig", "candidateCount"))

_WANTED = frozenset(
    {
        "model",
        "stream",
        "store",
        "background",
        "stream_options.include_usage",
        *(".".join(path) for path in (*_LIMITS, *_CHOICES)),
    }
)

_FORM_FIELD = re.compile(rb'name="(model|stream)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,256})\r\n')
_MAX_MODEL = 256
_SMALL = 16 * 1024
"""Bytes up to which parsing a whole body costs less than picking from it."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """``model`` is the one asked for, "" where the request names none.

    ``output_limit`` is the most output tokens that the request allows, None where it sets none.
    ``asks_usage``: whether a stream is asked to show its usage, or not to, in so many words.
    ``stored``: the response can be read again by its id. ``background``: the answer may come before
    the response is complete.
    """

    route: Route
    model: str = ""
    streaming: bool = False
    output_limit: int | None = None
    asks_usage: bool = False
    stored: bool = False
    background: bool = False

    @property
    def provider(self) -> str:
        return self.route.provider

    @property
    def surface(self) -> Surface:
        return self.route.surface


def read_request(route: Route, body: bytes) -> RequestFacts:
    """The facts of a request with this body, which may be cut anywhere."""
    surface = route.surface
    said = _form(body) if body.lstrip()[:2] == b"--" else _json(body)
    stored = field(said, "store")
    stream = field(said, "stream")
    model = text(said, "model")
    return RequestFacts(
        route,
        route.model or (model if len(model) <= _MAX_MODEL else ""),
        # Ollama's own API streams unless it is told not to.
        streaming=route.streaming or stream is True or (_is_ollama(surface) and stream is None),
        output_limit=_output_limit(said),
        asks_usage=field(said, "stream_options", "include_usage") is not None,
        stored=route.retrieval
        or (surface.retrievable and (stored is True or (surface.stored and stored is not False))),
        background=field(said, "background") is True,
    )


def _is_ollama(surface: Surface) -> bool:
    return surface.lines and not surface.unique_ids


def _output_limit(said: object) -> int | None:
    """Every choice that is asked for may use as much."""
    found = [number for path in _LIMITS if (number := _positive(said, path)) is not None]
    if not found:
        return None
    choices = max((_positive(said, path) or 1) for path in _CHOICES)
    return min(max(found) * choices, MAX_COUNT)


def _positive(said: object, path: tuple[str, ...]) -> int | None:
    number = field(said, *path)
    return number if type(number) is int and 0 < number <= MAX_COUNT else None


def _json(body: bytes) -> object:
    if len(body) <= _SMALL:
        try:
            return read_json(body)
        except WireError:
            pass  # cut, perhaps: what came is picked
    picker = JsonPicker(_WANTED)
    picker.feed(body)
    return picker.end().document


def _form(body: bytes) -> object:
    """A form with files in it: images to edit, sound to write down."""
    named = {name.decode(): value for name, value in _FORM_FIELD.findall(body)}
    return {
        "model": named.get("model", b"").decode(errors="replace"),
        "stream": named.get("stream") == b"true",
    }
