"""Reading a body within bounds: of bytes, of inflated bytes, and of time.

A declared length is refused before a byte is read; what is not declared is counted while it comes.
gzip is inflated piece by piece and never further than the bound: 64 KiB of it can be 64 MiB.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from agentspec_usage.errors import WireError
from agentspec_usage.serving.problems import Refusal

__all__ = ["read_body"]

_GZIP = zlib.MAX_WBITS | 16


async def read_body(request: Request, limit: int, seconds: float, *, gzip: bool = False) -> bytes:
    """The body, inflated if it came as gzip, in at most ``limit`` bytes either way."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", *(("gzip",) if gzip else ())):
        accepted = "gzip" if gzip else "identity"
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"content-encoding: expected {accepted}",
            {"Accept-Encoding": accepted},
        )
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            chunks = _counted(request, limit)
            if encoding == "gzip":
                return await _inflated(chunks, limit)
            return b"".join([chunk async for chunk in chunks])
    except TimeoutError as error:
        raise Refusal(
            HTTPStatus.REQUEST_TIMEOUT,
            f"body: expected within {seconds:g} seconds",
            {"Connection": "close"},
        ) from error
    except ClientDisconnect as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, "body: expected to its end") from error


async def _counted(request: Request, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def _inflated(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    inflate = zlib.decompressobj(_GZIP)
    pieces: list[bytes] = []
    room = limit
    async for chunk in chunks:
        try:
            piece = inflate.decompress(chunk, room + 1)
        except zlib.error as error:
            raise WireError("", "gzip") from error
        room -= len(piece)
        if room < 0:
            raise _too_large(limit)
        pieces.append(piece)
    if not inflate.eof or inflate.unused_data:
        raise WireError("", "one whole gzip stream")
    return b"".join(pieces)


def _too_large(limit: int) -> Refusal:
    # What is left of the body is not read, so the connection is of no further use.
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"body: expected at most {limit} bytes",
        {"Connection": "close"},
    )
