"""Tenants of one control plane, whose every name and number can be told from the others'."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import httpx

from agentspec_usage.metering.counts import TokenCounts
from agentspec_usage.metering.record import CallContext, UsageRecord
from agentspec_usage.metering.series import SeriesKey
from agentspec_usage.metering.snapshot import Observer, SeriesRow, UsageSnapshot
from agentspec_usage.runtime.clock import from_rfc3339
from agentspec_usage.wire.heartbeat_encoding import encode_heartbeat
from agentspec_usage.wire.records_encoding import encode_frame, encode_records
from tests.fixtures.last_month import LAST_MONTH
from tests.integration.controlplane.processes import ADMIN, ControlPlane
from tests.integration.controlplane.waiting import until
from tests.unit.store.values import frame

__all__ = ["CALLS", "MONTH", "Tenant", "register", "with_batch"]

CALLS = 2
"""Calls that a tenant reports by records."""

MONTH = LAST_MONTH
_AT = f"{MONTH}-09T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Tenant:
    """An agent with a key. Whatever it reports has ``mark`` in its names."""

    namespace: str
    name: str
    agent_id: str
    headers: dict[str, str]
    mark: str
    instance_id: str
    tokens: int
    batch_id: str = "0" * 32

    @property
    def counts(self) -> TokenCounts:
        """What one of its calls uses."""
        return TokenCounts(input=self.tokens, output=1, calls=1)

    @property
    def series(self) -> SeriesKey:
        return SeriesKey("openai", f"model-{self.mark}")

    def record(self, seq: int) -> UsageRecord:
        """One of its calls."""
        context = CallContext(
            user=f"user-{self.mark}",
            session=f"session-{self.mark}",
            run=f"run-{self.mark}",
            team=f"team-{self.mark}",
        )
        return UsageRecord(
            seq,
            from_rfc3339(_AT),
            self.series,
            self.counts,
            response_id=f"response-{self.mark}-{seq}",
            context=context,
        )

    def frames(self, instance_id: str, since: int, last: int) -> bytes:
        """A body with the calls from ``since`` to ``last``, said to be of ``instance_id``."""
        calls = [self.record(seq) for seq in range(since + 1, last + 1)]
        totals = TokenCounts(input=self.tokens * last, output=last, calls=last)
        return encode_records(
            [encode_frame(frame(since, last, *calls, instance_id=instance_id, totals=totals))]
        )

    def heartbeat(self, instance_id: str) -> bytes:
        """A heartbeat, said to be of ``instance_id``."""
        totals = TokenCounts(input=self.tokens * 3, output=3, calls=3)
        snapshot = UsageSnapshot(
            totals,
            (SeriesRow(self.series, totals),),
            instance_id=instance_id,
            observer=Observer.SDK,
        )
        marked = {"status": "healthy", "note": f"note-{self.mark}"}
        return encode_heartbeat(marked, {"score": 91, **marked}, [snapshot], marked)

    def events(self, session: str) -> bytes:
        """A body with the event of one call in ``session``, of a model without a price."""
        event = {
            "model": f"unpriced-{self.mark}",
            "timestamp": _AT,
            "sessionId": session,
            "runId": f"run-{self.mark}",
            "inputTokens": self.tokens,
            "outputTokens": 1,
        }
        return json.dumps({"events": [event]}).encode()

    def report(self, client: httpx.Client) -> None:
        """Report ``CALLS`` calls of its own, and a heartbeat."""
        for path, body in (
            ("/api/v1/usage/records", self.frames(self.instance_id, 0, CALLS)),
            ("/api/v1/heartbeat", self.heartbeat(self.instance_id)),
        ):
            client.post(path, content=body, headers=self.headers).raise_for_status()


def register(client: httpx.Client, namespace: str, name: str, tokens: int) -> Tenant:
    """A tenant that has reported nothing yet. ``tokens`` is the input of each of its calls."""
    body = {"agentName": name, "runtime": "k8s", "namespace": namespace}
    answer = client.post("/api/v1/register", json=body, headers=ADMIN)
    answer.raise_for_status()
    said = answer.json()
    return Tenant(
        namespace,
        name,
        said["agentId"],
        {"Authorization": f"Bearer {said['apiKey']}"},
        f"of-{namespace}-{name}",
        f"{tokens:032x}",
        tokens,
    )


def with_batch(client: httpx.Client, plane: ControlPlane, tenant: Tenant) -> Tenant:
    """The tenant after it told of a call by an event, with the batch that this became."""
    session = f"session-{tenant.mark}"
    sent = client.post(
        "/api/v1/usage/events", content=tenant.events(session), headers=tenant.headers
    )
    sent.raise_for_status()

    def told() -> list[str]:
        return [line["batchId"] for line in plane.lines() if line.get("sessionId") == session]

    until(told, "the batch is flushed")
    return replace(tenant, batch_id=told()[-1])
