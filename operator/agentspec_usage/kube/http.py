"""HTTP to the API server: one session, a deadline for everything, JSON in and out, one exception.

The official client's own request path costs twice the CPU of the session beneath it and its model
objects a millisecond each (measured), so its configuration is used and its machinery is not. What
comes back is plain JSON.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from agentspec_usage.kube.access import Access
from agentspec_usage.kube.errors import ApiError

__all__ = ["KubeHttp"]

_UNREACHED = "<error>"  # client-go's value of the code label for a request without an answer
_JSON = "application/json"
_PATCH = "application/json-patch+json"
_BODY_LIMIT = 64 << 20
_LINE_LIMIT = 8 << 20
_ERROR_LIMIT = 64 << 10
_CONNECTIONS = 16
"""Eight for status writes, the rest for reads: asyncio holds 256 KiB for each that is encrypted."""


class KubeHttp:
    """Requests to one API server. ``on_request(method, code)`` is told of each answer."""

    def __init__(
        self,
        access: Access,
        *,
        user_agent: str,
        timeout: float = 30.0,
        on_request: Callable[[str, str], None] = lambda method, code: None,
    ) -> None:
        self._access = access
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(10.0, timeout))
        self._on_request = on_request
        self._session: aiohttp.ClientSession | None = None
        self._renewal = asyncio.Lock()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def json(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = _JSON,
        accept: str = _JSON,
    ) -> Any:
        """The answer's JSON. Raises ApiError for anything but success."""
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = {"Accept": accept}
        if data is not None:
            headers["Content-Type"] = content_type
        async with self._exchange(method, path, params, headers, data, self._timeout) as response:
            payload = await _read(response, _BODY_LIMIT)
        try:
            return json.loads(payload)
        except ValueError as error:
            raise ApiError(response.status, "BadBody", "expected JSON") from error

    async def patch(self, path: str, operations: Sequence[Mapping[str, Any]], accept: str) -> Any:
        """A JSON patch (RFC 6902)."""
        return await self.json("PATCH", path, body=operations, content_type=_PATCH, accept=accept)

    async def lines(
        self, path: str, params: Mapping[str, str], *, silence: float
    ) -> AsyncGenerator[Any, None]:
        """The JSON of each line of an endless answer; ends when the server ends it.

        Raises ApiError when it breaks, or when nothing came for ``silence`` seconds.
        """
        limits = aiohttp.ClientTimeout(total=None, connect=10.0, sock_read=silence)
        async with self._exchange("GET", path, params, {"Accept": _JSON}, None, limits) as response:
            pending = bytearray()
            async for chunk in response.content.iter_any():
                pending += chunk
                if b"\n" not in chunk:
                    if len(pending) > _LINE_LIMIT:
                        raise ApiError(response.status, "BadBody", "a line of over 8 MiB")
                    continue
                *complete, rest = pending.split(b"\n")
                pending = bytearray(rest)
                for line in complete:
                    yield _line(response.status, line)

    @asynccontextmanager
    async def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: dict[str, str],
        data: bytes | None,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One exchange whose answer is a success. The one place that knows aiohttp's exceptions."""
        url = f"{self._access.server}{path}" + (f"?{urlencode(params)}" if params else "")
        answered = False
        try:
            for last_try in (False, True):
                authorization = await self._access.authorization()
                if authorization:
                    headers["Authorization"] = authorization
                async with self._opened().request(
                    method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=data,
                    timeout=limits,
                    allow_redirects=False,
                    server_hostname=self._access.server_name,
                    proxy=self._access.proxy,
                ) as response:
                    answered = True
                    self._on_request(method, str(response.status))
                    if response.status == 401 and not last_try:
                        await self._renew(authorization)
                        continue
                    if not 200 <= response.status < 300:
                        raise await _refusal(response)
                    try:
                        yield response
                    finally:
                        _cut(response)
                    return
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            if not answered:
                self._on_request(method, _UNREACHED)
            reason = "Timeout" if isinstance(error, TimeoutError) else type(error).__name__
            message = str(error) or "no answer in time"
            raise ApiError(0, reason, f"{method} {path}: {message}") from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._access.ssl_context(), limit=_CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                read_bufsize=1 << 20,
                trust_env=False,
            )
        return self._session

    async def _renew(self, refused: str | None) -> None:
        """New credentials, once for all the requests that were refused with the same ones."""
        async with self._renewal:
            if await self._access.authorization() == refused:
                await self._access.renew()


def _line(status: int, line: bytes | bytearray) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ApiError(status, "BadBody", "expected a line of JSON") from error


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    if (response.content_length or 0) > most:
        raise ApiError(response.status, "BadBody", f"an answer over {most} bytes")
    body = await response.read()
    if len(body) > most:
        raise ApiError(response.status, "BadBody", f"an answer over {most} bytes")
    return body


def _cut(response: aiohttp.ClientResponse) -> None:
    """End an answer that was not read to its end (a watch that is left) at once.

    A polite end of TLS waits for the other side, which may be gone, and outlives the session.
    """
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()


async def _refusal(response: aiohttp.ClientResponse) -> ApiError:
    """What the server said, from its ``metav1.Status``; a proxy in between answers other things."""
    try:
        status = json.loads(await _read(response, _ERROR_LIMIT))
    except ValueError:
        status = None
    return ApiError.from_status(
        status if isinstance(status, dict) else {},
        code=response.status,
        fallback=response.reason or "Unknown",
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def _retry_after(value: str | None) -> float | None:
    """Seconds; the API server never sends the date form."""
    return float(value) if value and value.isascii() and value.isdigit() else None
