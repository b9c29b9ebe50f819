"""An entry of the audit ring, and its form on the wire (AgentSpec's names).

An entry never holds what was said: no header, no query, no body. ``behavioralCompliant`` is null
and ``opaViolations`` empty, because no policy is evaluated here and nobody's verdict is invented.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentspec_usage.runtime.clock import to_rfc3339

__all__ = ["NO_BEHAVIOR", "AuditEntry", "Behavior", "ModelCall", "encode_entry"]


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A model call as an event told of it. ``tokens`` is what it said of their number, all
    together; None where it said nothing that is a count.
    """

    model_id: str
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Behavior:
    """What the agent's framework told of a request, in the order in which it came."""

    guardrails: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    model_calls: tuple[ModelCall, ...] = ()

    @property
    def size(self) -> int:
        """Details that it holds."""
        return len(self.guardrails) + len(self.tools) + len(self.model_calls)

    def joined(self, later: Behavior, most: int) -> Behavior:
        """Both, with at most ``most`` details of each kind."""
        return Behavior(
            (self.guardrails + later.guardrails)[:most],
            (self.tools + later.tools)[:most],
            (self.model_calls + later.model_calls)[:most],
        )


NO_BEHAVIOR = Behavior()


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A request through the proxy; without ``status`` and ``duration_ms`` while it is under way.

    ``began`` is in ms, UTC; ``call_id`` what the SDK put on the request, by which it is also found.
    """

    request_id: str
    began: int
    method: str
    path: str
    call_id: str = ""
    status: int | None = None
    duration_ms: int | None = None
    agent_name: str = ""
    behavior: Behavior = NO_BEHAVIOR


def encode_entry(entry: AuditEntry) -> dict[str, object]:
    """The entry as ``GET /audit`` lists it."""
    fields: dict[str, object] = {
        "requestId": entry.request_id,
        "timestamp": to_rfc3339(entry.began),
        "method": entry.method,
        "path": entry.path,
        "behavioralCompliant": None,
        "guardrailsInvoked": list(entry.behavior.guardrails),
        "toolsCalled": list(entry.behavior.tools),
        "modelCalls": [_model_call(call) for call in entry.behavior.model_calls],
        "opaViolations": [],
    }
    optional: dict[str, object | None] = {
        "statusCode": entry.status,
        "durationMs": entry.duration_ms,
        "agentName": entry.agent_name or None,
    }
    fields.update({name: value for name, value in optional.items() if value is not None})
    return fields


def _model_call(call: ModelCall) -> dict[str, object]:
    # AgentSpec's readers expect a number; 0 is what its own sidecar writes for an unknown one.
    return {"modelId": call.model_id, "tokenCount": call.tokens or 0}
