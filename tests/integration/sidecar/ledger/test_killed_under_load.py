"""The sidecar is killed again and again beside a living SDK: whatever the agent was answered counts
once, and a call that was cut counts as one whose usage nobody could read."""

from __future__ import annotations

import threading
from pathlib import Path

import openai

from agentspec_usage.sdk import Reporter
from tests.integration.controlplane.waiting import until
from tests.integration.sidecar.ledger.pods import agent, call, pod_with
from tests.integration.sidecar.ledger.upstream import Upstream

KILLS = 3
AGENTS = 4


class Load:
    """Agents that call models until they are told to stop, and what they were answered."""

    def __init__(self, base_url: str, reporter: Reporter | None) -> None:
        self.answered: list[int] = []
        self.failed = 0
        self._base_url = base_url
        self._reporter = reporter
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(AGENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        with agent(self._base_url, self._reporter) as client:
            while not self._stopping.is_set():
                try:
                    used = call(client)
                except openai.APIError:
                    with self._lock:
                        self.failed += 1
                    self._stopping.wait(0.05)
                else:
                    with self._lock:
                        self.answered.append(used)


def test_nothing_that_was_answered_is_lost_or_doubled(tmp_path: Path, upstream: Upstream) -> None:
    with pod_with(tmp_path, upstream.url) as pod:
        reporter = Reporter()
        reporter.start_push_mode(sidecar_url=pod.control)
        instance = pod.usage().instance_id
        load = Load(pod.proxy, reporter)
        load.start()
        try:
            for _ in range(KILLS):
                enough = len(load.answered) + 30
                until(lambda enough=enough: len(load.answered) >= enough, "calls are answered")  # type: ignore[misc]
                pod.kill()
                pod.start()
        finally:
            load.stop()
        assert reporter.stop(30)
        usage = pod.usage()
    metered = usage.totals.calls - usage.totals.unmetered_calls
    assert usage.instance_id == instance
    assert load.failed
    # Between its end in the ledger and the agent's reading of it a call may be cut: it was used.
    assert sum(load.answered) <= usage.totals.total <= upstream.tokens
    assert len(load.answered) <= metered <= len(upstream.served)
    assert usage.totals.calls <= len(load.answered) + load.failed
    # Whoever was served is in the ledger, with its usage or as a call that is in doubt.
    assert usage.totals.calls >= len(upstream.served)


def test_calls_that_were_under_way_at_the_kill_are_unmetered(
    tmp_path: Path, upstream: Upstream
) -> None:
    with pod_with(tmp_path, upstream.url) as pod:
        with agent(pod.proxy) as client:
            used = call(client)
        until(lambda: pod.usage().totals.calls == 1, "the first call has ended")
        upstream.held.clear()
        load = Load(pod.proxy, None)
        load.start()
        until(lambda: upstream.asked == 1 + AGENTS, "calls are under way")
        pod.kill()
        load.stop()
        pod.start()
        usage = pod.usage()
        assert usage.totals.total == used
        assert (usage.totals.calls, usage.totals.unmetered_calls) == (1 + AGENTS, AGENTS)
