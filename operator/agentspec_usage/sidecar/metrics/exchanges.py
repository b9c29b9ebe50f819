"""Counters of what goes through the proxy.

Tokens are split into types that have nothing in common, so that any sum over them is right: the
three that begin with ``input_`` are the input tokens, the two that begin with ``output_`` the
output tokens, all five the total. Audio and image tokens overlap cached ones in ways that no
provider tells, and are not shown here.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from agentspec_usage.extraction.values import Extraction, ReadCall
from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallStatus
from agentspec_usage.sidecar.answered import answered_status
from agentspec_usage.sidecar.calls import EndedBy, ProxiedEnd, ProxiedRequest
from agentspec_usage.sidecar.metrics.bounded import BoundedLabel
from agentspec_usage.sidecar.unmetered import is_unmetered

__all__ = ["MAX_FIELDS", "MAX_MODELS", "TOKEN_TYPES", "ExchangeMetrics"]

MAX_MODELS = 200
MAX_FIELDS = 100

TOKEN_TYPES = (
    "input_uncached",
    "input_cache_read",
    "input_cache_write",
    "output_reasoning",
    "output_other",
)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class ExchangeMetrics:
    """An ``ExchangeObserver``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._models = BoundedLabel(MAX_MODELS)
        self._fields = BoundedLabel(MAX_FIELDS)
        self._requests = Counter(
            "agentspec_sidecar_requests_total",
            "Requests by provider, API surface and class of the status; none: no answer came",
            ["provider", "surface", "status"],
            registry=registry,
        )
        self._endings = Counter(
            "agentspec_sidecar_exchanges_ended_total",
            "Requests by what ended them",
            ["by"],
            registry=registry,
        )
        for by in EndedBy:
            self._endings.labels(str(by))
        self._seconds = Histogram(
            "agentspec_sidecar_request_duration_seconds",
            "Seconds from a request's head to the end of its answer",
            ["provider"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Counter(
            "agentspec_sidecar_tokens_total",
            "Tokens by provider, model and type; the types have nothing in common",
            ["provider", "model", "type"],
            registry=registry,
        )
        self._calls = Counter(
            "agentspec_sidecar_calls_total",
            "Model calls whose usage was read, by provider and model",
            ["provider", "model"],
            registry=registry,
        )
        self._aborted = Counter(
            "agentspec_sidecar_aborted_calls_total",
            "Calls whose stream broke: what was seen of them counts, which is a lower bound",
            ["provider"],
            registry=registry,
        )
        self._unmetered = Counter(
            "agentspec_sidecar_unmetered_calls_total",
            "Calls whose usage could not be read",
            ["provider"],
            registry=registry,
        )
        self._mismatches = Counter(
            "agentspec_sidecar_usage_mismatches_total",
            "Usage objects that contradict themselves",
            ["provider"],
            registry=registry,
        )
        self._unknown_fields = Counter(
            "agentspec_sidecar_unknown_usage_fields_total",
            "Fields of usage objects that have no meaning here",
            ["provider", "field"],
            registry=registry,
        )
        self._injected = Counter(
            "agentspec_sidecar_usage_asked_total",
            "Streams whose usage was asked for on the client's behalf",
            ["provider"],
            registry=registry,
        )

    def began(self, request: ProxiedRequest) -> None:
        """Counted when it is over, with its status."""

    def read(self, request: ProxiedRequest, counted: Sequence[ReadCall]) -> None:
        for call in counted:
            self._count(_provider(request), call)

    def ended(self, request: ProxiedRequest, end: ProxiedEnd, counted: Sequence[ReadCall]) -> None:
        provider = _provider(request)
        surface = request.facts.surface.name if request.facts is not None else ""
        self._requests.labels(provider, surface, _status_class(answered_status(end))).inc()
        self._endings.labels(str(end.ended_by)).inc()
        self._seconds.labels(provider).observe(end.duration_ms / 1000)
        for call in counted:
            self._count(provider, call)
        if is_unmetered(request, end):
            self._unmetered.labels(provider).inc()
        if end.injected:
            self._injected.labels(provider).inc()
        if end.extraction is not None:
            self._doubts(provider, end.extraction)

    def _count(self, provider: str, call: ReadCall) -> None:
        model = self._models.of(call.key.model or call.request_model)
        self._calls.labels(provider, model).inc(call.counts.calls)
        if call.status is CallStatus.ABORTED:
            self._aborted.labels(provider).inc()
        for kind, tokens in zip(TOKEN_TYPES, _disjoint(call.counts), strict=True):
            if tokens > 0:
                self._tokens.labels(provider, model, kind).inc(tokens)

    def _doubts(self, provider: str, extraction: Extraction) -> None:
        if extraction.mismatches:
            self._mismatches.labels(provider).inc(extraction.mismatches)
        for field in extraction.unknown_fields:
            self._unknown_fields.labels(provider, self._fields.of(field)).inc()


def _disjoint(counts: TokenCounts) -> tuple[int, ...]:
    """In the order of ``TOKEN_TYPES``; they sum to the total."""
    return (
        counts.input - counts.cache_read - counts.cache_write,
        counts.cache_read,
        counts.cache_write,
        counts.reasoning,
        counts.output - counts.reasoning,
    )


def _provider(request: ProxiedRequest) -> str:
    """As it is configured: nothing that a request says."""
    return request.facts.provider if request.facts is not None else ""


def _status_class(status: int | None) -> str:
    return "none" if status is None else f"{status // 100}xx"
