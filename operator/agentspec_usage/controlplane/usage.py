"""``/usage``: what was used, by whom and when.

An administrator may ask about everything; an agent's key opens that agent's own usage and nothing
else, whatever the parameters say. A cost is null where nothing of it has a price; calls without one
are counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from agentspec_usage.controlplane.gate import Gate
from agentspec_usage.controlplane.usage_parameters import (
    CallsParameters,
    DaysParameters,
    PeriodParameters,
    UsageParameters,
    in_path,
    parameters_of,
    position_text,
)
from agentspec_usage.controlplane.usage_shapes import (
    BillingAnswer,
    DayRow,
    DaysAnswer,
    HistoryAnswer,
    HistoryEvent,
    SumRow,
    TotalsAnswer,
)
from agentspec_usage.errors import WireError
from agentspec_usage.metering.periods import Span
from agentspec_usage.runtime.clock import to_rfc3339
from agentspec_usage.serving.problems import Refusal
from agentspec_usage.store.ingest import IngestStore
from agentspec_usage.store.queries import (
    AgentName,
    StoredCall,
    UsageFilter,
    UsageQueries,
    UsageSum,
    UsageSums,
)
from agentspec_usage.store.values import Agent

__all__ = ["Usage"]

_EVER = Span(0, 2**53)


class Usage:
    def __init__(self, store: IngestStore, queries: UsageQueries, gate: Gate) -> None:
        self._store = store
        self._queries = queries
        self._gate = gate

    async def totals(self, request: Request) -> Response:
        """Everything, ever."""
        own = await self._own(request)
        return await self._totals(own, parameters_of(request, UsageParameters))

    async def agent_totals(self, request: Request) -> Response:
        """What one agent used, ever."""
        own = await self._own(request)
        asked = parameters_of(request, UsageParameters)
        if asked.agent_id:
            raise WireError("agent_id", "none beside the path's")
        of_path = asked.model_copy(update={"agent_id": in_path(request, "id")})
        return await self._totals(own, of_path, named=True)

    async def model_totals(self, request: Request) -> Response:
        """What was used of one model, ever."""
        own = await self._own(request)
        asked = parameters_of(request, UsageParameters)
        if asked.model:
            raise WireError("model", "none beside the path's")
        return await self._totals(
            own, asked.model_copy(update={"model": in_path(request, "model")})
        )

    async def billing(self, request: Request) -> Response:
        """What a period is billed: in all, by model and by agent."""
        own = await self._own(request)
        asked = parameters_of(request, PeriodParameters)
        wanted = await self._filter(own, asked, asked.span())
        totals = _totals_answer(await self._queries.sums(wanted))
        return _answer(
            BillingAnswer.model_validate(
                {
                    **totals.model_dump(by_alias=True),
                    "orgId": wanted.namespace or None,
                    "startTime": to_rfc3339(wanted.span.start) if asked.start_time else None,
                    "endTime": to_rfc3339(wanted.span.end) if asked.end_time else None,
                }
            )
        )

    async def daily(self, request: Request) -> Response:
        """What each day used."""
        own = await self._own(request)
        asked = parameters_of(request, DaysParameters)
        wanted = await self._filter(own, asked, asked.span())
        days = await self._queries.days(wanted, asked.zone())
        rows = [
            DayRow(
                date=each.day.day.isoformat(),
                totalTokens=each.sum.counts.total,
                promptTokens=each.sum.counts.input,
                completionTokens=each.sum.counts.output,
                requestCount=each.sum.counts.calls,
                totalCost=_amount(each.sum),
                currency=_currency(each.sum),
                costs=_costs(each.sum),
                unpricedCount=each.sum.unpriced,
                estimatedCount=each.sum.estimated,
            )
            for each in days
        ]
        return _answer(DaysAnswer(days=rows, count=len(rows)))

    async def history(self, request: Request) -> Response:
        """The calls, newest first."""
        own = await self._own(request)
        asked = parameters_of(request, CallsParameters)
        wanted = await self._filter(own, asked, asked.span())
        found = await self._queries.calls(
            replace(wanted, user=asked.user_id), asked.limit, asked.offset, asked.after()
        )
        full = len(found.calls) == asked.limit
        return _answer(
            HistoryAnswer(
                events=[_event(call) for call in found.calls],
                count=len(found.calls),
                total=found.total,
                offset=asked.offset,
                limit=asked.limit,
                nextCursor=position_text(found.calls[-1].position) if full else None,
            )
        )

    async def _totals(
        self, own: Agent | None, asked: UsageParameters, *, named: bool = False
    ) -> Response:
        wanted = await self._filter(own, asked, _EVER, named=named)
        return _answer(_totals_answer(await self._queries.sums(wanted)))

    async def _own(self, request: Request) -> Agent | None:
        """The only agent that the caller may ask about; None for the administrator: any."""
        if "x-admin-key" in request.headers:
            self._gate.admin(request)
            return None
        return (await self._gate.agent(request)).agent

    async def _filter(
        self, own: Agent | None, asked: UsageParameters, span: Span, *, named: bool = False
    ) -> UsageFilter:
        """What is asked for, as far as the caller may. ``named``: the path names the agent."""
        if own is not None:
            if asked.org_id not in ("", own.namespace):
                raise Refusal(HTTPStatus.FORBIDDEN, "org_id: this key is of another namespace")
            if asked.agent_id not in ("", own.agent_id, f"{own.namespace}/{own.name}"):
                raise Refusal(HTTPStatus.FORBIDDEN, "agent_id: this key is of another agent")
            return UsageFilter(span, own.namespace, own.agent_id, asked.model)
        agent_id = await self._agent_id(asked.agent_id, named=named) if asked.agent_id else ""
        return UsageFilter(span, asked.org_id, agent_id, asked.model)

    async def _agent_id(self, given: str, *, named: bool) -> str:
        """The agent's id. One that nobody registered has used nothing; in a path it is unknown."""
        namespace, slash, name = given.partition("/")
        if slash:
            found = [a for a in await self._store.agents_named(name) if a.namespace == namespace]
        else:
            summaries = await self._store.agents()
            found = [s.agent for s in summaries if s.agent.agent_id == given]
        if found:
            return found[0].agent_id
        if named:
            raise Refusal(
                HTTPStatus.NOT_FOUND, "no such agent: expected namespace/name, or an agentId"
            )
        return given


