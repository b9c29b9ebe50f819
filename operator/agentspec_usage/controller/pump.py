"""kopf as a watch pump: one event handler, and nothing that kopf would write.

Timers, daemons and create/update handlers of kopf put finalizers and annotations on every object:
deletes would hang while the operator is down. ``on.event`` writes nothing. With no-op storages kopf
does not compute its own diffs either, which halves its cost for an event. What kopf is here for is
its watch: lists, resumption, back-off.

Two things it does not tell are made up for by the sweep: objects that vanished during a relist, and
a watch that died.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf

from agentspec_usage.controller.intake import Intake

__all__ = ["GROUP", "PLURAL", "VERSION", "Credentials", "register", "watch_settings"]

GROUP, VERSION, PLURAL = "agentspec.io", "v1", "agentobservations"

Credentials = Callable[[], Awaitable[kopf.AiohttpSession]]


def register(
    registry: kopf.OperatorRegistry,
    *,
    intake: Intake,
    credentials: Credentials,
    on_event: Callable[[], None],
) -> None:
    """Put the handlers into ``registry``. ``on_event`` is told of every event, for liveness and
    metrics.
    """

    def is_news(
        body: Mapping[str, Any],
        type: str | None,  # noqa: A002 (kopf names it)
        **_: Any,
    ) -> bool:
        # The initial listing (None) and DELETED always pass; an echo of our own write does not.
        if type in (None, "DELETED"):
            return True
        metadata = body["metadata"]
        return not intake.is_echo(str(metadata["uid"]), str(metadata["resourceVersion"]))

    async def observed(event: Mapping[str, Any], **_: Any) -> None:
        on_event()
        body = event["object"]
        if event["type"] == "DELETED":
            intake.drop(str(body["metadata"]["uid"]))
        else:
            intake.take(body)

    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await credentials()

    # A handler of kopf must accept what later versions may add, hence the **kwargs.
    kopf.on.event(GROUP, VERSION, PLURAL, registry=registry, id="observe", when=is_news)(observed)
    kopf.on.login(registry=registry, id="login")(log_in)


def watch_settings() -> kopf.OperatorSettings:
    """kopf's settings, each because of a measurement or a default that is wrong for thousands of
    objects.
    """
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    # The API server's bookmarks come about once a minute, 70 s were seen: twice that is a dead
    # watch.
    settings.watching.inactivity_timeout = 150
    settings.watching.connect_timeout = 10
    # A page is parsed at once: 500 pods left 39 MB of heap behind, 100 left 17 (measured).
    settings.watching.chunk_size = 200
    settings.queueing.worker_limit = None
    # A worker is a task and a queue: kopf's five idle seconds of each are wasted memory.
    settings.queueing.idle_timeout = 0.2
    settings.persistence.progress_storage = _NoProgress()
    settings.persistence.diffbase_storage = _NoDiffBase()
    return settings


class _NoProgress(kopf.ProgressStorage):
    """There is no handler whose progress could be stored."""

    def fetch(self, *, key: Any, body: Any) -> None:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


class _NoDiffBase(kopf.DiffBaseStorage):
    """Nothing is compared with a previous essence, so none is built."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> None:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None
