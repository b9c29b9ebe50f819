"""A provider for the sidecar's benchmark: answers chats at the least cost that is still HTTP.

``stream`` in a request body asks for events, ``seed`` says how many: the one number that every
proxy passes on. Everything that is
sent is composed once, so that an answer costs one write.
"""

from __future__ import annotations

import asyncio
import json
from functools import cache

from bench.child import answer, answer_until_end, first_line

_BASE = {"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "created": 1741569952, "model": "gpt-4o"}
_USAGE = {"prompt_tokens": 100, "completion_tokens": 200, "total_tokens": 300}
_WORDS = "The quick brown fox jumps over the lazy dog. " * 16


def _json() -> bytes:
    message = {"role": "assistant", "content": _WORDS}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    document = {**_BASE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


@cache
def _events(count: int) -> bytes:
    # Each with words of its own: litellm gives up a model that repeats itself.
    deltas: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None}]}
        for n in range(count)
    ]
    deltas.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    deltas.append({"choices": [], "usage": _USAGE})
    documents = [{**_BASE, "object": "chat.completion.chunk", **delta} for delta in deltas]
    lines = [f"data: {json.dumps(document)}\n\n".encode() for document in documents]
    lines.append(b"data: [DONE]\n\n")
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(line), line) for line in lines)
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    return head + chunks + b"0\r\n\r\n"


class _Provider(asyncio.Protocol):
    """Requests with a Content-Length, one after another."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            lines = head.lower()
            size = int(_value(lines, b"content-length") or 0)
            if len(rest) < size:
                return
            body, self._data = rest[:size], rest[size:]
            assert self._transport is not None
            if b'"stream":true' in body or b'"stream": true' in body:
                asked = _value(body, b'"seed"').strip(b" :").partition(b",")[0].strip(b"} ")
                self._transport.write(_events(int(asked or 0)))
            else:
                self._transport.write(JSON)


def _value(lines: bytes, name: bytes) -> bytes:
    """What follows ``name`` and its colon, to the end of the line."""
    _, found, rest = lines.partition(name)
    return rest.partition(b"\r\n")[0].lstrip(b": ") if found else b""


JSON = _json()


async def _main() -> None:
    first_line()
    server = await asyncio.get_running_loop().create_server(_Provider, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    answer({"port": port})
    await answer_until_end(lambda _: {"port": port})


if __name__ == "__main__":
    asyncio.run(_main())
