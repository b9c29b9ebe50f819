"""Posting frames over HTTP: the one module here that needs a third party, imported when it starts.

A body is compressed, redirects are not followed (they would carry the key elsewhere), proxies of
the environment are not used, and an answer is read up to a bound. What goes wrong is an answer as
well: nothing is raised into whoever delivers, and no text of an error carries the key.
"""

from __future__ import annotations

import asyncio
import gzip
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.errors import MissingExtraError
from agentspec_usage.runtime.clock import SystemClock

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncHttpPoster", "AsyncPoster", "HttpPoster", "Poster"]

MAX_ANSWER = 64 * 1024

_TOO_LARGE = NoAnswer("an answer that is too large")
_TOO_SLOW = NoAnswer("an answer that takes too long")


class Poster(Protocol):
    """Posts one body, blocking. Raises nothing."""

    def post(self, body: bytes) -> Reply | NoAnswer: ...

    def close(self) -> None: ...


class AsyncPoster(Protocol):
    """Posts one body. Raises nothing but cancellation."""

    async def post(self, body: bytes) -> Reply | NoAnswer: ...

    async def close(self) -> None: ...


class HttpPoster:
    """To ``url``, with ``key`` as a bearer token unless it is empty; ``timeout`` in seconds."""

    def __init__(self, url: str, key: str = "", timeout: float = 10.0) -> None:
        self._httpx = _import_httpx()
        self._url = url
        self._timeout = timeout
        self._clock = SystemClock()
        self._client = self._httpx.Client(
            headers=_headers(key), timeout=timeout, follow_redirects=False, trust_env=False
        )

    def post(self, body: bytes) -> Reply | NoAnswer:
        # The client bounds each wait for bytes; a drop now and then would keep it for ever.
        deadline = self._clock.monotonic() + self._timeout
        try:
            with self._client.stream(
                "POST", self._url, content=gzip.compress(body, 6, mtime=0)
            ) as response:
                answer = b""
                for chunk in response.iter_raw():
                    answer += chunk
                    if len(answer) > MAX_ANSWER:
                        return _TOO_LARGE
                    if self._clock.monotonic() > deadline:
                        return _TOO_SLOW
                return _reply(response, answer)
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            return NoAnswer(type(error).__name__)

    def close(self) -> None:
        self._client.close()


class AsyncHttpPoster:
    """The same for asyncio. Not every receiver takes a body that is compressed."""

    def __init__(
        self, url: str, key: str = "", timeout: float = 10.0, *, compress: bool = True
    ) -> None:
        self._httpx = _import_httpx()
        self._url = url
        self._timeout = timeout
        self._compress = compress
        headers = _headers(key)
        if not compress:
            del headers["content-encoding"]
        self._client = self._httpx.AsyncClient(
            headers=headers, timeout=timeout, follow_redirects=False, trust_env=False
        )

    async def post(self, body: bytes) -> Reply | NoAnswer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(body)
        except TimeoutError:
            return _TOO_SLOW
        except (self._httpx.HTTPError, self._httpx.InvalidURL) as error:
            return NoAnswer(type(error).__name__)

    async def _exchange(self, body: bytes) -> Reply | NoAnswer:
        content = gzip.compress(body, 6, mtime=0) if self._compress else body
        async with self._client.stream("POST", self._url, content=content) as response:
            answer = b""
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    return _TOO_LARGE
            return _reply(response, answer)

    async def close(self) -> None:
        await self._client.aclose()


def _import_httpx() -> ModuleType:
    try:
        import httpx
    except ImportError:
        raise MissingExtraError("sending usage records", "sdk") from None
    return httpx


def _headers(key: str) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "content-encoding": "gzip",
        "accept-encoding": "identity",
    }
    return {**headers, "authorization": f"Bearer {key}"} if key else headers


def _reply(response: httpx.Response, answer: bytes) -> Reply:
    text = response.headers.get("retry-after", "")
    # A date is possible and nobody of ours sends one: it counts as no hint.
    retry_after = float(text) if text.isascii() and text.isdigit() else None
    return Reply(response.status_code, answer, retry_after)
