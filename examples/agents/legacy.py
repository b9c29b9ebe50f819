"""An agent that speaks AgentSpec's own dialect: a window since a start, without an instance id.

Its numbers are estimates to a reader, because whoever drains such a window takes with it what was
used since the last reading. Here nobody drains it.
"""

from __future__ import annotations

import json
from collections import Counter
from threading import Lock

from agentspec_usage.runtime.clock import SystemClock, to_rfc3339
from examples.agents.lifecycle import arguments, hold_signals, live
from examples.agents.serving import Answer, listen, serve
from examples.agents.simulated import SimulatedModels


def main() -> None:
    """Run it."""
    options = arguments("An agent in AgentSpec's own dialect.").parse_args()
    models = SimulatedModels(options.seed)
    started = to_rfc3339(SystemClock().now())
    models_used: dict[str, Counter[str]] = {}
    lock = Lock()
    hold_signals()

    def work() -> None:
        call = models.call()
        model = f"{call.series.provider}/{call.series.model}"
        used = {
            "promptTokens": call.counts.input,
            "completionTokens": call.counts.output,
            "totalTokens": call.counts.total,
            "callCount": 1,
        }
        with lock:
            models_used.setdefault(model, Counter()).update(used)

    def usage(_: bytes) -> Answer:
        with lock:
            rows = [(model, dict(used)) for model, used in models_used.items()]
        body = {
            "windowStartedAt": started,
            "models": [{"modelId": model, **used} for model, used in rows],
            "totalTokens": sum(used["totalTokens"] for _, used in rows),
            "totalCalls": sum(used["callCount"] for _, used in rows),
        }
        return Answer(json.dumps(body).encode())

    serve(listen(options.address, options.port), {"GET /agentspec/usage": usage})
    live(options.rate, work, lambda: models.used)


if __name__ == "__main__":
    main()
