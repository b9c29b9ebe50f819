"""Who may change something: processes of this pod, and not too many at once.

The containers of a pod share its loopback, so a peer on it is one of them. Whoever reaches the port
from elsewhere can read and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address

from starlette.requests import Request

from agentspec_usage.serving.problems import Refusal, too_many

__all__ = ["Gate"]


class Gate:
    """``bodies`` of them may be under way at once: bodies are what takes memory."""

    def __init__(self, bodies: int) -> None:
        self._free = bodies

    @contextmanager
    def of_this_pod(self, request: Request) -> Iterator[None]:
        """Room for a body of a process of this pod; refuses before a byte of it is read."""
        if request.client is None or not _is_loopback(request.client.host):
            raise Refusal(
                HTTPStatus.FORBIDDEN, "only processes of this pod may send this: use its loopback"
            )
        if not self._free:
            raise too_many("too many requests are under way", 1)
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # A dual-stack listener shows 127.0.0.1 as ::ffff:127.0.0.1, which is no loopback to Python.
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
