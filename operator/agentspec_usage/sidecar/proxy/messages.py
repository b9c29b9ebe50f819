"""The messages of one connection, from bytes: a head, pieces of its body, its end; then the next.

h11's shape: ``receive`` what arrives, ask ``next_event`` until it answers None ("more is needed").
What a stranger can make long is bounded before it is kept: a head by ``max_head``, the framing of a
body by ``bodies``. Bytes behind a message stay unread until somebody asks for the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentspec_usage.sidecar.proxy.bodies import (
    BodyReader,
    FramingKind,
    body_reader,
    request_framing,
    response_framing,
)
from agentspec_usage.sidecar.proxy.heads import (
    HeaderLine,
    MessageError,
    RequestHead,
    ResponseHead,
    parse_request_head,
    parse_response_head,
)

__all__ = ["End", "RequestReader", "ResponseReader"]


@dataclass(frozen=True, slots=True)
class End:
    """A message is over."""

    trailers: Sequence[HeaderLine] = ()


class _Reader:
    """What requests and answers have in common: a bounded head, and a body behind it."""

    __slots__ = ("_body", "_data", "_max_head", "_searched")

    def __init__(self, max_head: int) -> None:
        self._max_head = max_head
        self._data = b""
        self._searched = 0
        self._body: BodyReader | None = None

    @property
    def pending(self) -> int:
        """Bytes that were received and are not read yet."""
        return len(self._data)

    def receive(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data

    def unread(self) -> bytes:
        """Takes the bytes that were received and not read, where no message follows."""
        data, self._data = self._data, b""
        return data

    def _next_head(self) -> bytes | None:
        end = self._data.find(b"\r\n\r\n", self._searched)
        if (len(self._data) if end < 0 else end) > self._max_head:
            raise MessageError("the head of the message is too large", 431)
        if end < 0:
            self._searched = max(0, len(self._data) - 3)
            return None
        head, self._data = self._data[:end], self._data[end + 4 :]
        self._searched = 0
        return head

    def _next_of_body(self, body: BodyReader) -> bytes | End | None:
        if not body.done and self._data:
            payload, self._data = body.take(self._data)
            if payload:
                return payload
        if not body.done:
            return None
        self._body = None
        return End(body.trailers)


class RequestReader(_Reader):
    """The requests of a client's connection."""

    __slots__ = ()

    def next_event(self) -> RequestHead | bytes | End | None:
        """None: more is needed. Raises MessageError, after which the connection is of no use."""
        if self._body is not None:
            return self._next_of_body(self._body)
        while self._data.startswith(b"\r\n"):
            # RFC 9112, 2.2: empty lines before a request are to be ignored.
            self._data = self._data[2:]
        raw = self._next_head()
        if raw is None:
            return None
        head = parse_request_head(raw)
        self._body = body_reader(request_framing(head))
        return head


class ResponseReader(_Reader):
    """The answers on an upstream's connection; each needs to know what was asked."""

    __slots__ = ("_kind", "_method")

    def __init__(self, max_head: int) -> None:
        super().__init__(max_head)
        self._method: bytes | None = None
        self._kind = FramingKind.NONE

    def expect(self, method: bytes) -> None:
        """The answer to a ``method`` request comes next."""
        self._method = method

    def next_event(self) -> ResponseHead | bytes | End | None:
        """None: more is needed. An interim (1xx) answer is a head alone, and the final one follows.
        Raises MessageError, after which the connection is of no use.
        """
        if self._body is not None:
            return self._next_of_body(self._body)
        if self._method is None:
            if self._data:
                raise MessageError("the upstream speaks unasked", 502)
            return None
        raw = self._next_head()
        if raw is None:
            if not b"HTTP/1.".startswith(self._data[:7]):
                raise MessageError("the status line is not valid HTTP/1.1")
            return None
        head = parse_response_head(raw)
        if head.status >= 200:
            framing = response_framing(head, self._method)
            self._kind = framing.kind
            self._body = body_reader(framing)
            self._method = None
        return head

    def closed(self) -> bool:
        """The connection ended: whether the answer is whole by that."""
        whole = self._body is not None and self._kind is FramingKind.UNTIL_CLOSE
        self._body = None
        return whole
