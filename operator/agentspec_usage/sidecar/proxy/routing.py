"""Which upstream a request goes to: the one with the longest prefix of its path, or none.

Upstreams come from configuration alone; no header and no part of a request's target chooses a host.
A prefix ends at a slash (``/openai`` is no prefix of ``/openai-eu``). Dot segments are refused
rather than resolved: resolved here and not there, they would lead around the upstream's own path.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from agentspec_usage.errors import SettingsError
from agentspec_usage.sidecar.proxy.heads import MessageError
from agentspec_usage.sidecar.proxy.settings import Upstream

__all__ = ["Destination", "Origin", "Routes"]

_ABSOLUTE = re.compile(r"https?://[^/?#]+", re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Whom to connect to."""

    tls: bool
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one request goes. ``path`` is the one that the upstream sees, ``asked`` the one that
    the client wrote; both are without the query, which may carry a key.
    """

    upstream: Upstream
    origin: Origin
    authority: bytes
    asked: str
    path: str
    target: bytes


@dataclass(frozen=True, slots=True)
class _Route:
    upstream: Upstream
    prefix: str
    base: str
    origin: Origin
    authority: bytes


class Routes:
    """The upstreams of a configuration. Raises SettingsError for what leads nowhere."""

    __slots__ = ("_routes",)

    def __init__(self, upstreams: Sequence[Upstream]) -> None:
        routes = [_route(upstream) for upstream in upstreams]
        prefixes = [route.prefix for route in routes]
        for prefix in prefixes:
            if prefixes.count(prefix) > 1:
                raise SettingsError(f"two upstreams have the prefix {prefix or '/'!r}")
        self._routes = sorted(routes, key=lambda route: -len(route.prefix))

    def find(self, target: bytes) -> Destination | None:
        """None where no prefix fits. Raises MessageError for a target that is no path."""
        text = target.decode("latin-1")
        path, mark, query = _path_of(text).partition("?")
        if _DOT_SEGMENT.search(path):
            raise MessageError("a path has no dot segments")
        for route in self._routes:
            if path.startswith(route.prefix) and path[len(route.prefix) :][:1] in ("", "/"):
                there = (route.base + path[len(route.prefix) :]) or "/"
                whole = f"{there}{mark}{query}".encode("latin-1")
                return Destination(
                    route.upstream, route.origin, route.authority, path, there, whole
                )
        return None


def _path_of(target: str) -> str:
    if target.startswith("/"):
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise MessageError("a target is a path")
    # A client that takes this for a forward proxy; its host is ignored like any Host.
    rest = target[absolute.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def _route(upstream: Upstream) -> _Route:
    url = urlsplit(upstream.url)
    shown = f"upstream {upstream.prefix!r}"
    try:
        port = url.port or _PORTS.get(url.scheme, 0)
    except ValueError as error:
        raise SettingsError(f"{shown}: the url's port is no number up to 65535") from error
    if url.scheme not in _PORTS or not url.hostname:
        raise SettingsError(f"{shown}: expected a url like https://host or http://host:port/path")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise SettingsError(f"{shown}: a url has no user, query or fragment here")
    if not upstream.prefix.startswith("/"):
        raise SettingsError(f"{shown}: a prefix begins with a slash")
    if not upstream.url.isascii() or any(c <= " " for c in upstream.url):
        raise SettingsError(f"{shown}: a url is ASCII without spaces")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    authority = host if port == _PORTS[url.scheme] else f"{host}:{port}"
    return _Route(
        upstream=upstream,
        prefix=upstream.prefix.rstrip("/"),
        base=url.path.rstrip("/"),
        origin=Origin(url.scheme == "https", url.hostname, port),
        authority=authority.encode("ascii"),
    )
