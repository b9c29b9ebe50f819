"""Whether an exchange holds a call whose usage nobody could read."""

from __future__ import annotations

from agentspec_usage.sidecar.calls import ProxiedEnd, ProxiedRequest

__all__ = ["is_unmetered"]


def is_unmetered(request: ProxiedRequest, end: ProxiedEnd) -> bool:
    """A call may have been made, and shows no usage.

    Where an answer was read, extraction said so. Where none was, whatever reached the upstream of a
    metered surface may have used tokens, unless the provider refused it.
    """
    if end.extraction is not None:
        return end.extraction.unmetered
    if request.facts is None or request.facts.route.retrieval or not end.sent:
        return False
    return end.status is None or not 400 <= end.status < 500
