"""Who may come in, and how often: before any body is read.

An agent shows its key, an administrator the admin key. Which of several things is wrong with a key
is told to nobody. Without an admin key nothing that needs one is served: it fails closed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request

from agentspec_usage.controlplane.api_keys import key_id_of, matches
from agentspec_usage.controlplane.limits import TokenBuckets
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.problems import Refusal, too_many
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import Agent

__all__ = ["Caller", "Gate"]

_SHARE = 4
"""What part of the room for bodies one agent may hold. A sender has one request under way for each
of its processes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The agent that a request comes from, by its credential and nothing else."""

    agent: Agent
    key_id: str


class Gate:
    """Lets requests in. ``admin_key`` is "" where none was set."""

    def __init__(
        self,
        store: IngestStore,
        clock: Clock,
        admin_key: str,
        buckets: TokenBuckets,
        under_way: int,
    ) -> None:
        self._store = store
        self._clock = clock
        self._admin = hashlib.sha256(admin_key.encode()).digest() if admin_key else None
        self._buckets = buckets
        self._free = under_way
        self._share = max(1, under_way // _SHARE)
        self._held: Counter[str] = Counter()

    def admin(self, request: Request) -> None:
        """Refuse whoever is not the administrator."""
        if self._admin is None:
            raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "no admin key is set: nobody has one")
        shown = hashlib.sha256(request.headers.get("x-admin-key", "").encode()).digest()
        if not hmac.compare_digest(shown, self._admin):
            raise Refusal(HTTPStatus.FORBIDDEN, "x-admin-key: expected the admin key")

    async def agent(self, request: Request) -> Caller:
        """The agent whose key the request shows, within its rate."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        key_id = key_id_of(text.strip()) if scheme.lower() == "bearer" else None
        stored = None
        if key_id is not None:
            stored = await self._store.key(key_id, self._clock.now())
        if stored is None or not matches(text.strip(), stored):
            raise Refusal(
                HTTPStatus.UNAUTHORIZED,
                "authorization: expected Bearer and a key that is neither expired nor revoked",
                {"WWW-Authenticate": "Bearer"},
            )
        wait = self._buckets.take(stored.key_id, self._clock.monotonic())
        if wait:
            raise too_many("too many requests with this key", wait)
        return Caller(stored.agent, stored.key_id)

    @contextmanager
    def room(self, agent_id: str = "") -> Iterator[None]:
        """Room for one body: bodies are what takes memory.

        All agents have ``under_way`` together, and each a share of it at most, so that one who
        sends slowly keeps nobody else out. "" is whoever is no agent, the administrator or the
        operator: they have a share of their own beside it, which agents cannot fill.
        """
        if (agent_id and not self._free) or self._held[agent_id] >= self._share:
            raise too_many("too many requests are under way", 1)
        self._free -= bool(agent_id)
        self._held[agent_id] += 1
        try:
            yield
        finally:
            self._free += bool(agent_id)
            self._held[agent_id] -= 1
            if not self._held[agent_id]:
                del self._held[agent_id]
