"""What a response, or the events of a stream, say of one call's usage. Pure.

A reading is filled as the call goes on: a whole response fills it at once, a stream event by event.
Later events win over earlier ones field by field and nothing is ever added up, because what
providers repeat in a stream is cumulative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agentspec_usage.sdk.usage_fields import Measured

__all__ = ["ApiSurface", "Reading"]


@dataclass(slots=True)
class Reading:
    """``complete`` says that the provider's last word on usage was seen."""

    usage: object = None
    response_id: str = ""
    model: str = ""
    service_tier: str = ""
    region: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)
    complete: bool = False

    def name(self, response_id: object, model: object) -> None:
        """Take over what the provider calls the response and the model; nothing erases a name."""
        if isinstance(response_id, str) and response_id:
            self.response_id = response_id
        if isinstance(model, str) and model:
            self.model = model


class ApiSurface(Protocol):
    """One API of one provider: how its responses and the events of its streams are read."""

    @property
    def operation(self) -> str:
        """OTel's name of what a call does."""
        ...

    def response(self, reading: Reading, response: object) -> None:
        """Fill ``reading`` from a whole response."""
        ...

    def event(self, reading: Reading, event: object) -> None:
        """Fill ``reading`` from one event of a stream."""
        ...

    def measured(self, reading: Reading) -> tuple[Measured, ...]:
        """What was used: usually one; none where no usage was seen."""
        ...
