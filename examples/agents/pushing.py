"""An agent that serves nothing: it posts an event for each model call to the ring beside it."""

from __future__ import annotations

import http.client
import json
from itertools import count

from examples.agents.lifecycle import arguments, live
from examples.agents.simulated import SimulatedModels


def main() -> None:
    """Run it. ``--address`` and ``--port`` are the ring's."""
    options = arguments("An agent that posts events to a sidecar's ring.", port=4001).parse_args()
    models, requests = SimulatedModels(options.seed), count(1)

    def work() -> None:
        call = models.call()
        event = {
            "type": "model",
            "modelId": f"{call.series.provider}/{call.series.model}",
            "promptTokens": call.counts.input,
            "completionTokens": call.counts.output,
        }
        push = {"requestId": f"request-{next(requests)}", "agentName": "sample", "events": [event]}
        connection = http.client.HTTPConnection(options.address, options.port, timeout=5)
        try:
            connection.request("POST", "/events", json.dumps(push))
            answer = connection.getresponse()
            if answer.status not in (200, 202):
                raise SystemExit(f"the ring refused an event: {answer.status} {answer.read()!r}")
        finally:
            connection.close()

    live(options.rate, work, lambda: models.used)


if __name__ == "__main__":
    main()
