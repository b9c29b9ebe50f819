"""An AgentObservation as the API server hands it out: the spec, parsed; the identity, checked.

The API server has validated a spec against the CRD, but an older CRD, or none of its rules, may
have stood there when the object was written. So the spec is parsed strictly again, and a spec that
does not fit becomes a condition on its object, never an error of the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from agentspec_usage.errors import WireError

__all__ = ["AgentRef", "AgentRefKind", "ObservationSpec", "SelectorSpec", "parse_spec"]

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_USAGE_PATH = r"^(/[A-Za-z0-9._~-]+)*/?$"


class AgentRefKind(StrEnum):
    """What an ``agentRef`` may name: things that select pods, or a pod."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"
    REPLICA_SET = "ReplicaSet"
    POD = "Pod"
    SERVICE = "Service"


# Unknown fields are ignored: upstream may add some. Slotted dataclasses rather than models: the
# operator keeps a spec for every object, and a model's own bookkeeping would be most of it.
_CONFIG = ConfigDict(extra="ignore", populate_by_name=True)


@dataclass(frozen=True, slots=True, config=_CONFIG)
class AgentRef:
    """What the object is about."""

    name: Annotated[str, Field(pattern=_SUBDOMAIN, max_length=253)]
    kind: AgentRefKind | None = None


@dataclass(frozen=True, slots=True, config=_CONFIG)
class Requirement:
    """One of ``matchExpressions``."""

    key: Annotated[str, Field(min_length=1, max_length=317)]
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _values_fit_the_operator(self) -> Self:
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            raise ValueError("values with In and NotIn, none with Exists and DoesNotExist")
        return self


@dataclass(frozen=True, slots=True, config=_CONFIG)
class SelectorSpec:
    """A label selector; an empty one would select every pod and is refused."""

    match_labels: dict[str, str] = Field(default_factory=dict, alias="matchLabels", max_length=64)
    match_expressions: Annotated[
        tuple[Requirement, ...], Field(alias="matchExpressions", max_length=64)
    ] = ()

    @model_validator(mode="after")
    def _selects_something(self) -> Self:
        if not self.match_labels and not self.match_expressions:
            raise ValueError("at least one label: an empty selector selects every pod")
        return self


@dataclass(frozen=True, slots=True, config=_CONFIG)
class ObservationSpec:
    """``spec`` of an AgentObservation: upstream's fields, then ours."""

    agent_ref: AgentRef = Field(alias="agentRef")
    sidecar_service_name: Annotated[
        str | None, Field(alias="sidecarServiceName", pattern=_DNS_LABEL)
    ] = None
    sidecar_port: Annotated[int, Field(alias="sidecarPort", ge=1024, le=65535)] = 4001
    check_interval: Annotated[int, Field(alias="checkInterval", ge=5, le=3600)] = 30
    source: Literal["sidecar", "control-plane"] = "sidecar"
    pod_selector: SelectorSpec | None = Field(default=None, alias="podSelector")
    usage_port: Annotated[int | None, Field(alias="usagePort", ge=1024, le=65535)] = None
    usage_path: Annotated[
        str, Field(alias="usagePath", pattern=_USAGE_PATH, min_length=1, max_length=128)
    ] = "/agentspec/usage"
    suspend: bool = False
    cost_center: Annotated[str | None, Field(alias="costCenter", max_length=128)] = None

    @model_validator(mode="after")
    def _sidecar_port_is_the_control_port(self) -> Self:
        if self.sidecar_port == 4000:
            raise ValueError("the sidecar's control port in sidecarPort: 4000 is its proxy port")
        return self

    @model_validator(mode="after")
    def _pods_are_found_one_way(self) -> Self:
        if self.pod_selector is not None and self.agent_ref.kind is not None:
            raise ValueError("podSelector or agentRef.kind, not both: each says where the pods are")
        return self

    @property
    def found_by_label(self) -> bool:
        """Whether pods labelled with the agent's name are the agent's: nothing else says which."""
        return self.pod_selector is None and self.agent_ref.kind is None

    @property
    def service_name(self) -> str:
        """The Service in front of the sidecar: upstream's default is ``<name>-sidecar``."""
        return self.sidecar_service_name or f"{self.agent_ref.name}-sidecar"


_SPEC = TypeAdapter(ObservationSpec)


def parse_spec(spec: Mapping[str, Any] | None) -> ObservationSpec:
    """The spec of an object as read; WireError names the first field that does not fit, not its
    value."""
    try:
        return _SPEC.validate_python(spec or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in ("spec", *first["loc"]))
        raise WireError(path, _expectation(first["msg"])) from error


def _expectation(message: str) -> str:
    """pydantic's sentence, fit to stand behind "expected": ours are written for that place."""
    for prefix in ("Input should be ", "Value error, "):
        if message.startswith(prefix):
            return message.removeprefix(prefix)
    return "a value" if message == "Field required" else f"another value ({message})"
