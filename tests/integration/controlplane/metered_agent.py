"""An agent in a process of its own: five lines of the SDK around calls of a real provider client.

Every other call goes through a wrapped OpenAI client to the provider at ``PROVIDER``, the rest is
recorded by hand. It does what it is told on its input, a word a line, and answers each with a line
of JSON: what it counted itself, apart from everything under test.

* ``go``: call models until told otherwise, and answer when the first call was made
* ``now``: only answer
* ``rest``: call none
* ``end``: report the end, and exit
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from random import Random
from threading import Event, Thread
from typing import Any

import openai

from agentspec_usage.metering.counts import ZERO, TokenCounts
from agentspec_usage.sdk import Reporter, instrument_openai
from tests.integration.sdk.bodies import CHAT

_PROVIDER_SAYS = TokenCounts(
    input=CHAT["usage"]["prompt_tokens"],
    output=CHAT["usage"]["completion_tokens"],
    cache_read=CHAT["usage"]["prompt_tokens_details"]["cached_tokens"],
    reasoning=CHAT["usage"]["completion_tokens_details"]["reasoning_tokens"],
    calls=1,
)


class Agent:
    """Calls models in one thread; ``truth`` is what they used."""

    def __init__(self, reporter: Reporter, provider: str) -> None:
        self._reporter = reporter
        self._client = instrument_openai(
            openai.OpenAI(api_key="k", base_url=f"{provider}/v1", max_retries=0), reporter.ledger
        )
        self._random = Random(5)
        self._resting = Event()
        self._called = Event()
        self._thread: Thread | None = None
        self.truth = ZERO

    def go(self) -> None:
        self._resting.clear()
        self._called.clear()
        self._thread = Thread(target=self._work)
        self._thread.start()
        self._called.wait(30)

    def rest(self) -> None:
        self._resting.set()
        if self._thread is not None:
            self._thread.join()

    def said(self, **more: object) -> dict[str, Any]:
        """What the agent knows of itself."""
        seen = self._reporter.ledger.snapshot()
        return {
            "instance": seen.instance_id,
            "seq": seen.seq,
            "counted": asdict(seen.totals),
            "truth": asdict(self.truth),
            **more,
        }

    def _work(self) -> None:
        while not self._resting.is_set():
            self._client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": "hello"}]
            )
            self.truth += _PROVIDER_SAYS
            for _ in range(self._random.randrange(5)):
                used, written = self._random.randrange(300_000), self._random.randrange(900)
                self._reporter.ledger.record("anthropic/opus", used, written, reasoning_tokens=1)
                self.truth += TokenCounts(input=used, output=written, reasoning=1, calls=1)
            self._called.set()


def main() -> None:
    reporter = Reporter()
    reporter.start_push_mode(os.environ["CONTROL_PLANE"], os.environ["KEY"], interval_seconds=0.2)
    agent = Agent(reporter, os.environ["PROVIDER"])
    for word in sys.stdin:
        answer: dict[str, Any] = {}
        match word.strip():
            case "go":
                agent.go()
            case "now":
                answer = agent.said()
            case "rest":
                agent.rest()
                answer = agent.said()
            case "end":
                agent.rest()
                answer = agent.said(durable=reporter.stop(30))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
