"""A sidecar's ring, fed by events: an interim server of ``POST /events`` and ``GET /usage``.

An agent that posts what its framework tells it (AgentSpec's push of behavioural events) needs
nothing else to be metered. A request's events may come in several pushes; they add up. There is no
proxy here, so no request is in the ring by itself: each push is answered 202, "kept".
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping

from agentspec_usage.metering.counts import MAX_COUNT, TokenCounts
from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.metering.series import SeriesKey, context_class
from agentspec_usage.metering.snapshot import Observer
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.wire.usage_encoding import encode_usage
from examples.agents.lifecycle import arguments, hold_signals, live
from examples.agents.serving import Answer, listen, serve

RING_SIZE = 1000
MAX_EVENTS = 500


class Ring:
    """The requests heard of, and beside them the counts: a ring that overflows loses detail, no
    tokens."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._ledger = Ledger(new_instance_id(), self._clock.now(), Observer.EVENTS)
        self._requests: deque[str] = deque(maxlen=RING_SIZE)

    def take(self, body: bytes) -> Answer:
        """``POST /events``."""
        try:
            push = json.loads(body)
            request, events = push["requestId"], push["events"]
            if not (isinstance(request, str) and request and len(events) <= MAX_EVENTS):
                raise ValueError("requestId is empty, or there are more than 500 events")
            counted = [_counted(event) for event in events if event["type"] == "model"]
        except (ValueError, KeyError, TypeError) as error:
            return Answer(json.dumps({"error": f"bad push: {error}"}).encode(), 400)
        # Counted only when the whole push is understood: it is taken whole or not at all.
        for series, counts in counted:
            self._ledger.record(series, counts)
        if request not in self._requests:
            self._requests.append(request)
        return Answer(json.dumps({"requestId": request, "found": False}).encode(), 202)

    def usage(self, _: bytes) -> Answer:
        """``GET /usage``."""
        snapshot = self._ledger.snapshot(self._clock.now())
        extra: dict[str, str | int] = {"sampleSize": len(self._requests), "source": "events"}
        return Answer(encode_usage([snapshot], extra=extra))


def _counted(event: Mapping[str, object]) -> tuple[SeriesKey, TokenCounts]:
    """One model event: one call. A total alone counts as input; nothing at all is an unmetered
    call."""
    provider, slash, model = str(event["modelId"]).partition("/")
    if not slash:
        provider, model = "", provider
    prompt, completion = _tokens(event, "promptTokens"), _tokens(event, "completionTokens")
    if prompt is None and completion is None:
        prompt = _tokens(event, "tokenCount")
        if prompt is None:
            return SeriesKey(provider, model), TokenCounts(calls=1, unmetered_calls=1)
    key = SeriesKey(provider, model, context_class=context_class(prompt or 0))
    return key, TokenCounts(input=prompt or 0, output=completion or 0, calls=1)


def _tokens(event: Mapping[str, object], name: str) -> int | None:
    value = event.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{name} is not a count of tokens")
    return value


def main() -> None:
    """Run it."""
    options = arguments("An interim sidecar's ring.", port=4001).parse_args()
    hold_signals()
    ring = Ring()
    routes = {
        "GET /usage": ring.usage,
        "GET /agentspec/usage": ring.usage,
        "POST /events": ring.take,
        "POST /agentspec/events": ring.take,
    }
    serve(listen(options.address, options.port), routes)
    live(0, lambda: None, lambda: None)


if __name__ == "__main__":
    main()
