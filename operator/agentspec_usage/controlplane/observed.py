"""``POST /usage/observed``: what the operator read of pods, and the money columns back.

The operator speaks for every agent, so it alone may call this (``operator_gate``). Everything in a
body was written by some agent, though, so no agent's part may cost the others theirs: one that
comes with too many new instances is left out, and asked for money all the same.

A body is many agents' usage. It is written in pieces, so that no sender of records waits for all of
it, and answered when all pieces are durable. Pieces are joins: sent again, they change nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.controlplane.api_keys import Draw
from agentspec_usage.controlplane.committing import Commits
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.limits import NewInstances
from agentspec_usage.controlplane.metrics import Metrics
from agentspec_usage.controlplane.observed_answer import said_now
from agentspec_usage.controlplane.operations import Answer, Credential, Operation
from agentspec_usage.controlplane.operator_gate import OperatorGate
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.body import read_body
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.observed import ObservationStore
from agentspec_usage.store.queries import AgentName
from agentspec_usage.wire.observed import MAX_OBSERVED_BODY, ObservedBody, decode_observed
from agentspec_usage.wire.observed_answer import (
    ObservedAnswer,
    ObservedAnswerBody,
    encode_observed_answer,
)
from agentspec_usage.wire.observed_encoding import Observation

__all__ = ["Observed", "observed_operation"]

logger = logging.getLogger(__name__)

_PIECE = 64
"""Observations that one write takes: some milliseconds."""

_RETRY_SECONDS = 2


class Observed:
    """Takes observations from whom ``operators`` lets in."""

    def __init__(
        self,
        store: ObservationStore,
        gate: Gate,
        operators: OperatorGate,
        clock: Clock,
        draw: Draw,
        commits: Commits,
        metrics: Metrics,
        new_instances: NewInstances,
        settings: ControlPlaneSettings,
    ) -> None:
        self._store = store
        self._gate = gate
        self._operators = operators
        self._clock = clock
        self._draw = draw
        self._commits = commits
        self._metrics = metrics
        self._new_instances = new_instances
        self._settings = settings

    async def take(self, request: Request) -> Response:
        """200 after the commit, with what each agent of the body costs."""
        await self._operators.operator(request)
        with self._gate.room():
            body = await read_body(request, MAX_OBSERVED_BODY, self._settings.body_timeout)
            observations = await asyncio.to_thread(decode_observed, body)
            taken = self._admitted(observations)
            if await self._commits.wait(self._keep(taken)) is None:
                raise Refusal(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "this is not durable yet: send it again",
                    {"Retry-After": str(_RETRY_SECONDS)},
                )
        self._metrics.observations.inc(len(observations))
        answer = await self._answer(observations)
        return Response(encode_observed_answer(answer), media_type="application/json")

    def _admitted(self, observations: Sequence[Observation]) -> list[Observation]:
        """What may be kept: without the readings that would make too many instances."""
        taken = []
        for observation in observations:
            snapshots = observation.reading.snapshots if observation.reading else ()
            source = f"{observation.pod_uid}/{observation.container}"
            wait = self._new_instances.take(
                f"{observation.namespace}/{observation.name}",
                [one.instance_id or source for one in snapshots],
                self._clock.monotonic(),
            )
            if wait:
                self._metrics.observations_left_out.inc()
                logger.warning(
                    "too many instances of an agent are new: its usage is left out for now",
                    extra={"namespace": observation.namespace, "agent": observation.name},
                )
                observation = replace(observation, reading=None)
            taken.append(observation)
        return taken

    async def _keep(self, observations: Sequence[Observation]) -> bool:
        now = self._clock.now()
        pieces = [
            self._store.observe(observations[start : start + _PIECE], self._draw, now)
            for start in range(0, len(observations), _PIECE)
        ]
        await asyncio.gather(*pieces)
        return True

    async def _answer(self, observations: Sequence[Observation]) -> ObservedAnswer:
        names = dict.fromkeys(AgentName(one.namespace, one.name) for one in observations)
        return await said_now(self._store, names, self._settings.zone_info, self._clock.now())


def observed_operation(observed: Observed, path: str) -> Operation:
    return Operation(
        "observed",
        "POST",
        path,
        observed.take,
        "Hand in what was read of pods, and learn what their agents used and cost",
        Credential.OPERATOR,
        {HTTPStatus.OK: Answer("Durable; what each agent of the body costs", ObservedAnswerBody)},
        ObservedBody,
        (
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNPROCESSABLE_ENTITY,
            HTTPStatus.TOO_MANY_REQUESTS,
            HTTPStatus.SERVICE_UNAVAILABLE,
        ),
    )
