"""Takes the chunk that our ``include_usage`` caused out of an OpenAI-style stream again.

The client did not ask for it and may not expect it: many index ``choices[0]`` of every chunk. What
is taken out is exactly the event whose JSON has a ``usage`` and an empty ``choices``, blank line
included. Every other byte passes as it came, and as soon as it is clear that its event is another
one: content at its first choice, everything else at its end. So one event at most is held, and only
while it is small.
"""

from __future__ import annotations

import re

from agentspec_usage.errors import WireError
from agentspec_usage.extraction.framing.json_value import read_json
from agentspec_usage.extraction.framing.line_ends import LineEnds
from agentspec_usage.extraction.framing.sse_event import event_of

__all__ = ["UsageChunkFilter"]

_HELD_BYTES = 16 << 10
"""The largest event that is held: a usage chunk has 1 KiB."""

_BLANK_LINE = re.compile(rb"[\r\n](?:\r\n?+|(?<=\n)\n)")
"""The end of a line and of an empty one. A CRLF counts by its LF."""
_BLANK_LINE_OVERLAP = 3
_BLANK_LINES = re.compile(rb"[\r\n]*+")
_LAST_LINE_END = re.compile(rb"(?:\r\n|\r|\n)?\Z")
_CONTENT = re.compile(rb'"choices"[ \t]*+:[ \t]*+\[[ \t]*+[^ \t\r\n\]]')
_CONTENT_OVERLAP = 64
"""How far back a search begins: further than a match is long, oddly spaced ones aside."""
_NO_OBJECT = re.compile(rb"data: ?[^ {\r\n]")


class UsageChunkFilter:
    """Of one response: ``feed`` its bytes, and send on what is returned."""

    def __init__(self) -> None:
        self._rest = b""
        """Of the current event: what is held, or once it passes, the line end that came last."""
        self._passes = False
        self._after_cr = False
        self._dropped = False

    def feed(self, data: bytes) -> bytes:
        """The next bytes of the stream; those that may go on to the client."""
        out: list[bytes] = []
        if self._after_cr and data:
            # This LF and the CR before are one line end, which goes where its event went.
            if data.startswith(b"\n"):
                data = data[1:]
                out += [] if self._dropped else [b"\n"]
            self._after_cr = False
        known = len(self._rest)
        rest = self._rest + data
        sent = known if self._passes else 0
        begin = 0
        while True:
            if not self._passes:
                begin = _past_blank_lines(rest, begin)
                out.append(rest[sent:begin])
                sent = begin
            blank = _BLANK_LINE.search(rest, max(begin, known - _BLANK_LINE_OVERLAP))
            if blank is None:
                break
            end = blank.end()
            self._dropped = not self._passes and _is_usage_chunk(rest[begin:end])
            if not self._dropped:
                out.append(rest[sent:end])
            begin = sent = end
            self._passes = False
            self._after_cr = end == len(rest) and rest.endswith(b"\r")
        if not self._passes:
            self._passes = _is_another(rest, begin, max(begin, known - _CONTENT_OVERLAP))
        if self._passes:
            out.append(rest[sent:])
            begin = len(rest) - len(_last_line_end(rest))
        self._rest = rest[begin:]
        return b"".join(out)

    def end(self) -> bytes:
        """The stream is over: what is still held, unless it is the chunk."""
        held = b"" if self._passes or _is_usage_chunk(self._rest) else self._rest
        self._rest = b""
        return held


def _past_blank_lines(data: bytes, position: int) -> int:
    match = _BLANK_LINES.match(data, position)
    return match.end() if match else position


def _last_line_end(data: bytes) -> bytes:
    match = _LAST_LINE_END.search(data, max(0, len(data) - 2))
    return match[0] if match else b""


def _is_another(data: bytes, begin: int, search_from: int) -> bool:
    """Whether the incomplete event from ``begin`` on is certainly not the chunk."""
    return (
        len(data) - begin > _HELD_BYTES
        or _CONTENT.search(data, search_from) is not None
        or _NO_OBJECT.match(data, begin) is not None
    )


def _is_usage_chunk(block: bytes) -> bool:
    if b'"usage"' not in block or _CONTENT.search(block):
        return False
    event = event_of(LineEnds().made_lf(block).strip(b"\n"))
    if event is None:
        return False
    try:
        chunk = read_json(event.data)
    except WireError:
        return False
    return isinstance(chunk, dict) and chunk.get("usage") is not None and chunk.get("choices") == []
