"""Posting observations to the control plane: one session, one deadline, a bounded answer.

Redirects are not followed, since they would carry the token elsewhere, and proxies of the
environment are not used. Nothing is inflated, because kilobytes become megabytes before a bound is
looked at: an answer that is packed, for which nobody asked, is not understood. What goes wrong is
an answer as well, and says nothing of the token.
"""

from __future__ import annotations

import aiohttp
from yarl import URL

from agentspec_usage.delivery.sender import NoAnswer, Reply
from agentspec_usage.scrape.bearer import TokenFile, TokenUnreadable
from agentspec_usage.wire.observed_answer import MAX_ANSWER

__all__ = ["OBSERVED_PATH", "ControlPlaneHttp"]

OBSERVED_PATH = "/api/v1/usage/observed"


class ControlPlaneHttp:
    """To the control plane at ``url``, with the token in ``token`` if there is one."""

    def __init__(
        self, url: str, token: TokenFile | None, *, user_agent: str, timeout: float = 10.0
    ) -> None:
        self._url = URL(url.rstrip("/") + OBSERVED_PATH)
        self._token = token
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes) -> Reply | NoAnswer:
        """Post one body. Raises nothing but cancellation."""
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self._token is not None:
            try:
                headers["Authorization"] = f"Bearer {self._token.value()}"
            except TokenUnreadable:
                return NoAnswer("the control plane's token file holds no token")
        try:
            async with self._opened().post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as response:
                answer = await response.content.read(MAX_ANSWER + 1)
                while len(answer) <= MAX_ANSWER and (
                    more := await response.content.read(MAX_ANSWER + 1 - len(answer))
                ):
                    answer += more
                if len(answer) > MAX_ANSWER:
                    return NoAnswer("an answer that is too large")
                return Reply(response.status, answer, _retry_after(response))
        except TimeoutError:
            return NoAnswer("no whole answer in time")
        except (aiohttp.ClientError, ValueError) as error:
            return NoAnswer(type(error).__name__)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1),
                auto_decompress=False,
                timeout=self._timeout,
                headers={"User-Agent": self._user_agent},
            )
        return self._session


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    # A date is possible and nobody of ours sends one: it counts as no hint.
    return float(text) if text.isascii() and text.isdigit() else None
