"""An agent that counts what it uses: the three things to copy are marked.

python -m examples.agents.agent
curl -s 127.0.0.1:8080/agentspec/usage
"""

from __future__ import annotations

from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.wire.usage_encoding import encode_usage
from examples.agents.lifecycle import arguments, hold_signals, live
from examples.agents.serving import Answer, listen, serve
from examples.agents.simulated import SimulatedModels


def main() -> None:
    """Run it."""
    options = arguments("An agent with one process.").parse_args()
    models, clock = SimulatedModels(options.seed), SystemClock()
    hold_signals()

    # 1. One ledger for the life of the process.
    ledger = Ledger(new_instance_id(), clock.now())

    def work() -> None:
        call = models.call()
        # 2. One line after each model call.
        ledger.record(call.series, call.counts)

    def usage(_: bytes) -> Answer:
        # 3. The answer that the operator reads. Reading changes nothing.
        return Answer(encode_usage([ledger.snapshot(clock.now())]))

    def health(_: bytes) -> Answer:
        return Answer(b'{"status":"healthy"}')

    serve(
        listen(options.address, options.port),
        {"GET /agentspec/usage": usage, "GET /agentspec/health": health},
    )
    live(options.rate, work, lambda: models.used)


if __name__ == "__main__":
    main()
