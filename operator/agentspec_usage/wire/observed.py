"""Decoding what an operator hands in: ``POST /usage/observed``.

A body is taken whole or refused whole, by the name of the first field that is wrong: its sender
then halves it until what is wrong is alone. The snapshots in it were written by agents and are
decoded as strictly as when they are scraped, so that whatever an operator counted is taken here as
well, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from agentspec_usage.errors import WireError
from agentspec_usage.metering.names import MAX_NAME_BYTES, is_showable
from agentspec_usage.metering.snapshot import UsageReading
from agentspec_usage.wire import strict_json
from agentspec_usage.wire.observed_encoding import (
    MAX_OBSERVATIONS,
    MAX_OBSERVED_BODY,
    Observation,
)
from agentspec_usage.wire.shapes import Shape, Time, wire_error
from agentspec_usage.wire.usage import reading_of

__all__ = [
    "MAX_OBSERVATIONS",
    "MAX_OBSERVED_BODY",
    "Observation",
    "ObservedBody",
    "decode_observed",
]

_NAMESPACE = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_POD_UID = r"^[A-Za-z0-9._-]{1,128}$"
_CONTAINER = r"^[!-~]{1,256}$"


def decode_observed(body: bytes) -> tuple[Observation, ...]:
    """The observations in ``body``. Raises ``WireError``, which names the field."""
    document = strict_json.loads(body, max_bytes=MAX_OBSERVED_BODY)
    if not isinstance(document, dict):
        raise WireError("", "an object")
    try:
        entries = ObservedBody.model_validate(document).observations
    except ValidationError as error:
        raise wire_error(error) from None
    return tuple(
        entry.observation(f"observations[{position}].snapshot")
        for position, entry in enumerate(entries)
    )


def _cost_center(text: str) -> str:
    if not is_showable(text) or len(text.encode()) > MAX_NAME_BYTES:
        raise PydanticCustomError(
            "showable", f"Input should be printable characters, at most {MAX_NAME_BYTES} bytes"
        )
    return text


class _Entry(Shape):
    namespace: Annotated[str, Field(pattern=_NAMESPACE)]
    name: Annotated[str, Field(pattern=_SUBDOMAIN, max_length=253)]
    pod_uid: Annotated[str | None, Field(pattern=_POD_UID)] = None
    container: Annotated[str | None, Field(pattern=_CONTAINER)] = None
    seen_at: Time | None = None
    snapshot: dict[str, Any] | None = None
    cost_center: Annotated[str, AfterValidator(_cost_center)] = ""

    @model_validator(mode="after")
    def _reading_has_a_pod(self) -> Self:
        if (self.pod_uid is None) is not (self.snapshot is None):
            raise PydanticCustomError(
                "reading", "Input should be an entry with podUid and snapshot, or with neither"
            )
        return self

    def observation(self, path: str) -> Observation:
        """The value; ``path`` is where in the body its snapshot stands, for errors."""
        return Observation(
            self.namespace,
            self.name,
            self.pod_uid or "",
            self.container or "",
            self.seen_at,
            None if self.snapshot is None else _reading(self.snapshot, path),
            self.cost_center,
        )


class ObservedBody(Shape):
    """The body of ``POST /usage/observed``."""

    observations: Annotated[list[_Entry], Field(max_length=MAX_OBSERVATIONS)]


def _reading(snapshot: dict[str, Any], path: str) -> UsageReading:
    try:
        return reading_of(snapshot)
    except WireError as error:
        raise WireError(f"{path}.{error.path}" if error.path else path, error.expected) from None
