"""A head as it is sent on: the same lines in the same order, less those that concern one hop.

Hop-by-hop are the fields that RFC 9110, 7.6.1 names and whatever ``Connection`` lists. ``Upgrade``
passes for WebSockets alone. What is added is our own: a request id, so that the answer can be found
in the audit, and the framing that is really used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentspec_usage.sidecar.proxy.bodies import Framing, FramingKind
from agentspec_usage.sidecar.proxy.heads import HeaderLine, RequestHead, ResponseHead, tokens
from agentspec_usage.sidecar.proxy.routing import Destination

__all__ = ["is_upgrade", "keeps_open", "request_bytes", "response_bytes", "trailers_to_send"]

CALL_ID = b"x-agentspec-call-id"
REQUEST_ID = b"x-request-id"
OUR_REQUEST_ID = b"x-agentspec-request-id"

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    )
)
_OF_THE_BODY = frozenset({b"content-length", b"content-type", b"content-encoding"})

_ONLY_HERE = frozenset((b"expect", CALL_ID, b"content-length", b"host"))
_NEVER_TRAILERS = _HOP_BY_HOP | {b"content-length", b"host", b"content-encoding", b"trailer"}


def is_upgrade(head: RequestHead) -> bool:
    """Whether a WebSocket is asked for. Any other upgrade is none, as RFC 9110, 7.8 allows."""
    return (
        head.method == b"GET"
        and b"upgrade" in tokens(head.lines, b"connection")
        and tokens(head.lines, b"upgrade") == [b"websocket"]
    )


def keeps_open(head: RequestHead | ResponseHead) -> bool:
    """Whether the sender goes on with this connection. One of HTTP/1.0 does not."""
    return bool(head.minor) and b"close" not in tokens(head.lines, b"connection")


def request_bytes(
    head: RequestHead, there: Destination, framing: Framing, request_id: bytes, *, upgrade: bool
) -> bytes:
    """The head for the upstream, empty line included. The client's own x-request-id stays."""
    dropped = _connection_names(head.lines)
    out = [b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (head.method, there.target, there.authority)]
    out += [
        b"%b: %b\r\n" % line[1:]
        for line in head.lines
        if line.key not in dropped and line.key not in _ONLY_HERE
    ]
    if not any(line.key == REQUEST_ID for line in head.lines):
        out.append(b"%b: %b\r\n" % (REQUEST_ID, request_id))
    if upgrade:
        out.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    elif b"trailers" in tokens(head.lines, b"te"):
        out.append(b"Connection: TE\r\nTE: trailers\r\n")
    if framing.kind is FramingKind.CHUNKED:
        out.append(b"Transfer-Encoding: chunked\r\n")
    elif framing.kind is FramingKind.LENGTH:
        out.append(b"Content-Length: %d\r\n" % framing.length)
    out.append(b"\r\n")
    return b"".join(out)


def response_bytes(
    head: ResponseHead,
    kind: FramingKind,
    request_id: bytes,
    *,
    close: bool,
    decoded: bool = False,
) -> bytes:
    """The head for the client, empty line included. ``kind`` is how the body is framed to it; a
    length that the upstream gave stays where the body is as long. ``decoded``: the coding of the
    body was undone.

    x-request-id stays the upstream's: it is what a provider's support asks for and what its client
    shows. Ours has a name of its own beside it.
    """
    dropped = _connection_names(head.lines)
    reason = b"" if head.reason is None else head.reason
    out = [b"HTTP/1.1 %d %b\r\n" % (head.status, reason)]
    keeps_length = kind in (FramingKind.LENGTH, FramingKind.NONE)
    named = False
    for line in head.lines:
        key = line.key
        if key in dropped or (key == b"content-length" and not keeps_length):
            continue
        if decoded and key == b"content-encoding":
            continue
        named = named or key == REQUEST_ID
        out.append(b"%b: %b\r\n" % line[1:])
    if head.status >= 200 or head.status == 101:
        if not named:
            out.append(b"%b: %b\r\n" % (REQUEST_ID, request_id))
        out.append(b"%b: %b\r\n" % (OUR_REQUEST_ID, request_id))
    if head.status == 101:
        out.append(b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    if kind is FramingKind.CHUNKED:
        out.append(b"Transfer-Encoding: chunked\r\n")
    if close:
        out.append(b"Connection: close\r\n")
    out.append(b"\r\n")
    return b"".join(out)


def trailers_to_send(trailers: Sequence[HeaderLine]) -> Sequence[HeaderLine]:
    """Those of ``trailers`` that do not concern framing or one hop (RFC 9110, 6.5.1)."""
    return [line for line in trailers if line.key not in _NEVER_TRAILERS]


def _connection_names(lines: Iterable[HeaderLine]) -> frozenset[bytes]:
    """What is for one hop alone. What a body needs to be read is not, whoever says so."""
    named = tokens(lines, b"connection")
    return _HOP_BY_HOP.union(named) - _OF_THE_BODY if named else _HOP_BY_HOP
