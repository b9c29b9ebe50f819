"""Which status an exchange was answered with, as far as anybody's answer came."""

from __future__ import annotations

from http import HTTPStatus

from agentspec_usage.sidecar.calls import EndedBy, ProxiedEnd

__all__ = ["answered_status"]


def answered_status(end: ProxiedEnd) -> int | None:
    """The upstream's status; of a refusal, which no upstream saw, the one that the client saw."""
    if end.status is None and end.ended_by is EndedBy.REFUSED:
        return HTTPStatus.FORBIDDEN
    return end.status
