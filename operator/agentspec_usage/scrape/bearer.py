"""The token that the operator may show to agents, read from a file.

Kubernetes projects it with an audience of its own and replaces the file before the token expires,
so it is read again every minute. Every agent that is scraped sees this token and could replay it to
the next one: the audience must be accepted by agents alone, and for no more than reading usage.
"""

from __future__ import annotations

import re
from pathlib import Path

from agentspec_usage.errors import UsageError
from agentspec_usage.runtime.clock import Clock

__all__ = ["TokenFile", "TokenUnreadable"]

_REREAD_SECONDS = 60.0
_MAX_BYTES = 16 * 1024
# RFC 6750's b64token: nothing that could end a header line.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


class TokenUnreadable(UsageError):
    """The file is missing or holds no token. The message has neither its path nor its content."""


class TokenFile:
    """A bearer token on disk."""

    __slots__ = ("_clock", "_due", "_path", "_value")

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._value = ""
        self._due = clock.monotonic()

    def value(self) -> str:
        """The token of at most a minute ago; a file that cannot be read ends the use of the old
        one. Raises TokenUnreadable.
        """
        if self._clock.monotonic() >= self._due or not self._value:
            self._value = ""
            self._value = self._read()
            self._due = self._clock.monotonic() + _REREAD_SECONDS
        return self._value

    def _read(self) -> str:
        try:
            with self._path.open("rb") as file:
                text = file.read(_MAX_BYTES + 1).decode("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenUnreadable("the operator cannot read its token for agents") from error
        if len(text) > _MAX_BYTES or _TOKEN.fullmatch(text) is None:
            raise TokenUnreadable("the operator's token file for agents holds no token")
        return text
