"""An agent of two worker processes behind one port, as pre-forking web servers are.

Each connection is answered by one of them, for itself alone: a reader meets them in turn, and
their counts are two instances' and no restart. The kernel would give connections to either by
chance; here the turn is passed around, so that two readings have met both.
"""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from agentspec_usage.metering.ledger import Ledger
from agentspec_usage.runtime.clock import SystemClock
from agentspec_usage.runtime.ids import new_instance_id
from agentspec_usage.wire.usage_encoding import encode_usage
from examples.agents.lifecycle import arguments, hold_signals, live
from examples.agents.serving import Answer, listen, serve
from examples.agents.simulated import SimulatedModels

WORKERS = 2


def main() -> None:
    """Start the workers, pass on what they are told to do, and end with them."""
    options = arguments("An agent with two worker processes behind one port.").parse_args()
    hold_signals()
    listener = listen(options.address, options.port)
    turns = [os.pipe() for _ in range(WORKERS)]
    children = []
    for number in range(WORKERS):
        child = os.fork()
        if child == 0:
            mine, following = turns[number][0], turns[(number + 1) % WORKERS][1]
            shared = _InTurns(listener, mine, following)
            _work(shared, options.seed + number, options.rate / WORKERS)
            os._exit(0)
        children.append(child)
    os.write(turns[0][1], b"!")
    _pass_on(children)


class _InTurns(socket.socket):
    """A listening socket that several processes share, each accepting when it has the turn."""

    def __init__(self, listener: socket.socket, mine: int, following: int) -> None:
        super().__init__(fileno=os.dup(listener.fileno()))
        self._mine, self._following = mine, following

    def accept(self) -> tuple[socket.socket, Any]:
        turn = os.read(self._mine, 1)
        accepted = super().accept()
        os.write(self._following, turn)
        return accepted


def _work(listener: socket.socket, seed: int, rate: float) -> None:
    models, clock = SimulatedModels(seed), SystemClock()
    # Made after the fork: each process is an instance of its own.
    ledger = Ledger(new_instance_id(), clock.now())

    def work() -> None:
        call = models.call()
        ledger.record(call.series, call.counts)

    def usage(_: bytes) -> Answer:
        return Answer(encode_usage([ledger.snapshot(clock.now())]))

    serve(listener, {"GET /agentspec/usage": usage})
    live(rate, work, lambda: models.used)


def _pass_on(children: list[int]) -> None:
    told = {signal.SIGUSR1, signal.SIGTERM, signal.SIGINT}
    while True:
        number = signal.sigwait(told)
        for child in children:
            os.kill(child, number)
        if number != signal.SIGUSR1:
            for child in children:
                os.waitpid(child, 0)
            return


if __name__ == "__main__":
    main()
