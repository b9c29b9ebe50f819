"""An agent that cannot be read: it answers errors and garbage in turn."""

from __future__ import annotations

from itertools import cycle

from examples.agents.lifecycle import arguments, hold_signals, live
from examples.agents.serving import Answer, listen, serve
from examples.agents.simulated import SimulatedModels


def main() -> None:
    """Run it."""
    options = arguments("An agent that answers errors and garbage.").parse_args()
    models = SimulatedModels(options.seed)
    answers = cycle(
        (
            Answer(b"Internal Server Error", 500, "text/plain"),
            Answer(b"<!doctype html><title>Welcome</title>", 200, "text/html"),
            Answer(b'{"models": [], "totalTokens": NaN, "totalCalls": -1}'),
        )
    )
    hold_signals()
    serve(listen(options.address, options.port), {"GET /agentspec/usage": lambda _: next(answers)})
    # It uses tokens all the same; nobody can know how many.
    live(options.rate, models.call, lambda: None)


if __name__ == "__main__":
    main()
