"""The API server's objects: the few reads, the one write, plain JSON in and out.

Names come from objects that tenants write, so each is checked before it becomes a part of a path:
what is no Kubernetes name does not exist, and no request is made for it.

The one write of a status is a JSON patch on ``/status`` that holds only for the object it was
computed from: a ``test`` of the uid (an object that was deleted and made again has another) and the
resourceVersion it was read at, set in the patch so that the API server itself compares it and
answers 409 (a ``test`` of it would answer 422, which validation answers too). A merge patch would
ignore the uid and give a new object the old one's numbers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from agentspec_usage.errors import UsageError
from agentspec_usage.kube.errors import ApiError
from agentspec_usage.kube.http import KubeHttp
from agentspec_usage.kube.status_write import WriteResult

__all__ = ["OBSERVATIONS", "KubeClient", "Listing", "checked_name", "trimmed", "write_result"]

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")
OBSERVATIONS = ("/apis/agentspec.io/v1", "agentobservations")
_LEASES = ("/apis/coordination.k8s.io/v1", "leases")
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_JSON = "application/json"
_LIST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A whole collection at one ``resource_version``, from which a watch continues."""

    items: list[T]
    resource_version: str


class KubeClient:
    """What more than one program asks for. Raises ApiError for what is neither done nor absent.

    ``page_size`` bounds a list's peak of memory, which the process keeps: listing 10,000 pods of
    2.5 kB leaves it 39 MB larger with 500 a page and 17 MB with 100, of which 12 MB are their views
    (measured).
    """

    def __init__(self, http: KubeHttp, *, page_size: int = 200) -> None:
        self._http = http
        self._page_size = page_size

    async def close(self) -> None:
        await self._http.close()

    async def get(self, path: str) -> dict[str, Any] | None:
        """One object; None when there is none."""
        try:
            found: dict[str, Any] = await self._http.json("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def list_all(
        self,
        path: str,
        each: Callable[[dict[str, Any]], T],
        *,
        params: Mapping[str, str] | None = None,
        metadata_only: bool = False,
    ) -> Listing[T]:
        """A collection, page by page; each object is projected by ``each`` as it comes.

        A list whose continue token expired starts again; one that the server is not ready for (429
        while the cache of a new CRD fills) waits as long as the server asks.
        """
        accept = _METADATA_LIST if metadata_only else _JSON
        tries = 0
        items: list[T] = []
        query = dict(params or {}, limit=str(self._page_size))
        while True:
            try:
                page = await self._http.json("GET", path, params=query, accept=accept)
            except ApiError as error:
                tries += 1
                if tries == _LIST_TRIES or not (error.expired or error.status in (429, 503)):
                    raise
                if error.expired:
                    items.clear()
                    query.pop("continue", None)
                else:
                    await asyncio.sleep(error.retry_after or 1.0)
                continue
            metadata = page["metadata"]
            items.extend(map(each, page["items"] or ()))
            if not metadata.get("continue"):
                return Listing(items, metadata["resourceVersion"])
            query["continue"] = metadata["continue"]

    async def watch(
        self,
        path: str,
        resource_version: str,
        *,
        server_timeout: int = 300,
        silence: float = 150.0,
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The events after ``resource_version``, bookmarks among them, until the server ends it.

        Bookmarks come about once a minute (70 s were seen), so that ``silence`` seconds without a
        line are a connection that died unnoticed. Raises ApiError for that, for a broken one and
        for an ERROR event (410: list again).
        """
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(server_timeout),
        }
        async with aclosing(self._http.lines(path, params, silence=silence)) as events:
            async for event in events:
                if event.get("type") == "ERROR":
                    status = event.get("object") or {}
                    raise ApiError.from_status(
                        status, code=int(status.get("code") or 0), fallback="WatchError"
                    )
                yield event

    async def get_observation(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_named(*OBSERVATIONS, namespace, name)

    async def list_observation_metadata(
        self, namespaces: Iterable[str] = ()
    ) -> list[dict[str, Any]]:
        """``PartialObjectMetadata`` of every AgentObservation; in all namespaces when none is
        named.
        """
        base, plural = OBSERVATIONS
        paths = [f"{base}/namespaces/{checked_name(each)}/{plural}" for each in namespaces]
        found: list[dict[str, Any]] = []
        for path in paths or [f"{base}/{plural}"]:
            found += (await self.list_all(path, trimmed, metadata_only=True)).items
        return found

    async def get_lease(self, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get_named(*_LEASES, namespace, name)

    async def create_lease(self, namespace: str, lease: Mapping[str, Any]) -> dict[str, Any]:
        """Raises ApiError 409 when another one was faster."""
        return await self.create_named(*_LEASES, namespace, lease)

    async def update_lease(
        self, namespace: str, name: str, lease: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Replace the lease. Raises ApiError 409 when its resourceVersion is an older one."""
        return await self.replace_named(*_LEASES, namespace, name, lease)

    async def patch_status(
        self, namespace: str, name: str, uid: str, resource_version: str, status: Mapping[str, Any]
    ) -> WriteResult:
        """Replace ``status`` of the object that has this uid and is at this version, or of none.

        The result's ``object`` is the new metadata beside the status that was sent. The answer is
        asked for without its status: it is the same one, less what an older CRD prunes, and a
        writer that took that for a difference would write at every tick.
        """
        operations = (
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version},
            {"op": "add", "path": "/status", "value": status},
        )
        path = _object_path(*OBSERVATIONS, namespace, name) + "/status"
        try:
            written = await self._http.patch(path, operations, _METADATA)
        except ApiError as error:
            result = write_result(error)
            if result.kind == "invalid" and not error.causes:
                return await self._why_refused(namespace, name, uid, result)
            return result
        return WriteResult("written", {**trimmed(written), "status": status}, None)

    async def _why_refused(
        self, namespace: str, name: str, uid: str, refused: WriteResult
    ) -> WriteResult:
        """Whether a refusal that names no cause was the ``test`` of the uid.

        The API server answers that one with 422 and a sentence that says nothing. So the object is
        looked at: another uid, and for the writer its object is gone.
        """
        try:
            found = await self.get_observation(namespace, name)
        except ApiError as error:
            return write_result(error)
        if found is None or found["metadata"]["uid"] != uid:
            return WriteResult("gone", None, None, refused.message)
        return refused

    async def get_named(
        self, base: str, plural: str, namespace: str, name: str
    ) -> dict[str, Any] | None:
        if not _NAME.fullmatch(name):
            return None
        return await self.get(_object_path(base, plural, namespace, name))

    async def create_named(
        self, base: str, plural: str, namespace: str, thing: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A new object, which ``thing`` names. Raises ApiError 409 when there is one."""
        path = f"{base}/namespaces/{checked_name(namespace)}/{plural}"
        created: dict[str, Any] = await self._http.json("POST", path, body=thing)
        return created

    async def replace_named(
        self, base: str, plural: str, namespace: str, name: str, thing: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The object as ``thing``, if it is still at the resourceVersion in it; else 409."""
        path = _object_path(base, plural, namespace, name)
        replaced: dict[str, Any] = await self._http.json("PUT", path, body=thing)
        return replaced


def write_result(error: ApiError) -> WriteResult:
    """What a refused status write means for its writer."""
    match error.status:
        case 404:
            return WriteResult("gone", None, None, str(error))
        case 409:
            return WriteResult("conflict", None, error.retry_after, str(error))
        case 400 | 413 | 422:
            return WriteResult("invalid", None, None, str(error))
        case 429:
            return WriteResult("throttled", None, error.retry_after, str(error))
        case _:
            return WriteResult("failed", None, error.retry_after, str(error))


def _object_path(base: str, plural: str, namespace: str, name: str) -> str:
    return f"{base}/namespaces/{checked_name(namespace)}/{plural}/{checked_name(name)}"


def checked_name(name: str) -> str:
    """``name``, which may become a part of a path. Raises ``UsageError`` for any other."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"name {name!r}: expected a DNS subdomain")
    return name


def trimmed(thing: dict[str, Any]) -> dict[str, Any]:
    """Without managedFields, which outweigh the rest of the metadata."""
    thing["metadata"].pop("managedFields", None)
    return thing
