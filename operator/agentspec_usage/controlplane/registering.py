"""Registering agents and ending their keys: the administrator's part."""

from __future__ import annotations

import json
from http import HTTPStatus

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agentspec_usage.controlplane.api_keys import Draw, new_agent_id, new_key
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.naming import find_agent
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.shapes import REMOTE_NAMESPACE, RegisterAnswer, RegisterBody
from agentspec_usage.errors import WireError
from agentspec_usage.runtime.clock import Clock, to_rfc3339
from agentspec_usage.serving.body import read_body
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.values import Registration
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.shapes import wire_error

__all__ = ["Registering"]

MAX_REGISTRATION = 256 * 1024
_DAY_MS = 86_400_000


class Registering:
    def __init__(
        self,
        store: IngestStore,
        gate: Gate,
        clock: Clock,
        draw: Draw,
        settings: ControlPlaneSettings,
    ) -> None:
        self._store = store
        self._gate = gate
        self._clock = clock
        self._draw = draw
        self._settings = settings

    async def register(self, request: Request) -> Response:
        """The same (namespace, name) again keeps its id and gets a new key."""
        self._gate.admin(request)
        with self._gate.room():
            body = decode_registration(
                await read_body(request, MAX_REGISTRATION, self._settings.body_timeout)
            )
        now = self._clock.now()
        text, key = new_key(self._draw, now + self._settings.key_days * _DAY_MS)
        agent = await self._store.register(
            Registration(
                agent_id=new_agent_id(self._draw),
                namespace=body.namespace or REMOTE_NAMESPACE,
                name=body.agent_name,
                runtime=body.runtime,
                key=key,
                old_key_until=now + body.overlap_seconds * 1000,
                manifest=None if body.manifest is None else json.dumps(body.manifest),
            ),
            now,
        )
        answer = RegisterAnswer(
            agentId=agent.agent_id, apiKey=text, expiresAt=to_rfc3339(key.expires_at)
        )
        # No cache on the way may keep what is shown once.
        return JSONResponse(answer.model_dump(by_alias=True), headers={"Cache-Control": "no-store"})

    async def revoke(self, request: Request) -> Response:
        """End every key of the agent. What it reported stays."""
        self._gate.admin(request)
        agent = await find_agent(self._store, request)
        await self._store.revoke(agent.agent_id, self._clock.now())
        return Response(status_code=HTTPStatus.NO_CONTENT)


def decode_registration(body: bytes) -> RegisterBody:
    """Raises ``WireError``."""
    document = strict_json.loads(body, max_bytes=MAX_REGISTRATION)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        return RegisterBody.model_validate(document)
    except ValidationError as error:
        failure = wire_error(error)
        if not failure.path:
            raise WireError("namespace", "a namespace where the runtime is k8s") from None
        raise failure from None
