"""One agent, seen by its SDK, by the sidecar, or by both: a call counts once, and what nobody can
know is between two bounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agentspec_usage.metering.snapshot import UsageSnapshot
from agentspec_usage.sdk import Reporter
from tests.integration.controlplane.waiting import until
from tests.integration.sidecar.ledger.pods import Pod, agent, call, pod_with
from tests.integration.sidecar.ledger.upstream import Upstream

CALLS = 6


@pytest.fixture
def pod(tmp_path: Path, upstream: Upstream) -> Iterator[Pod]:
    with pod_with(tmp_path, upstream.url) as pod:
        yield pod


def usage_after(pod: Pod, calls: int) -> UsageSnapshot:
    """What the pod used; the agent has its answer a moment before the call's end is counted."""
    until(lambda: pod.usage().totals.calls == calls, f"{calls} calls are counted")
    return pod.usage()


def pushing_to(pod: Pod) -> Reporter:
    reporter = Reporter()
    reporter.start_push_mode(sidecar_url=pod.control)
    return reporter


def test_calls_that_the_sidecar_alone_sees_count(pod: Pod, upstream: Upstream) -> None:
    with agent(pod.proxy) as client:
        used = sum(call(client) for _ in range(CALLS))
    usage = usage_after(pod, CALLS)
    assert usage.totals.total == used
    assert usage.totals.total == upstream.tokens
    assert usage.upper_tokens is None


def test_calls_that_the_sdk_alone_sees_count(pod: Pod, upstream: Upstream) -> None:
    reporter = pushing_to(pod)
    with agent(upstream.url, reporter) as client:
        used = sum(call(client) for _ in range(CALLS))
    assert reporter.stop()
    usage = usage_after(pod, CALLS)
    assert usage.totals.total == used
    assert usage.upper_tokens is None


def test_calls_that_both_see_count_once(pod: Pod, upstream: Upstream) -> None:
    reporter = pushing_to(pod)
    with agent(pod.proxy, reporter) as client:
        used = sum(call(client) for _ in range(CALLS))
    assert reporter.stop()
    usage = usage_after(pod, CALLS)
    assert usage.totals.total == used
    assert usage.totals.total == upstream.tokens
    assert usage.upper_tokens is None


def test_calls_that_go_around_the_proxy_are_added_and_the_others_are_not(
    pod: Pod, upstream: Upstream
) -> None:
    reporter = pushing_to(pod)
    with agent(pod.proxy, reporter) as through, agent(upstream.url, reporter) as around:
        used = sum(call(through) + call(around) for _ in range(CALLS))
    assert reporter.stop()
    usage = usage_after(pod, 2 * CALLS)
    assert usage.totals.total == used
    assert usage.totals.total == upstream.tokens
    assert usage.upper_tokens is None


def test_calls_that_an_sdk_tells_without_ids_are_never_doubled(
    pod: Pod, upstream: Upstream
) -> None:
    """The truth lies between the totals and the upper bound, which says that there is a doubt."""
    reporter = pushing_to(pod)
    with agent(pod.proxy) as client:
        for _ in range(CALLS):
            reporter.ledger.record("openai/gpt-5", call(client))
    assert reporter.stop()
    usage = usage_after(pod, CALLS)
    assert usage.totals.total == upstream.tokens
    assert usage.upper_tokens == 2 * upstream.tokens


def test_totals_that_an_agent_only_shows_are_a_lower_bound_with_an_upper_one(
    tmp_path: Path, upstream: Upstream
) -> None:
    with pod_with(tmp_path, upstream.url) as other:
        with agent(other.proxy) as client:
            shown = sum(call(client) for _ in range(2 * CALLS))
        directory = tmp_path / "reading"
        directory.mkdir()
        flags = (f"--agent-url={other.control}/agentspec/usage", "--agent-interval=1")
        with pod_with(directory, upstream.url, *flags) as pod:
            with agent(pod.proxy) as client:
                used = sum(call(client) for _ in range(CALLS))
            until(lambda: pod.usage().upper_tokens is not None, "the agent's usage is read")
            usage = pod.usage()
            assert usage.totals.total == max(shown, used)
            assert usage.upper_tokens == shown + used
            source = httpx.get(f"{pod.control}/usage", timeout=10).json()["source"]
            assert source == "proxy+agent"
