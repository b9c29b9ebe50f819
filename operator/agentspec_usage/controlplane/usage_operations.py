"""The endpoints of ``/usage``."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel

from agentspec_usage.controlplane.operations import Answer, Credential, Handler, Operation
from agentspec_usage.controlplane.usage import Usage
from agentspec_usage.controlplane.usage_parameters import (
    CallsParameters,
    DaysParameters,
    PeriodParameters,
    UsageParameters,
)
from agentspec_usage.controlplane.usage_shapes import (
    BillingAnswer,
    DaysAnswer,
    HistoryAnswer,
    TotalsAnswer,
)

__all__ = ["usage_operations"]

_PROBLEMS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


def usage_operations(usage: Usage, prefix: str) -> tuple[Operation, ...]:
    """Every question about usage, below ``prefix``."""

    def question(
        name: str,
        path: str,
        handler: Handler,
        summary: str,
        answer: type[BaseModel],
        parameters: type[BaseModel],
        *problems: HTTPStatus,
    ) -> Operation:
        return Operation(
            name,
            "GET",
            f"{prefix}{path}",
            handler,
            summary,
            Credential.ADMIN_OR_AGENT,
            {HTTPStatus.OK: Answer("As asked for", answer)},
            problems=(*_PROBLEMS, *problems),
            parameters=parameters,
        )

    return (
        question("usage", "", usage.totals, "What was used, ever", TotalsAnswer, UsageParameters),
        question(
            "usage_of_agent",
            "/agents/{id:path}",
            usage.agent_totals,
            "What an agent used, ever",
            TotalsAnswer,
            UsageParameters,
            HTTPStatus.NOT_FOUND,
        ),
        question(
            "usage_of_model",
            "/models/{model:path}",
            usage.model_totals,
            "What was used of a model, ever",
            TotalsAnswer,
            UsageParameters,
        ),
        question(
            "billing",
            "/billing",
            usage.billing,
            "What a period is billed, by model and by agent",
            BillingAnswer,
            PeriodParameters,
        ),
        question("daily", "/daily", usage.daily, "What each day used", DaysAnswer, DaysParameters),
        question(
            "history",
            "/history",
            usage.history,
            "The calls, newest first",
            HistoryAnswer,
            CallsParameters,
        ),
    )