def _totals_answer(sums: UsageSums) -> TotalsAnswer:
    counts = sums.total.counts
    return TotalsAnswer(
        totalTokens=counts.total,
        promptTokens=counts.input,
        completionTokens=counts.output,
        requestCount=counts.calls,
        totalCost=_amount(sums.total),
        currency=_currency(sums.total),
        costs=_costs(sums.total),
        unpricedCount=sums.total.unpriced,
        estimatedCount=sums.total.estimated,
        byModel=_rows(sums.by_model),
        byAgent=_rows(sums.by_agent),
    )


def _rows(sums: Mapping[str, UsageSum] | Mapping[AgentName, UsageSum]) -> dict[str, SumRow]:
    ordered = sorted(sums.items(), key=lambda pair: (-pair[1].counts.total, str(pair[0])))
    return {
        str(name): SumRow(
            total_tokens=found.counts.total,
            prompt_tokens=found.counts.input,
            completion_tokens=found.counts.output,
            request_count=found.counts.calls,
            total_cost=_amount(found),
            currency=_currency(found),
        )
        for name, found in ordered
    }


def _amount(found: UsageSum) -> str | None:
    """The cost, where it is of one currency."""
    return str(found.amounts[0]) if len(found.amounts) == 1 else None


def _currency(found: UsageSum) -> str | None:
    return found.amounts[0].currency if len(found.amounts) == 1 else None


def _costs(found: UsageSum) -> dict[str, str]:
    return {money.currency: str(money) for money in found.amounts}


def _event(call: StoredCall) -> HistoryEvent:
    counts = call.counts
    metadata: dict[str, str | int] = {
        "operation": call.operation,
        "status": call.status,
        "requestModel": call.request_model,
        "serviceTier": call.service_tier,
        "region": call.region,
        "userId": call.user,
        "runId": call.run,
        "team": call.team,
        "callId": call.call_id,
        "responseId": call.response_id,
        "callCount": counts.calls,
        "cacheReadTokens": counts.cache_read,
        "cacheWriteTokens": counts.cache_write,
        "reasoningTokens": counts.reasoning,
    }
    return HistoryEvent(
        id=str(call.position.item),
        timestamp=to_rfc3339(call.position.at),
        threadId=call.session or None,
        agentId=str(call.agent),
        model=call.model,
        provider=call.provider,
        promptTokens=counts.input,
        completionTokens=counts.output,
        totalTokens=counts.total,
        latencyMs=call.duration_ms,
        estimatedCost=None if call.cost is None else str(call.cost),
        currency=None if call.cost is None else call.cost.currency,
        metadata={name: value for name, value in metadata.items() if value != ""},
    )


def _answer(body: BaseModel) -> Response:
    return Response(body.model_dump_json(by_alias=True), media_type="application/json")
