"""What the proxy is told: its upstreams, its bounds, its patience. Values; nothing is read here.

Every bound is for one connection or request unless it says otherwise, in bytes or seconds. The
defaults fit model calls: answers that take minutes to begin, prompts of megabytes, and clients that
keep a connection for the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ProxyLimits", "ProxySettings", "ProxyTimeouts", "Upstream"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where requests go whose path begins with ``prefix``: ``url`` and what follows the prefix.

    ``provider`` decides how answers are read; ``surface`` names the API where paths do not tell it.
    ``include_usage`` allows to ask for the usage of a
    stream whose client does not: the one change that is ever made to a body, and undone in the
    answer. ``timeout_seconds``: the longest silence, before an answer or within it; the providers'
    own clients wait ten minutes.
    """

    provider: str
    url: str
    prefix: str = "/"
    surface: str = ""
    include_usage: bool = True
    timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """How much of anything there may be.

    ``held_body``: a request to a metered surface is held back until it is whole, because its budget
    and its usage are asked for by what stands in it; a larger one is judged by this much of it and
    passes unchanged. ``held_bodies`` is the same for all requests together.
    ``refused_answer``: how much of a 400 is held to see whether it is about the usage that was
    asked for on the client's behalf.
    """

    head: int = 32 * 1024
    held_body: int = 4 * 1024 * 1024
    held_bodies: int = 64 * 1024 * 1024
    refused_answer: int = 64 * 1024
    connections: int = 1024
    idle_upstream_connections: int = 64
    """For each upstream."""


@dataclass(frozen=True, slots=True)
class ProxyTimeouts:
    """How long is waited for others; all but ``connect`` are swept, so up to a quarter late.

    ``head``: for a request's head to arrive, from its first byte. ``body``: the longest silence
    within a request. ``unread``: how long a client may leave an answer unread. ``idle``: how long a
    client's connection is kept between requests; longer than clients keep them, so that it is they
    who close. ``idle_upstream``: shorter than providers keep theirs, for the same reason.
    ``linger``: how long a client may go on sending a request that was answered already.
    """

    connect: float = 10.0
    head: float = 10.0
    body: float = 60.0
    unread: float = 300.0
    idle: float = 120.0
    idle_upstream: float = 30.0
    linger: float = 5.0
    tunnel_silence: float = 3600.0


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """``ca_file``: authorities to trust instead of the system's, for upstreams behind their own.

    ``drain_abandoned_seconds``: how long the answer to a client that went away is still read, to
    learn what it used. 0 breaks it off, which makes most providers stop generating: it costs less
    and is known less exactly.
    """

    upstreams: Sequence[Upstream]
    ca_file: Path | None = None
    drain_abandoned_seconds: float = 0.0
    limits: ProxyLimits = field(default_factory=ProxyLimits)
    timeouts: ProxyTimeouts = field(default_factory=ProxyTimeouts)

    @property
    def sweep_seconds(self) -> float:
        """How often deadlines are looked at: a quarter of the shortest, once a second at least."""
        silences = [upstream.timeout_seconds for upstream in self.upstreams]
        t = self.timeouts
        waits = [*silences, t.head, t.body, t.unread, t.idle, t.linger, t.tunnel_silence]
        if self.drain_abandoned_seconds:
            waits.append(self.drain_abandoned_seconds)
        return min(1.0, *(wait / 4 for wait in waits))
