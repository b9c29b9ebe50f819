"""The application: which operation is where, and what surrounds every one of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agentspec_usage.controlplane.agents import Agents
from agentspec_usage.controlplane.api_keys import Draw
from agentspec_usage.controlplane.committing import Commits
from agentspec_usage.controlplane.event_flushing import EventFlushing
from agentspec_usage.controlplane.event_metrics import watch_events
from agentspec_usage.controlplane.events import Events, event_operations
from agentspec_usage.controlplane.focus import Focus, focus_operations
from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.heartbeats import Heartbeats
from agentspec_usage.controlplane.limits import NewInstances, TokenBuckets
from agentspec_usage.controlplane.metrics import Metrics, WatchedStore
from agentspec_usage.controlplane.observed import Observed, observed_operation
from agentspec_usage.controlplane.openapi import openapi_document
from agentspec_usage.controlplane.operations import Answer, Credential, Handler, Operation
from agentspec_usage.controlplane.operator_gate import OperatorGate
from agentspec_usage.controlplane.pages import Pages
from agentspec_usage.controlplane.periods import Periods, periods_operations
from agentspec_usage.controlplane.problems import answer_of
from agentspec_usage.controlplane.records import Records
from agentspec_usage.controlplane.registering import Registering
from agentspec_usage.controlplane.repricing import Repricing, repricing_operation
from agentspec_usage.controlplane.settings import ControlPlaneSettings
from agentspec_usage.controlplane.shapes import (
    AgentRow,
    HeartbeatAnswerBody,
    RecordsAnswerBody,
    RegisterAnswer,
    RegisterBody,
)
from agentspec_usage.controlplane.usage import Usage
from agentspec_usage.controlplane.usage_operations import usage_operations
from agentspec_usage.controlplane.verification import (
    ProvenStore,
    Verification,
    verification_operation,
)
from agentspec_usage.errors import AgentspecUsageError
from agentspec_usage.runtime.clock import Clock
from agentspec_usage.serving.problems import problem
from agentspec_usage.store.events import EventStore
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.observed import ObservationStore
from agentspec_usage.store.periods import PeriodStore
from agentspec_usage.store.queries import UsageQueries
from agentspec_usage.store.repricing import RepricingStore
from agentspec_usage.wire.heartbeat import HeartbeatBody
from agentspec_usage.wire.records import RecordsBody

__all__ = ["PREFIX", "UsageStore", "build_app", "build_operations"]

logger = logging.getLogger(__name__)

PREFIX = "/api/v1"

_ADMIN = (HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)
_NAMED = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)
_AGENT = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_OK = HTTPStatus.OK


class UsageStore(
    IngestStore,
    EventStore,
    ObservationStore,
    PeriodStore,
    ProvenStore,
    RepricingStore,
    UsageQueries,
    WatchedStore,
    Protocol,
):
    """A store that takes usage in, answers for it and can be watched."""


def build_app(
    store: UsageStore,
    clock: Clock,
    draw: Draw,
    admin_key: str,
    metrics: Metrics,
    settings: ControlPlaneSettings,
    flushing: EventFlushing,
    operators: OperatorGate | None = None,
) -> Starlette:
    """The control plane's application on ``store``. The caller starts and stops ``flushing``."""
    buckets = TokenBuckets(settings.request_rate, settings.request_burst)
    gate = Gate(store, clock, admin_key, buckets, settings.requests_under_way)
    commits = Commits(settings.commit_wait)
    new_instances = NewInstances(settings.instance_rate, settings.instance_burst)
    operations = build_operations(
        Registering(store, gate, clock, draw, settings),
        Heartbeats(
            store,
            gate,
            clock,
            commits,
            metrics,
            new_instances,
            settings,
            f"{PREFIX}/usage/records",
        ),
        Records(store, gate, clock, commits, metrics, new_instances, settings),
        Agents(store, gate),
        Usage(store, store, gate),
        Events(store, flushing, gate, clock, settings),
        Observed(
            store,
            gate,
            operators or OperatorGate(clock),
            clock,
            draw,
            commits,
            metrics,
            new_instances,
            settings,
        ),
        Periods(store, gate, clock, settings),
        Repricing(store, gate, clock, settings),
        Verification(store, gate, clock),
        Focus(store, gate, settings.cluster),
        Pages(store, metrics),
    )
    metrics.watch_store(store)
    watch_events(metrics.registry, flushing)
    document = JSONResponse(openapi_document(operations))

    async def openapi(_: Request) -> Response:
        return document

    return Starlette(
        routes=[
            *_routes(operations, clock, metrics),
            Route("/openapi.json", openapi, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _no_such_operation, Exception: _failed},
    )


def build_operations(
    registering: Registering,
    heartbeats: Heartbeats,
    records: Records,
    agents: Agents,
    usage: Usage,
    events: Events,
    observed: Observed,
    periods: Periods,
    repricing: Repricing,
    verification: Verification,
    focus: Focus,
    pages: Pages,
) -> tuple[Operation, ...]:
    """Every endpoint."""
    of_agent = f"{PREFIX}/agents/{{name}}"
    return (
        Operation(
            "register",
            "POST",
            f"{PREFIX}/register",
            registering.register,
            "Register an agent, or give it a new key",
            Credential.ADMIN,
            {_OK: Answer("The agent and its key, which is shown here alone", RegisterAnswer)},
            RegisterBody,
            (*_ADMIN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY),
        ),
        Operation(
            "revoke",
            "DELETE",
            of_agent,
            registering.revoke,
            "End every key of the agent; what it reported stays",
            Credential.ADMIN,
            {HTTPStatus.NO_CONTENT: Answer("Ended")},
            problems=(*_ADMIN, *_NAMED),
        ),
        Operation(
            "heartbeat",
            "POST",
            f"{PREFIX}/heartbeat",
            heartbeats.take,
            "Say that the agent is alive, and what it has used",
            Credential.AGENT,
            {
                HTTPStatus.NO_CONTENT: Answer("Kept; the sender has no instance"),
                _OK: Answer("Kept; where the instance's calls stand", HeartbeatAnswerBody),
            },
            HeartbeatBody,
            _AGENT,
        ),
        Operation(
            "records",
            "POST",
            f"{PREFIX}/usage/records",
            records.take,
            "Deliver frames of usage records",
            Credential.AGENT,
            {
                _OK: Answer("Durable as said", RecordsAnswerBody),
                HTTPStatus.ACCEPTED: Answer("Taken, not durable yet", RecordsAnswerBody),
            },
            RecordsBody,
            _AGENT,
        ),
        Operation(
            "agents",
            "GET",
            f"{PREFIX}/agents",
            agents.all,
            "Every agent and its newest heartbeat",
            Credential.ADMIN,
            {_OK: Answer("In the order of registration", AgentRow, many=True)},
            problems=_ADMIN,
        ),
        *(
            Operation(
                f"agent_{name}",
                "GET",
                f"{of_agent}/{name}",
                handler,
                summary,
                Credential.ADMIN,
                {_OK: Answer("As the agent said it")},
                problems=(*_ADMIN, *_NAMED),
            )
            for name, handler, summary in (
                ("health", agents.health, "The health of the newest heartbeat"),
                ("gap", agents.gap, "The gap report of the newest heartbeat"),
                ("proof", agents.proof, "The proof of the newest heartbeat"),
                ("usage", agents.usage, "The usage that the newest heartbeats told"),
            )
        ),
        *usage_operations(usage, f"{PREFIX}/usage"),
        *periods_operations(periods, f"{PREFIX}/usage"),
        repricing_operation(repricing, f"{PREFIX}/usage"),
        verification_operation(verification, f"{PREFIX}/usage"),
        *focus_operations(focus, f"{PREFIX}/usage"),
        *event_operations(events, f"{PREFIX}/usage"),
        observed_operation(observed, f"{PREFIX}/usage/observed"),
        *(
            Operation(name, "GET", path, handler, summary, Credential.NONE, {_OK: Answer("Yes")})
            for name, path, handler, summary in (
                ("live", "/health/live", pages.live, "Whether a restart would not help"),
                ("ready", "/health/ready", pages.ready, "Whether usage is taken now"),
                ("metrics", "/metrics", pages.metrics, "Metrics for Prometheus"),
            )
        ),
    )


def _routes(operations: Sequence[Operation], clock: Clock, metrics: Metrics) -> list[Route]:
    return [
        Route(
            operation.path,
            _guarded(operation, clock, metrics),
            methods=[operation.method],
            name=operation.name,
        )
        for operation in operations
    ]


def _guarded(operation: Operation, clock: Clock, metrics: Metrics) -> Handler:
    """The handler, with what it raises made an answer, counted."""
    seconds = metrics.seconds.labels(operation.name)

    async def serve(request: Request) -> Response:
        began = clock.monotonic()
        try:
            response = await operation.handler(request)
        except AgentspecUsageError as error:
            response = answer_of(error)
            if response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
                logger.exception("a request failed", extra={"operation": operation.name})
        metrics.requests.labels(operation.name, str(response.status_code)).inc()
        seconds.observe(clock.monotonic() - began)
        return response

    return serve


async def _no_such_operation(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    headers = error.headers if isinstance(error, HTTPException) else None
    return problem(
        HTTPStatus(status), "there is no such operation: see /openapi.json", headers=headers
    )


async def _failed(_: Request, error: Exception) -> Response:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the control plane failed")
