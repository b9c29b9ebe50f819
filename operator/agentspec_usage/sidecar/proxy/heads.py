"""The head of an HTTP/1.1 message: its first line and header lines, read strictly, kept as written.

A proxy that reads a head more kindly than the server behind it can be made to see one request where
the server sees two. So what the standard lets a recipient repair is refused here: folded lines,
a space before the colon, bare line feeds, two lengths, a length beside an encoding (RFC 9112, 2.2,
5.1, 5.2, 6.3). Names keep their case, lines their order and repetitions: nobody can tell on which
of it a peer relies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentspec_usage.errors import PeerError

__all__ = [
    "HeaderLine",
    "MessageError",
    "RequestHead",
    "ResponseHead",
    "parse_header_lines",
    "parse_request_head",
    "parse_response_head",
    "tokens",
    "values",
]

MAX_LINES = 256

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_ANY_REQUEST_LINE = re.compile(_TOKEN + rb" [^ ]+ HTTP/[0-9]\.[0-9]")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\r\n\x00]*))?")
_HEADER = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\r\n\x00]*)")


class MessageError(PeerError):
    """The message is refused. ``status`` is what a client is told, the text a constant of ours."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class HeaderLine(NamedTuple):
    """One header line. ``key`` is the name in lower case; name and value are as written."""

    key: bytes
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a client asks. ``minor`` is the HTTP/1 version's: 1, or 0 for an old client."""

    method: bytes
    target: bytes
    minor: int
    lines: Sequence[HeaderLine]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """What a server answers. ``reason`` is None where the status line has none."""

    status: int
    reason: bytes | None
    minor: int
    lines: Sequence[HeaderLine]


def parse_request_head(head: bytes) -> RequestHead:
    """Of ``head`` without the empty line that ends it. Raises MessageError."""
    first, *rest = head.split(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(first)
    if matched is None:
        if _ANY_REQUEST_LINE.fullmatch(first):
            raise MessageError("only HTTP/1.0 and HTTP/1.1 are spoken here", 505)
        raise MessageError("the request line is not valid HTTP/1.1")
    lines = parse_header_lines(rest)
    minor = int(matched[3])
    hosts = sum(line.key == b"host" for line in lines)
    if hosts > 1 or (minor and not hosts):
        raise MessageError("a request has exactly one Host")
    return RequestHead(matched[1], matched[2], minor, lines)


def parse_response_head(head: bytes) -> ResponseHead:
    """Of ``head`` without the empty line that ends it. Raises MessageError."""
    first, *rest = head.split(b"\r\n")
    matched = _STATUS_LINE.fullmatch(first)
    if matched is None:
        raise MessageError("the status line is not valid HTTP/1.1")
    return ResponseHead(int(matched[2]), matched[3], int(matched[1]), parse_header_lines(rest))


def parse_header_lines(lines: Sequence[bytes]) -> list[HeaderLine]:
    """Header or trailer lines. Raises MessageError."""
    if len(lines) > MAX_LINES:
        raise MessageError(f"more than {MAX_LINES} header lines", 431)
    parsed = []
    for line in lines:
        matched = _HEADER.fullmatch(line)
        if matched is None:
            raise MessageError("a header line is not valid HTTP/1.1")
        name, value = matched.groups()
        parsed.append(HeaderLine(name.lower(), name, value.rstrip(b" \t")))
    return parsed


def values(lines: Iterable[HeaderLine], key: bytes) -> list[bytes]:
    """The values of every line named ``key`` (lower case), in order."""
    return [line.value for line in lines if line.key == key]


def tokens(lines: Iterable[HeaderLine], key: bytes) -> list[bytes]:
    """The members of the comma-separated list that the lines named ``key`` make, in lower case."""
    return [
        token
        for value in values(lines, key)
        for part in value.lower().split(b",")
        if (token := part.strip(b" \t"))
    ]
