"""Asks for the usage of a stream: adds ``stream_options.include_usage`` to a chat request's body.

The one change that is made to what a client sends, so it is as small as it can be: the member is
put in and every other byte stays, order, spacing and escapes included. A body that says anything
about it already is left alone, also where it says no; so is one that is no JSON object, or that
names ``stream`` or its options twice, because which of the two counts is the server's secret.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

__all__ = ["with_include_usage"]

_OPTIONS = '{"include_usage":true}'
_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class _Member:
    value: object
    start: int
    end: int


def with_include_usage(body: bytes) -> bytes | None:
    """``body`` asking for usage; None where it is not to be changed."""
    try:
        text = body.decode()
        members = _members(text)
    except (ValueError, RecursionError):
        return None
    stream = members.get("stream")
    if stream is None or stream.value is not True:
        return None
    options = members.get("stream_options")
    if options is None:
        return _replaced(text, stream.end, stream.end, f',"stream_options":{_OPTIONS}')
    if options.value is None:
        return _replaced(text, options.start, options.end, _OPTIONS)
    if not isinstance(options.value, dict) or "include_usage" in options.value:
        return None
    inside = '"include_usage":true,' if options.value else '"include_usage":true'
    return _replaced(text, options.start + 1, options.start + 1, inside)


def _replaced(text: str, start: int, end: int, new: str) -> bytes:
    return f"{text[:start]}{new}{text[end:]}".encode()


def _members(text: str) -> dict[str, _Member]:
    """``stream`` and ``stream_options`` of the object that ``text`` is, where they stand.

    Raises ValueError for other text, and for one of them that comes twice.
    """
    decoder = json.JSONDecoder()
    members: dict[str, _Member] = {}
    position = _expect(text, _past_space(text, 0), "{")
    if text.startswith("}", position):
        return members
    while True:
        key, position = decoder.raw_decode(text, position)
        if not isinstance(key, str):
            raise ValueError("a key is a string")
        start = _expect(text, _past_space(text, position), ":")
        value, end = decoder.raw_decode(text, start)
        if key in ("stream", "stream_options"):
            if key in members:
                raise ValueError(f"{key} comes twice")
            members[key] = _Member(value, start, end)
        position = _past_space(text, end)
        if text.startswith("}", position):
            break
        position = _expect(text, position, ",")
    if _past_space(text, position + 1) != len(text):
        raise ValueError("the object is followed by something")
    return members


def _expect(text: str, position: int, character: str) -> int:
    """Past ``character``, which must stand at ``position``, and the white space behind it."""
    if not text.startswith(character, position):
        raise ValueError(f"expected {character}")
    return _past_space(text, position + 1)


def _past_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position
