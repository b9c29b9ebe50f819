"""What a status write is: why, what, and what the API server made of it.

The seam between those who know that an object changed, the writer that decides when to send, and
the client that sends. Results are values: a writer that had to tell exceptions apart would know the
client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, Protocol

__all__ = ["PreparedWrite", "Priority", "StatusPort", "WriteResult"]


class Priority(IntEnum):
    """What makes an object dirty; lower goes first."""

    FOLD = 0
    CONDITION = 1
    TOKENS = 2
    MONEY = 3


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A whole status for the object that has this uid and is at this version, and for no other."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    status: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the API server made of a write.

    ``object`` of a written one; ``retry_after`` in seconds when the API server named a time.
    ``throttled``, ``invalid`` and ``failed`` writes are repeated by the writer; ``conflict`` and
    ``gone`` are not.
    """

    kind: Literal["written", "conflict", "gone", "invalid", "throttled", "failed"]
    object: Mapping[str, Any] | None
    retry_after: float | None
    message: str = ""


class StatusPort(Protocol):
    """The API server, as far as the writer knows it. Answers with a result, also when nobody
    answered.
    """

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult: ...
