"""Posting to the control plane or the sidecar: one connection, a deadline, a key that never shows.

Whatever goes wrong becomes a ``PushError`` whose text has ``[REDACTED]`` where the key stood, and
no cause: a cause would carry the request, and the request the key. Of a failed request only the
kind is said, for its text may quote a header in some escaped form.
"""

from __future__ import annotations

import email.utils
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentspec_usage.errors import MissingExtraError, PeerError

if TYPE_CHECKING:
    import httpx

__all__ = ["Answered", "Poster", "PushError", "import_http"]

_TIMEOUT_SECONDS = 10.0
_MAX_ANSWER = 256 * 1024
_REDACTED = "[REDACTED]"


class PushError(PeerError):
    """A push that was not accepted. What it carried is kept and sent again.

    ``retry_after`` is how many seconds the receiver asked to wait, if it did.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Answered:
    """A 2xx."""

    status: int
    body: bytes


def import_http() -> None:
    """Import all that posting needs, in the caller's thread. ``MissingExtraError`` without httpx.

    A process that forks while its reporter's thread is in the middle of an import has half a
    module, or a lock that nobody releases, in the child. And httpx imports its transport and what
    finds the certificates at the first client, the interpreter what host names need at the first
    connection.
    """
    try:
        importlib.import_module("encodings.idna")
        importlib.import_module("httpx").Client(trust_env=False).close()
    except ImportError as error:
        raise MissingExtraError("pushing usage", "sdk") from error


class Poster:
    """Posts as the holder of ``api_key``. For one thread; ``close`` when done."""

    def __init__(self, base_url: str, api_key: str, *, timeout: float = _TIMEOUT_SECONDS) -> None:
        import httpx

        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = httpx.Client(
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            headers={"accept-encoding": "identity"},
        )

    def close(self) -> None:
        self._http.close()

    def post(self, path: str, body: bytes, now: int) -> Answered:
        """The answer to ``body`` at ``path``. Raises ``PushError``; ``now`` dates a Retry-After."""
        import httpx

        headers = {"content-type": "application/json"}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        problem = ""
        try:
            with self._http.stream(
                "POST", self._base_url + path, content=body, headers=headers
            ) as response:
                if response.is_success:
                    answer = _read(response)
                    if answer is not None:
                        return Answered(response.status_code, answer)
                    problem = f"expected an answer of at most {_MAX_ANSWER} bytes"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            problem = type(error).__name__
        if problem:
            raise PushError(self._redacted(f"POST {self._base_url}{path}: {problem}"))
        raise PushError(
            self._redacted(
                f"POST {self._base_url}{path}: expected 2xx, got {response.status_code}"
            ),
            status=response.status_code,
            retry_after=_retry_after(response.headers, now),
        )

    def _redacted(self, text: str) -> str:
        return text.replace(self._api_key, _REDACTED) if self._api_key else text


def _read(response: httpx.Response) -> bytes | None:
    """The body; None past the bound: a receiver's answer is a few numbers."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MAX_ANSWER:
            return None
    return body


def _retry_after(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds, from a number of them or from a date."""
    said = headers.get("retry-after", "")
    if said.isascii() and said.isdigit() and len(said) < 10:
        return float(said)
    try:
        moment = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    return max(moment.timestamp() - now / 1000, 0.0)
